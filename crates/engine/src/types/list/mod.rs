//! List: elements in the order in which they were put.
//!
//! A small list is one [`Node`], which is a listpack (Redis's encoding "listpack"). A larger one is
//! a deque of nodes of at most `list-max-listpack-size` ("quicklist"):
//!
//! ```text
//! | node | node | ... | node |     node: | gap | listpack | room |
//! ```
//!
//! So both ends are O(1), an index is found by counting nodes and then entries from the nearer
//! end, and an element costs its bytes and two more. An element larger than a node is alone in
//! its own.
//!
//! Invariant: `len` is the number of all elements. `nodes.rs` says what holds of the nodes.
//!
//! Nothing here knows of keys, replies or time. Those are the business of `commands.rs`.

pub(crate) mod commands;
mod node;
mod nodes;

#[cfg(test)]
mod tests;

use std::ops::Range;

use self::node::{Capacity, Node};
use self::nodes::Nodes;
use crate::keyspace::entry::{Object, Str};
use crate::types::Limits;
use crate::types::listpack::Listpack;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Elements in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    nodes: Nodes,
    len: usize,
}

/// Where an element is.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The index of its node.
    node: usize,
    /// Its index in the node.
    index: usize,
}

impl Object for List {
    const TYPE_NAME: &'static str = "list";

    const IS_ORDERED: bool = true;

    fn len(&self) -> usize {
        self.len
    }

    fn encoding(&self) -> &'static str {
        match self.nodes.is_one() {
            true => "listpack",
            false => "quicklist",
        }
    }

    fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes()
    }

    fn copy(&self, _: &Limits) -> List {
        self.clone()
    }

    fn elements(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.iter().map(Str::to_vec).collect())
    }
}

impl List {
    // --- the ends ------------------------------------------------------------------------------

    /// The element at an end. O(1).
    pub(crate) fn peek(&self, side: Side) -> Option<Str<'_>> {
        let listpack = self.nodes.at(side).listpack();
        if listpack.is_empty() {
            return None;
        }
        Some(match side {
            Side::Left => listpack.element(listpack.first()).0,
            Side::Right => listpack.element_before(listpack.end()).0,
        })
    }

    /// Adds an element at an end. O(1).
    pub(crate) fn push(&mut self, side: Side, element: &[u8], limits: &Limits) {
        let (capacity, node) = (Capacity::new(limits), self.nodes.at(side));
        let has_room = match self.nodes.is_one() {
            true => node.is_whole_with(element, capacity),
            false => node.is_empty() || node.has_room_for(element, capacity),
        };
        if !has_room {
            self.nodes.extend(side, element.len(), capacity);
        }
        self.nodes
            .change(self.nodes.index_of(side), |node| match side {
                Side::Left => node.push_front(element),
                Side::Right => node.push_back(element),
            });
        self.len += 1;
    }

    /// Removes `count` elements at an end, or all if there are not so many.
    pub(crate) fn discard(&mut self, side: Side, count: usize, limits: &Limits) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let index = self.nodes.index_of(side);
            let there = self.nodes.get(index).len();
            let dropped = left.min(there);
            self.nodes.change(index, |node| match side {
                Side::Left => node.drop_front(dropped),
                Side::Right => node.drop_back(dropped),
            });
            left -= dropped;
            if dropped == there {
                self.nodes.remove_empty(index);
            }
        }
        self.nodes.settle(Capacity::new(limits));
    }

    // --- by index ------------------------------------------------------------------------------

    /// The nodes, as listpacks.
    pub(crate) fn listpacks(&self) -> impl ExactSizeIterator<Item = Listpack<'_>> {
        (0..self.nodes.len()).map(|index| self.nodes.get(index).listpack())
    }

    /// The element at `index`. O(1) near the ends.
    pub(crate) fn get(&self, index: usize) -> Option<Str<'_>> {
        self.iter_from(index).next()
    }

    /// The index of the first element that equals `element`.
    pub(crate) fn position_of(&self, element: &[u8]) -> Option<usize> {
        let element = Str::of(element);
        self.iter().position(|other| other == element)
    }

    /// Puts `element` in the place of the one at `index`. Answers whether there is one.
    pub(crate) fn set(&mut self, index: usize, element: &[u8], limits: &Limits) -> bool {
        if index >= self.len {
            return false;
        }
        let capacity = Capacity::new(limits);
        // As for one more element, and not for one in the place of another.
        self.nodes.make_room_for(element, capacity);
        let position = self.position(index);
        let node = self.nodes.get(position.node);
        let place = node.listpack().place(position.index);
        if node.can_replace(place, element, capacity) {
            self.nodes
                .change(position.node, |node| node.replace(place, element));
            self.nodes.settle(capacity);
            return true;
        }
        self.nodes.change(position.node, |node| node.remove(place));
        self.len -= 1;
        self.insert(index, element, limits);
        true
    }

    /// Puts an element before the one at `index`, or at the end if there is none.
    pub(crate) fn insert(&mut self, index: usize, element: &[u8], limits: &Limits) {
        if index == 0 || index >= self.len {
            let side = if index == 0 { Side::Left } else { Side::Right };
            return self.push(side, element, limits);
        }
        let capacity = Capacity::new(limits);
        self.nodes.make_room_for(element, capacity);
        let position = self.position(index);
        let node = self.nodes.get(position.node);
        let place = node.listpack().place(position.index);
        if self.nodes.is_one() || node.has_room_for(element, capacity) {
            self.nodes
                .change(position.node, |node| node.insert(place, element));
        } else {
            let split = |node: &mut Node| node.split_off(place, position.index);
            let tail = self.nodes.change(position.node, split);
            self.insert_between(position.node, element, tail, capacity);
        }
        self.len += 1;
    }

    /// Puts an element between a node and the `tail` that was cut from it.
    fn insert_between(&mut self, node: usize, element: &[u8], mut tail: Node, capacity: Capacity) {
        let before = match self.nodes.get(node).is_empty() {
            // The one before is then next to what is inserted.
            true => node.checked_sub(1),
            false => Some(node),
        };
        let before = before.filter(|node| self.nodes.get(*node).has_room_for(element, capacity));
        let mut next = node + 1;
        if let Some(before) = before {
            self.nodes.change(before, |node| node.push_back(element));
        } else if tail.has_room_for(element, capacity) {
            tail.push_front(element);
        } else {
            let mut alone = Node::default();
            alone.push_back(element);
            self.nodes.insert(next, alone);
            next += 1;
        }
        self.nodes.insert(next, tail);
        self.nodes.remove_empty(node);
    }

    /// Keeps the elements with these indices, and removes the others.
    pub(crate) fn trim(&mut self, range: Range<usize>, limits: &Limits) {
        let end = range.end.min(self.len);
        self.discard(Side::Right, self.len - end, limits);
        self.discard(Side::Left, range.start, limits);
    }

    /// Removes elements that equal `element`: at most `count`, those nearest to `side`. Answers
    /// how many it removed.
    pub(crate) fn remove(
        &mut self,
        element: &[u8],
        count: usize,
        side: Side,
        limits: &Limits,
    ) -> usize {
        let (mut left, mut changed, mut last) = (count, 0, 0);
        for step in 0..self.nodes.len() {
            let index = match side {
                Side::Left => step,
                Side::Right => self.nodes.len() - 1 - step,
            };
            let remove = |node: &mut Node| node.remove_equal(element, left, side == Side::Left);
            let removed = self.nodes.change(index, remove);
            if removed > 0 {
                (changed, last) = (changed + 1, index);
            }
            left -= removed;
            if left == 0 {
                break;
            }
        }
        self.len -= count - left;
        let capacity = Capacity::new(limits);
        match changed {
            0 => {}
            1 => self.join_around(last, capacity),
            _ => self.nodes.join_all(capacity),
        }
        self.nodes.settle(capacity);
        count - left
    }

    /// Joins a node that has become smaller with its neighbours, where that is possible.
    fn join_around(&mut self, index: usize, capacity: Capacity) {
        self.nodes.join(index, capacity);
        if let Some(before) = index.checked_sub(1) {
            self.nodes.join(before, capacity);
        }
        if index < self.nodes.len() {
            self.nodes.remove_empty(index);
        }
    }

    // --- order ---------------------------------------------------------------------------------

    /// All elements, from the left to the right.
    pub(crate) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` on, towards the right.
    pub(crate) fn iter_from(&self, index: usize) -> Iter<'_> {
        let position = self.position(index.min(self.len.saturating_sub(1)));
        let listpack = self.nodes.get(position.node).listpack();
        Iter {
            nodes: &self.nodes,
            node: position.node,
            listpack,
            place: listpack.place(position.index),
            left: self.len.saturating_sub(index),
        }
    }

    /// The elements from `index` on, towards the left.
    pub(crate) fn rev_from(&self, index: usize) -> RevIter<'_> {
        let is_there = index < self.len;
        let position = self.position(index.min(self.len.saturating_sub(1)));
        let listpack = self.nodes.get(position.node).listpack();
        RevIter {
            nodes: &self.nodes,
            node: position.node,
            listpack,
            place: listpack.place(position.index + usize::from(is_there)),
            left: if is_there { index + 1 } else { 0 },
        }
    }

    /// Where the element at `index` is, which must exist unless it is 0. Nodes are counted from the
    /// nearer end.
    fn position(&self, index: usize) -> Position {
        if self.len == 0 {
            return Position { node: 0, index: 0 };
        }
        if index <= self.len / 2 {
            let (mut node, mut index) = (0, index);
            while index >= self.nodes.get(node).len() {
                index -= self.nodes.get(node).len();
                node += 1;
            }
            return Position { node, index };
        }
        let (mut node, mut after) = (self.nodes.len() - 1, self.len - index);
        while after > self.nodes.get(node).len() {
            after -= self.nodes.get(node).len();
            node -= 1;
        }
        Position {
            node,
            index: self.nodes.get(node).len() - after,
        }
    }
}

/// Elements towards the right.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    nodes: &'a Nodes,
    node: usize,
    /// That of the node.
    listpack: Listpack<'a>,
    place: usize,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Str<'a>;

    #[inline]
    fn next(&mut self) -> Option<Str<'a>> {
        self.left = self.left.checked_sub(1)?;
        if self.place == self.listpack.end() {
            self.node += 1;
            self.listpack = self.nodes.get(self.node).listpack();
            self.place = self.listpack.first();
        }
        let (element, next) = self.listpack.element(self.place);
        self.place = next;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Elements towards the left.
#[derive(Clone, Debug)]
pub(crate) struct RevIter<'a> {
    nodes: &'a Nodes,
    node: usize,
    /// That of the node.
    listpack: Listpack<'a>,
    place: usize,
    left: usize,
}

impl<'a> Iterator for RevIter<'a> {
    type Item = Str<'a>;

    #[inline]
    fn next(&mut self) -> Option<Str<'a>> {
        self.left = self.left.checked_sub(1)?;
        if self.place == self.listpack.first() {
            self.node -= 1;
            self.listpack = self.nodes.get(self.node).listpack();
            self.place = self.listpack.end();
        }
        let (element, place) = self.listpack.element_before(self.place);
        self.place = place;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RevIter<'_> {}
