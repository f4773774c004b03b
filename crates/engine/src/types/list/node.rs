//! A node of a list: a run of elements packed into one allocation.
//!
//! ```text
//! | gap | entry | entry | ... | entry | room |
//!       ^ start                       ^ end of `bytes`
//!
//! entry: | length | element | length, mirrored |
//! ```
//!
//! The gap at the front makes `LPUSH` as cheap as `RPUSH`: both write one entry, and move the
//! others only when the gap or the room is used up, which then grows with what the node holds.

use crate::types::{Limits, varint};

/// The most bytes of a node whose size is given as a number of elements.
const SAFETY_LIMIT: usize = 8 * 1024;

/// How much a node may hold. A larger element is alone in its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    bytes: usize,
    elements: usize,
}

impl Capacity {
    /// What `list-max-listpack-size` says: a number of elements, or -1 to -5 for 4 to 64 KiB.
    pub(crate) fn new(limits: Limits) -> Capacity {
        let size = limits.list_max_listpack_size;
        match usize::try_from(size) {
            Ok(elements) => Capacity {
                bytes: SAFETY_LIMIT,
                elements: elements.max(1),
            },
            Err(_) => Capacity {
                bytes: 2048 << (-size).min(5),
                elements: usize::MAX,
            },
        }
    }

    /// Half of it: below this, a list that has become small is packed again.
    pub(crate) fn half(self) -> Capacity {
        Capacity {
            bytes: self.bytes / 2,
            elements: self.elements / 2,
        }
    }
}

/// A run of elements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

/// Bytes that the entry of an element takes.
fn entry_len(element: &[u8]) -> usize {
    element.len() + 2 * varint::len(element.len() as u64)
}

impl Node {
    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether the node is within `capacity`.
    pub(crate) fn is_within(&self, capacity: Capacity) -> bool {
        self.used() <= capacity.bytes && self.len <= capacity.elements
    }

    /// Whether `element` can join without the node getting too large.
    pub(crate) fn has_room_for(&self, element: &[u8], capacity: Capacity) -> bool {
        self.used() + entry_len(element) <= capacity.bytes && self.len < capacity.elements
    }

    /// Whether the elements of `other` can join.
    pub(crate) fn has_room_for_all(&self, other: &Node, capacity: Capacity) -> bool {
        self.used() + other.used() <= capacity.bytes && self.len + other.len <= capacity.elements
    }

    /// Bytes of all entries.
    fn used(&self) -> usize {
        self.bytes.len() - self.start
    }

    // --- places: the first byte of an entry, from `start` to the end ---------------------------

    /// The place of the first entry.
    pub(crate) fn first(&self) -> usize {
        self.start
    }

    /// The place behind the last entry.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The element at a place, and the place behind it.
    pub(crate) fn element(&self, place: usize) -> (&[u8], usize) {
        let (len, header) = varint::read(&self.bytes[place..]);
        let begin = place + header;
        let end = begin + len as usize;
        (&self.bytes[begin..end], end + header)
    }

    /// The element before a place, and its own place.
    pub(crate) fn element_before(&self, place: usize) -> (&[u8], usize) {
        let (len, header) = varint::read_back(&self.bytes[..place]);
        let end = place - header;
        let begin = end - len as usize;
        (&self.bytes[begin..end], begin - header)
    }

    /// The place of the element at `index`, which is walked to from the nearer end.
    pub(crate) fn place(&self, index: usize) -> usize {
        if index <= self.len / 2 {
            (0..index).fold(self.start, |place, _| self.element(place).1)
        } else {
            (index..self.len).fold(self.end(), |place, _| self.element_before(place).1)
        }
    }

    // --- changes -------------------------------------------------------------------------------

    /// Adds an element at the front. `capacity` says how far the gap may grow.
    pub(crate) fn push_front(&mut self, element: &[u8], capacity: Capacity) {
        let needed = entry_len(element);
        if self.start < needed {
            self.widen_gap(needed, capacity);
        }
        self.start -= needed;
        let len = element.len() as u64;
        let (header, trailer) = (varint::encode(len), varint::encode_mirrored(len));
        let entry = &mut self.bytes[self.start..self.start + needed];
        let (head, rest) = entry.split_at_mut(header.as_slice().len());
        let (body, tail) = rest.split_at_mut(element.len());
        head.copy_from_slice(header.as_slice());
        body.copy_from_slice(element);
        tail.copy_from_slice(trailer.as_slice());
        self.len += 1;
    }

    /// Adds an element at the back. `capacity` says how far the room may grow.
    pub(crate) fn push_back(&mut self, element: &[u8], capacity: Capacity) {
        let needed = entry_len(element);
        if self.bytes.capacity() - self.bytes.len() < needed {
            self.widen_room(needed, capacity);
        }
        varint::push(&mut self.bytes, element.len() as u64);
        self.bytes.extend_from_slice(element);
        varint::push_mirrored(&mut self.bytes, element.len() as u64);
        self.len += 1;
    }

    /// Free bytes to make at an end that has too few: as many as are used, but not much more than
    /// the node will ever take. A full node gets an eighth of its size, so that a queue that
    /// turns over within one node seldom moves.
    fn free_bytes(&self, needed: usize, capacity: Capacity) -> usize {
        let used = self.used();
        let until_full = used.min(capacity.bytes.saturating_sub(used));
        needed.max(until_full).max(used.min(capacity.bytes / 8))
    }

    fn widen_gap(&mut self, needed: usize, capacity: Capacity) {
        let gap = self.free_bytes(needed, capacity);
        let mut bytes = Vec::with_capacity(gap + self.used());
        bytes.resize(gap, 0);
        bytes.extend_from_slice(&self.bytes[self.start..]);
        (self.bytes, self.start) = (bytes, gap);
    }

    fn widen_room(&mut self, needed: usize, capacity: Capacity) {
        let room = self.free_bytes(needed, capacity);
        if self.start >= room {
            self.bytes.drain(..self.start);
        } else {
            let mut bytes = Vec::with_capacity(self.used() + room);
            bytes.extend_from_slice(&self.bytes[self.start..]);
            self.bytes = bytes;
        }
        self.start = 0;
    }

    /// Removes the first `count` elements.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.start = self.place(count);
        self.len -= count;
        self.forget_if_empty();
    }

    /// Removes the last `count` elements.
    pub(crate) fn drop_back(&mut self, count: usize) {
        self.bytes.truncate(self.place(self.len - count));
        self.len -= count;
        self.forget_if_empty();
    }

    fn forget_if_empty(&mut self) {
        if self.len == 0 {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Puts an element before the one at `place`.
    pub(crate) fn insert(&mut self, place: usize, element: &[u8]) {
        self.bytes.splice(place..place, entry(element));
        self.len += 1;
    }

    /// Puts `element` in the place of the one that is there.
    pub(crate) fn replace(&mut self, place: usize, element: &[u8]) {
        let (_, end) = self.element(place);
        self.bytes.splice(place..end, entry(element));
    }

    /// Whether the node stays within `capacity` when `element` takes the place of another.
    pub(crate) fn can_replace(&self, place: usize, element: &[u8], capacity: Capacity) -> bool {
        let (_, end) = self.element(place);
        self.len == 1 || self.used() + entry_len(element) - (end - place) <= capacity.bytes
    }

    /// Removes the element at `place`.
    pub(crate) fn remove(&mut self, place: usize) {
        let (_, end) = self.element(place);
        self.bytes.drain(place..end);
        self.len -= 1;
        self.forget_if_empty();
    }

    /// Cuts off the elements from `place` on; `index` is how many come before.
    pub(crate) fn split_off(&mut self, place: usize, index: usize) -> Node {
        let cut = Node {
            bytes: self.bytes[place..].to_vec(),
            start: 0,
            len: self.len - index,
        };
        self.bytes.truncate(place);
        self.len = index;
        self.forget_if_empty();
        cut
    }

    /// Adds all elements of another node at the back.
    pub(crate) fn append(&mut self, other: &Node) {
        self.bytes.extend_from_slice(&other.bytes[other.start..]);
        self.len += other.len;
    }

    /// Removes elements that equal `element`: at most `count`, the first or the last ones. Answers
    /// how many it removed.
    pub(crate) fn remove_equal(&mut self, element: &[u8], count: usize, first: bool) -> usize {
        let mut found = self.places_of(element);
        if found.len() > count {
            let keep = if first {
                0..count
            } else {
                found.len() - count..found.len()
            };
            found = found[keep].to_vec();
        }
        if found.is_empty() {
            return 0;
        }
        let entry_len = entry_len(element);
        let mut bytes = Vec::with_capacity(self.used() - found.len() * entry_len);
        let mut kept_to = self.start;
        for &place in &found {
            bytes.extend_from_slice(&self.bytes[kept_to..place]);
            kept_to = place + entry_len;
        }
        bytes.extend_from_slice(&self.bytes[kept_to..]);
        self.len -= found.len();
        (self.bytes, self.start) = (bytes, 0);
        found.len()
    }

    fn places_of(&self, element: &[u8]) -> Vec<usize> {
        let (mut found, mut place) = (Vec::new(), self.start);
        while place < self.end() {
            let (other, next) = self.element(place);
            if other == element {
                found.push(place);
            }
            place = next;
        }
        found
    }
}

/// The bytes of an element's entry.
fn entry(element: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entry_len(element));
    varint::push(&mut bytes, element.len() as u64);
    bytes.extend_from_slice(element);
    varint::push_mirrored(&mut bytes, element.len() as u64);
    bytes
}
