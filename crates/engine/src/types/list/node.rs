//! A node of a list: a run of elements in one listpack, with a gap for more at the front.

use super::Side;
use crate::keyspace::entry::Str;
use crate::types::Limits;
use crate::types::listpack::{EMPTY, Gapped, Listpack, ListpackMut, Room};

/// The most bytes of a node whose size is given as a number of elements.
const SAFETY_LIMIT: usize = 8 * 1024;
/// What Redis takes an entry to need beyond its element's bytes.
const ENTRY_OVERHEAD: usize = 8;

/// How much a node may hold. A larger element is alone in its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    bytes: usize,
    elements: usize,
}

impl Capacity {
    /// What `list-max-listpack-size` says: a number of elements, or -1 to -5 for 4 to 64 KiB.
    pub(crate) fn new(limits: &Limits) -> Capacity {
        let size = limits.list_max_listpack_size.get();
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

    /// What a node may hold that was a whole list: the entry of its last element was not counted.
    #[cfg(test)]
    pub(super) fn of_whole(self) -> Capacity {
        Capacity {
            bytes: self.bytes + ENTRY_OVERHEAD,
            ..self
        }
    }

    /// How many bytes a node has that is full of elements of so many bytes, if it holds several.
    fn bytes_of(self, element: usize) -> Option<usize> {
        let all = self.elements.saturating_mul(element + ENTRY_OVERHEAD);
        let bytes = all.saturating_add(EMPTY.len()).min(self.bytes);
        (element <= self.bytes / 8).then_some(bytes)
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
pub(crate) struct Node(Gapped);

impl Node {
    /// An empty node that is filled from one side with elements of about so many bytes: all that it may
    /// hold is allocated at once, unless it holds few of them.
    pub(crate) fn to_be_filled(side: Side, element: usize, capacity: Capacity) -> Node {
        match (capacity.bytes_of(element), side) {
            (None, _) => Node::default(),
            (Some(bytes), Side::Left) => Node(Gapped::with_gap(bytes)),
            (Some(bytes), Side::Right) => Node(Gapped::with_room(bytes)),
        }
    }

    /// The elements.
    #[inline]
    pub(crate) fn listpack(&self) -> Listpack<'_> {
        Listpack::new(self.0.bytes())
    }

    /// How many elements there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.listpack().len()
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.listpack().is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// Whether the node is within `capacity`.
    pub(crate) fn is_within(&self, capacity: Capacity) -> bool {
        self.used() <= capacity.bytes && self.len() <= capacity.elements
    }

    /// Whether `element` can join without the node getting too large, if it is one of several.
    #[inline]
    pub(crate) fn has_room_for(&self, element: &[u8], capacity: Capacity) -> bool {
        self.used() + element.len() + ENTRY_OVERHEAD <= capacity.bytes
            && self.len() < capacity.elements
    }

    /// Whether `element` can join without the node getting too large to be a whole list.
    pub(crate) fn is_whole_with(&self, element: &[u8], capacity: Capacity) -> bool {
        self.used() + element.len() <= capacity.bytes && self.len() < capacity.elements
    }

    /// Whether the elements of `other` can join.
    pub(crate) fn has_room_for_all(&self, other: &Node, capacity: Capacity) -> bool {
        self.used() + other.used() <= capacity.bytes
            && self.len() + other.len() <= capacity.elements
    }

    /// Whether the node stays within `capacity` when `element` takes the place of another.
    pub(crate) fn can_replace(&self, place: usize, element: &[u8], capacity: Capacity) -> bool {
        let replaced = self.listpack().skip(place, 1) - place;
        self.len() == 1 || self.used() + element.len() + ENTRY_OVERHEAD - replaced <= capacity.bytes
    }

    /// Bytes of the listpack.
    #[inline]
    fn used(&self) -> usize {
        self.listpack().bytes().len()
    }

    // --- changes -------------------------------------------------------------------------------

    /// Adds an element at the front.
    pub(crate) fn push_front(&mut self, element: &[u8]) {
        self.insert(self.listpack().first(), element);
    }

    /// Adds an element at the back.
    pub(crate) fn push_back(&mut self, element: &[u8]) {
        self.edit().push([Str::Bytes(element)]);
    }

    /// Puts an element before the one at `place`.
    pub(crate) fn insert(&mut self, place: usize, element: &[u8]) {
        self.edit().insert(place, [Str::Bytes(element)]);
    }

    /// Puts `element` in the place of the one that is there.
    pub(crate) fn replace(&mut self, place: usize, element: &[u8]) {
        self.edit().replace(place, Str::Bytes(element));
    }

    /// Removes the element at `place`.
    pub(crate) fn remove(&mut self, place: usize) {
        self.edit().remove(place, 1);
    }

    /// Removes the first `count` elements.
    pub(crate) fn drop_front(&mut self, count: usize) {
        let listpack = self.listpack();
        let end = match count {
            1 => listpack.skip(listpack.first(), 1),
            _ => listpack.place(count),
        };
        let span = listpack.first()..end;
        self.edit().remove_span(span, count);
    }

    /// Removes the last `count` elements.
    pub(crate) fn drop_back(&mut self, count: usize) {
        let listpack = self.listpack();
        let span = listpack.place(listpack.len() - count)..listpack.end();
        self.edit().remove_span(span, count);
    }

    /// Cuts off the elements from `place` on; `index` is how many come before.
    pub(crate) fn split_off(&mut self, place: usize, index: usize) -> Node {
        let (listpack, mut cut) = (self.listpack(), Node::default());
        let (span, count) = (place..listpack.end(), listpack.len() - index);
        cut.edit().append_span(listpack, span.clone(), count);
        self.edit().remove_span(span, count);
        cut
    }

    /// Adds all elements of another node at the back.
    pub(crate) fn append(&mut self, other: &Node) {
        self.edit().append(other.listpack());
    }

    /// Removes elements that equal `element`: at most `count`, the first or the last ones. Answers
    /// how many it removed.
    pub(crate) fn remove_equal(&mut self, element: &[u8], count: usize, first: bool) -> usize {
        let mut found = self.listpack().find_all(element);
        if found.len() > count {
            let surplus = found.len() - count;
            found.drain(if first {
                count..found.len()
            } else {
                0..surplus
            });
        }
        if !found.is_empty() {
            self.edit().remove_all(&found);
        }
        found.len()
    }

    /// Gives back what is free, since the node is full.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink();
    }

    #[inline]
    fn edit(&mut self) -> ListpackMut<'_, Gapped> {
        ListpackMut::new(&mut self.0)
    }
}
