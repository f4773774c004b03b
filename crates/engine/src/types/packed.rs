//! Packed: a short sequence of byte strings in one allocation.
//!
//! Small hashes, sets and sorted sets are held like this: finding an element is a walk over all of
//! them, and for a hundred short ones that is as fast as a table, at a fraction of the memory.
//!
//! ```text
//! | element | element | ... | element |
//!
//! element: | length | bytes | length, mirrored |
//! ```
//!
//! The length stands at both ends so that a walk can go either way. A place is the offset of an
//! element's first byte, or of the end; it is good until the next change.
//!
//! A collection of pairs is a sequence of twice as many elements. It inserts and removes two at a
//! time, and so the first of a pair is always at an even index.

use crate::types::varint;

/// A short sequence of byte strings. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    len: u32,
}

impl Packed {
    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes are allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The place behind the last element.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The element at a place, and the place behind it.
    #[inline]
    pub(crate) fn element(&self, place: usize) -> (&[u8], usize) {
        let (len, header) = varint::read(&self.bytes[place..]);
        let start = place + header;
        let end = start + len as usize;
        (&self.bytes[start..end], end + header)
    }

    /// The element before a place, and its own place.
    #[inline]
    pub(crate) fn element_before(&self, place: usize) -> (&[u8], usize) {
        let (len, header) = varint::read_back(&self.bytes[..place]);
        let end = place - header;
        let start = end - len as usize;
        (&self.bytes[start..end], start - header)
    }

    /// The place of the element at this index, walked to from the nearer end.
    pub(crate) fn place(&self, index: usize) -> usize {
        debug_assert!(index <= self.len());
        if index <= self.len() / 2 {
            (0..index).fold(0, |place, _| self.element(place).1)
        } else {
            (index..self.len()).fold(self.end(), |place, _| self.element_before(place).1)
        }
    }

    /// The place of the first element equal to `wanted`, among those at even indexes if `STEP` is
    /// 2: the keys of pairs.
    #[inline]
    pub(crate) fn find<const STEP: usize>(&self, wanted: &[u8]) -> Option<usize> {
        let mut place = 0;
        while place < self.end() {
            let (element, mut next) = self.element(place);
            if element == wanted {
                return Some(place);
            }
            for _ in 1..STEP {
                next = self.element(next).1;
            }
            place = next;
        }
        None
    }

    /// All elements in order.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter {
            packed: self,
            front: 0,
            back: self.end(),
            left: self.len(),
        }
    }

    /// All elements in order, two at a time.
    pub(crate) fn pairs(&self) -> Pairs<'_> {
        Pairs(self.iter())
    }

    /// The pairs in this range: the pair at index 0 is made of the elements 0 and 1.
    pub(crate) fn pairs_in(&self, range: std::ops::Range<usize>) -> Pairs<'_> {
        Pairs(Iter {
            packed: self,
            front: self.place(range.start * 2),
            back: self.place(range.end * 2),
            left: range.len() * 2,
        })
    }

    /// Puts elements before the one at `place`, in their order.
    pub(crate) fn insert<const N: usize>(&mut self, place: usize, elements: [&[u8]; N]) {
        let added = elements.map(space_of).iter().sum();
        self.open(place, place, added);
        let mut at = place;
        for element in elements {
            at = self.write(at, element);
        }
        self.len += N as u32;
    }

    /// Adds elements at the end, in their order.
    pub(crate) fn push<const N: usize>(&mut self, elements: [&[u8]; N]) {
        self.insert(self.end(), elements);
    }

    /// Puts `element` in the place of the one that is there.
    pub(crate) fn replace(&mut self, place: usize, element: &[u8]) {
        let (_, end) = self.element(place);
        self.open(place, end, space_of(element));
        self.write(place, element);
    }

    /// Removes `count` elements, the first of them at `place`.
    pub(crate) fn remove(&mut self, place: usize, count: usize) {
        let end = (0..count).fold(place, |end, _| self.element(end).1);
        self.bytes.drain(place..end);
        self.len -= count as u32;
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes
                .shrink_to(self.bytes.len() + slack(self.bytes.len()));
        }
    }

    /// Makes the bytes from `start` to `end` so long, and leaves it to the caller to fill them.
    fn open(&mut self, start: usize, end: usize, len: usize) {
        let (old_len, removed) = (self.bytes.len(), end - start);
        if len > removed {
            let more = len - removed;
            if self.bytes.capacity() - old_len < more {
                self.bytes.reserve_exact(more + slack(old_len));
            }
            self.bytes.resize(old_len + more, 0);
        }
        self.bytes.copy_within(end..old_len, start + len);
        self.bytes.truncate(old_len + len - removed);
    }

    /// Writes an element over what is at `place`, and says where it ends.
    fn write(&mut self, place: usize, element: &[u8]) -> usize {
        let len = element.len() as u64;
        let (head, tail) = (varint::encode(len), varint::encode_mirrored(len));
        let mut at = place;
        for part in [head.as_slice(), element, tail.as_slice()] {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        at
    }
}

/// Bytes that an element takes.
fn space_of(element: &[u8]) -> usize {
    element.len() + 2 * varint::len(element.len() as u64)
}

/// Bytes to allocate beyond those needed: an eighth, where doubling would waste too much.
fn slack(len: usize) -> usize {
    len / 8
}

/// The elements of a [`Packed`], from either end.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    packed: &'a Packed,
    front: usize,
    back: usize,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (element, next) = self.packed.element(self.front);
        self.front = next;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (element, place) = self.packed.element_before(self.back);
        self.back = place;
        Some(element)
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The elements of a [`Packed`] two at a time, from either end.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a>(Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left / 2, Some(self.0.left / 2))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let second = self.0.next_back()?;
        Some((self.0.next_back()?, second))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

#[cfg(test)]
mod tests;
