//! Listpack: a short sequence of byte strings in one run of bytes, laid out as in Redis 7.
//!
//! Small hashes, sets and sorted sets are held like this, and so are the nodes of lists: finding an
//! element is a walk over all of them, and for a hundred short ones that is as fast as a table, at
//! a fraction of the memory.
//!
//! ```text
//!   0       4       6
//!   +-------+-------+-------+-------+-----+-------+------+
//!   | total | count | entry | entry | ... | entry | 0xff |
//!   +-------+-------+-------+-------+-----+-------+------+
//!
//!   entry: | element, encoded | length of that |
//! ```
//!
//! `total` is the length of the whole, `count` the number of elements, both with their lowest byte
//! first; from [`COUNT_UNKNOWN`] elements on, the count is no longer kept. The length at the end
//! of an entry lets a walk go either way. `encoding.rs` says how an element is written. The format
//! is Redis's own (`listpack.c`, <https://github.com/antirez/listpack>).
//!
//! A place is the offset of an entry, or of the end; it is good until the next change.
//!
//! A collection of pairs is a sequence of twice as many elements. It inserts and removes two at a
//! time, and so the first of a pair is always at an even index.
//!
//! [`Listpack`] reads the bytes, wherever they are; [`ListpackMut`] changes them in a [`Room`].

mod encoding;
mod gapped;

use std::ops::Range;

use encoding::{END, Encoded, backlen_space, entry_len, read, read_backlen};

pub(crate) use gapped::Gapped;

use crate::keyspace::entry::Str;

/// A listpack without elements.
pub(crate) const EMPTY: [u8; 7] = [7, 0, 0, 0, 0, 0, END];

/// No listpack gets longer than this, as in Redis, unless it has one element only.
const BYTES_MAX: usize = 1 << 30;

/// How many bytes the total takes, at the start.
pub(crate) const LEN_BYTES: usize = 4;

/// Where the first entry begins.
const FIRST: usize = 6;
/// What the header says where there are so many elements or more.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Where the bytes of a listpack are, and how they get room.
///
/// A room keeps the total, the first [`LEN_BYTES`] bytes, right by itself.
pub(crate) trait Room {
    /// The listpack. No bytes at all are as good as an empty one.
    fn bytes(&self) -> &[u8];

    /// The bytes behind the total, to be changed.
    fn tail_mut(&mut self) -> &mut [u8];

    /// Makes the bytes in `range`, which is behind the total, `len` bytes long, whatever they are
    /// then, and moves those behind or those before them. If there are no bytes, `range` is empty
    /// and at 0, and `len` that of the whole.
    fn open(&mut self, range: Range<usize>, len: usize);
}

/// A short sequence of byte strings. See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listpack<'a>(&'a [u8]);

impl<'a> Listpack<'a> {
    /// The listpack that these bytes are: an empty one if they are none.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Listpack<'a> {
        match bytes {
            [] => Listpack(&EMPTY),
            bytes => Listpack(bytes),
        }
    }

    /// How many elements there are. O(1) for less than 65,535.
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.iter_from(FIRST, usize::MAX).count(),
            count => usize::from(count),
        }
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0.len() == EMPTY.len()
    }

    /// The whole.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The place of the first element, or the end if there is none.
    pub(crate) fn first(self) -> usize {
        FIRST
    }

    /// The place behind the last element.
    #[inline]
    pub(crate) fn end(self) -> usize {
        self.0.len() - 1
    }

    /// The element at a place, and the place behind it.
    #[inline]
    pub(crate) fn element(self, place: usize) -> (Str<'a>, usize) {
        let (element, len) = read(&self.0[place..]);
        (element, place + len + backlen_space(len))
    }

    /// The element before a place, and its own place.
    #[inline]
    pub(crate) fn element_before(self, place: usize) -> (Str<'a>, usize) {
        let len = read_backlen(&self.0[FIRST..place]);
        let start = place - backlen_space(len) - len;
        (read(&self.0[start..]).0, start)
    }

    /// The place of the element at this index, walked to from the nearer end.
    pub(crate) fn place(self, index: usize) -> usize {
        let len = self.len();
        debug_assert!(index <= len);
        if index <= len / 2 {
            self.skip(FIRST, index)
        } else {
            (index..len).fold(self.end(), |place, _| self.element_before(place).1)
        }
    }

    /// The place so many elements behind `place`.
    #[inline]
    pub(crate) fn skip(self, place: usize, count: usize) -> usize {
        (0..count).fold(place, |place, _| place + entry_len(&self.0[place..]))
    }

    /// The place of the first element equal to `wanted`, among those at even indexes if `STEP` is
    /// 2: the keys of pairs.
    #[inline]
    pub(crate) fn find<const STEP: usize>(self, wanted: &[u8]) -> Option<usize> {
        let wanted = Encoded::new(Str::Bytes(wanted));
        let mut place = FIRST;
        while place < self.end() {
            if wanted.is_at(&self.0[place..]) {
                return Some(place);
            }
            place = self.skip(place, STEP);
        }
        None
    }

    /// The places of all elements equal to `wanted`, in order.
    pub(crate) fn find_all(self, wanted: &[u8]) -> Vec<usize> {
        let wanted = Encoded::new(Str::Bytes(wanted));
        let (mut found, mut place) = (Vec::new(), FIRST);
        while place < self.end() {
            if wanted.is_at(&self.0[place..]) {
                found.push(place);
            }
            place = self.skip(place, 1);
        }
        found
    }

    /// All elements in order.
    pub(crate) fn iter(self) -> Iter<'a> {
        self.iter_from(FIRST, self.len())
    }

    fn iter_from(self, front: usize, left: usize) -> Iter<'a> {
        Iter {
            listpack: self,
            front,
            back: self.end(),
            left,
        }
    }

    /// All elements in order, two at a time.
    pub(crate) fn pairs(self) -> Pairs<'a> {
        Pairs(self.iter())
    }

    /// The pairs in this range: the pair at index 0 is made of the elements 0 and 1.
    pub(crate) fn pairs_in(self, range: Range<usize>) -> Pairs<'a> {
        Pairs(Iter {
            listpack: self,
            front: self.place(range.start * 2),
            back: self.place(range.end * 2),
            left: range.len() * 2,
        })
    }

    /// Whether these elements can join without the listpack getting too long to be one.
    pub(crate) fn has_room_for<const N: usize>(self, elements: [Str<'_>; N]) -> bool {
        self.0.len() + space_of(elements) <= BYTES_MAX
    }

    #[inline]
    fn count(self) -> u16 {
        u16::from_le_bytes([self.0[4], self.0[5]])
    }
}

/// How many bytes of a listpack these elements take.
pub(crate) fn space_of<const N: usize>(elements: [Str<'_>; N]) -> usize {
    let space = |element: Str<'_>| Encoded::new(element).space();
    elements.into_iter().map(space).sum()
}

/// A listpack that is being changed.
pub(crate) struct ListpackMut<'r, R>(&'r mut R);

impl<'r, R: Room> ListpackMut<'r, R> {
    /// The listpack in `room`.
    pub(crate) fn new(room: &'r mut R) -> ListpackMut<'r, R> {
        if room.bytes().is_empty() {
            room.open(0..0, EMPTY.len());
            room.tail_mut().copy_from_slice(&EMPTY[LEN_BYTES..]);
        }
        ListpackMut(room)
    }

    fn read(&self) -> Listpack<'_> {
        Listpack::new(self.0.bytes())
    }

    /// Puts elements before the one at `place`, in their order.
    pub(crate) fn insert<const N: usize>(&mut self, place: usize, elements: [Str<'_>; N]) {
        let elements = elements.map(Encoded::new);
        let space = elements.iter().map(Encoded::space).sum();
        self.0.open(place..place, space);
        let mut out = self.from(place);
        for element in &elements {
            out = element.write(out);
        }
        self.close(|count| count + N);
    }

    /// Adds elements at the end, in their order.
    pub(crate) fn push<const N: usize>(&mut self, elements: [Str<'_>; N]) {
        self.insert(self.read().end(), elements);
    }

    /// Puts `element` in the place of the one that is there.
    pub(crate) fn replace(&mut self, place: usize, element: Str<'_>) {
        let element = Encoded::new(element);
        let end = self.read().skip(place, 1);
        self.0.open(place..end, element.space());
        element.write(self.from(place));
        self.close(|count| count);
    }

    /// Removes `count` elements, the first of them at `place`.
    pub(crate) fn remove(&mut self, place: usize, count: usize) {
        let end = self.read().skip(place, count);
        self.remove_span(place..end, count);
    }

    /// Removes `count` elements, which are all that is in `span`.
    pub(crate) fn remove_span(&mut self, span: Range<usize>, count: usize) {
        self.0.open(span, 0);
        self.close(|left| left - count);
    }

    /// Removes the elements at these places, which ascend.
    pub(crate) fn remove_all(&mut self, places: &[usize]) {
        let Some(&first) = places.first() else {
            return;
        };
        let (mut to, mut from) = (first, first);
        for &place in places {
            self.from(to).copy_within(from - to..place - to, 0);
            to += place - from;
            from = self.read().skip(place, 1);
        }
        let end = self.read().end();
        self.from(to).copy_within(from - to..end - to, 0);
        self.0.open(to + end - from..end, 0);
        self.close(|count| count - places.len());
    }

    /// Adds all elements of another listpack at the end.
    pub(crate) fn append(&mut self, other: Listpack<'_>) {
        self.append_span(other, FIRST..other.end(), other.len());
    }

    /// Adds `count` elements of another listpack at the end, which are all that is in `span`.
    pub(crate) fn append_span(&mut self, other: Listpack<'_>, span: Range<usize>, count: usize) {
        let end = self.read().end();
        self.0.open(end..end, span.len());
        self.from(end)[..span.len()].copy_from_slice(&other.0[span]);
        self.close(|own| own + count);
    }

    /// The bytes from a place on.
    #[inline]
    fn from(&mut self, place: usize) -> &mut [u8] {
        &mut self.0.tail_mut()[place - LEN_BYTES..]
    }

    /// Writes the count anew after a change of the entries.
    #[inline]
    fn close(&mut self, count: impl FnOnce(usize) -> usize) {
        let field = &mut self.from(LEN_BYTES)[..FIRST - LEN_BYTES];
        // A count that is unknown stays so, as in Redis.
        let old = u16::from_le_bytes([field[0], field[1]]);
        if old != COUNT_UNKNOWN {
            let new = u16::try_from(count(usize::from(old))).unwrap_or(COUNT_UNKNOWN);
            field.copy_from_slice(&new.to_le_bytes());
        }
    }
}

/// The elements of a [`Listpack`], from either end.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    listpack: Listpack<'a>,
    front: usize,
    back: usize,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Str<'a>;

    #[inline]
    fn next(&mut self) -> Option<Str<'a>> {
        self.left = self.left.checked_sub(1)?;
        if self.front == self.back {
            return None;
        }
        let (element, next) = self.listpack.element(self.front);
        self.front = next;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Str<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (element, place) = self.listpack.element_before(self.back);
        self.back = place;
        Some(element)
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The elements of a [`Listpack`] two at a time, from either end.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a>(Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Str<'a>, Str<'a>);

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
