//! List: elements in the order in which they were put.
//!
//! A small list is one packed [`Node`] (Redis's encoding "listpack"). A larger one is a deque of
//! nodes of at most `list-max-listpack-size` ("quicklist"):
//!
//! ```text
//! Many: | node | node | ... | node |     node: | gap | entry | entry | ... | room |
//! ```
//!
//! So both ends are O(1), an index is found by counting nodes and then entries from the nearer
//! end, and an element costs its bytes and two more. An element larger than a node is alone in
//! its own.
//!
//! Invariants: `len` is the number of all elements; no node of a deque is empty; a deque has at
//! least one node unless it is being built. [`List::settle`] keeps the last two.
//!
//! Nothing here knows of keys, replies or time. Those are the business of `commands.rs`.

pub(crate) mod commands;
mod node;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use self::node::{Capacity, Node};
use crate::types::Limits;

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

#[derive(Clone, Debug)]
enum Nodes {
    One(Node),
    Many(VecDeque<Node>),
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes::One(Node::default())
    }
}

/// Where an element is.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The index of its node.
    node: usize,
    /// Its index in the node.
    index: usize,
}

impl List {
    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What `OBJECT ENCODING` answers.
    pub(crate) fn encoding(&self) -> &'static str {
        match self.nodes {
            Nodes::One(_) => "listpack",
            Nodes::Many(_) => "quicklist",
        }
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let table = match &self.nodes {
            Nodes::One(_) => 0,
            Nodes::Many(nodes) => nodes.capacity() * size_of::<Node>(),
        };
        table + self.nodes.iter().map(Node::heap_bytes).sum::<usize>()
    }

    // --- the ends ------------------------------------------------------------------------------

    /// The element at an end. O(1).
    pub(crate) fn peek(&self, side: Side) -> Option<&[u8]> {
        let node = self.nodes.at(side);
        if node.is_empty() {
            return None;
        }
        Some(match side {
            Side::Left => node.element(node.first()).0,
            Side::Right => node.element_before(node.end()).0,
        })
    }

    /// Adds an element at an end. O(1).
    pub(crate) fn push(&mut self, side: Side, element: &[u8], limits: Limits) {
        let capacity = Capacity::new(limits);
        if !self.nodes.at(side).has_room_for(element, capacity) {
            self.nodes.extend(side);
        }
        let node = self.nodes.at_mut(side);
        match side {
            Side::Left => node.push_front(element, capacity),
            Side::Right => node.push_back(element, capacity),
        }
        self.len += 1;
    }

    /// Removes `count` elements at an end, or all if there are not so many.
    pub(crate) fn discard(&mut self, side: Side, count: usize, limits: Limits) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let node = self.nodes.at_mut(side);
            let dropped = left.min(node.len());
            match side {
                Side::Left => node.drop_front(dropped),
                Side::Right => node.drop_back(dropped),
            }
            left -= dropped;
            self.nodes.drop_empty(side);
        }
        self.settle(Capacity::new(limits));
    }

    // --- by index ------------------------------------------------------------------------------

    /// The element at `index`. O(1) near the ends.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.iter_from(index).next()
    }

    /// Puts `element` in the place of the one at `index`. Answers whether there is one.
    pub(crate) fn set(&mut self, index: usize, element: &[u8], limits: Limits) -> bool {
        if index >= self.len {
            return false;
        }
        let capacity = Capacity::new(limits);
        let position = self.position(index);
        let node = self.nodes.get_mut(position.node);
        let place = node.place(position.index);
        if node.can_replace(place, element, capacity) {
            node.replace(place, element);
            return true;
        }
        node.remove(place);
        self.len -= 1;
        self.insert(index, element, limits);
        true
    }

    /// Puts an element before the one at `index`, or at the end if there is none.
    pub(crate) fn insert(&mut self, index: usize, element: &[u8], limits: Limits) {
        if index == 0 || index >= self.len {
            let side = if index == 0 { Side::Left } else { Side::Right };
            return self.push(side, element, limits);
        }
        let capacity = Capacity::new(limits);
        let position = self.position(index);
        let node = self.nodes.get_mut(position.node);
        let place = node.place(position.index);
        if node.has_room_for(element, capacity) {
            node.insert(place, element);
        } else {
            let tail = node.split_off(place, position.index);
            self.insert_between(position.node, element, tail, capacity);
        }
        self.len += 1;
    }

    /// Puts an element between a node and the `tail` that was cut from it.
    fn insert_between(&mut self, node: usize, element: &[u8], mut tail: Node, capacity: Capacity) {
        let nodes = self.nodes.many();
        let mut next = node + 1;
        if nodes[node].is_empty() {
            nodes.remove(node);
            next = node;
        }
        let previous = next
            .checked_sub(1)
            .and_then(|previous| nodes.get_mut(previous));
        match previous {
            Some(previous) if previous.has_room_for(element, capacity) => {
                previous.push_back(element, capacity);
            }
            _ if tail.has_room_for(element, capacity) => tail.push_front(element, capacity),
            _ => {
                let mut alone = Node::default();
                alone.push_back(element, capacity);
                nodes.insert(next, alone);
                next += 1;
            }
        }
        nodes.insert(next, tail);
    }

    /// Keeps the elements with these indices, and removes the others.
    pub(crate) fn trim(&mut self, range: Range<usize>, limits: Limits) {
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
        limits: Limits,
    ) -> usize {
        let mut left = count;
        for step in 0..self.nodes.len() {
            let node = match side {
                Side::Left => step,
                Side::Right => self.nodes.len() - 1 - step,
            };
            let node = self.nodes.get_mut(node);
            left -= node.remove_equal(element, left, side == Side::Left);
            if left == 0 {
                break;
            }
        }
        let removed = count - left;
        self.len -= removed;
        if removed > 0 {
            self.merge(Capacity::new(limits));
        }
        removed
    }

    // --- order ---------------------------------------------------------------------------------

    /// All elements, from the left to the right.
    pub(crate) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` on, towards the right.
    pub(crate) fn iter_from(&self, index: usize) -> Iter<'_> {
        if index >= self.len {
            return Iter {
                nodes: &self.nodes,
                node: 0,
                place: 0,
                left: 0,
            };
        }
        let Position {
            node,
            index: within,
        } = self.position(index);
        let place = self.nodes.get(node).place(within);
        Iter {
            nodes: &self.nodes,
            node,
            place,
            left: self.len - index,
        }
    }

    /// The elements from `index` on, towards the left.
    pub(crate) fn rev_from(&self, index: usize) -> RevIter<'_> {
        if index >= self.len {
            return RevIter {
                nodes: &self.nodes,
                node: 0,
                place: 0,
                left: 0,
            };
        }
        let Position {
            node,
            index: within,
        } = self.position(index);
        let place = self.nodes.get(node).place(within + 1);
        RevIter {
            nodes: &self.nodes,
            node,
            place,
            left: index + 1,
        }
    }

    /// Where the element at `index` is. Nodes are counted from the nearer end.
    fn position(&self, index: usize) -> Position {
        debug_assert!(index < self.len);
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

    // --- layout --------------------------------------------------------------------------------

    /// Joins neighbours that fit into one node, after elements were removed all over the list.
    fn merge(&mut self, capacity: Capacity) {
        if let Nodes::Many(nodes) = &mut self.nodes {
            let mut merged: VecDeque<Node> = VecDeque::with_capacity(nodes.len());
            for node in nodes.drain(..).filter(|node| !node.is_empty()) {
                match merged.back_mut() {
                    Some(last) if last.has_room_for_all(&node, capacity) => last.append(&node),
                    _ => merged.push_back(node),
                }
            }
            *nodes = merged;
        }
        self.settle(capacity);
    }

    /// Packs the list into one node again if it has become small: under half of what a node may
    /// hold, so that a list at the border does not change its layout with each command.
    fn settle(&mut self, capacity: Capacity) {
        let Nodes::Many(nodes) = &mut self.nodes else {
            return;
        };
        match nodes.len() {
            0 => self.nodes = Nodes::default(),
            1 if nodes[0].is_within(capacity.half()) => {
                self.nodes = Nodes::One(std::mem::take(&mut nodes[0]));
            }
            _ => {}
        }
    }
}

impl Nodes {
    fn len(&self) -> usize {
        match self {
            Nodes::One(_) => 1,
            Nodes::Many(nodes) => nodes.len(),
        }
    }

    fn get(&self, index: usize) -> &Node {
        match self {
            Nodes::One(node) => node,
            Nodes::Many(nodes) => &nodes[index],
        }
    }

    fn get_mut(&mut self, index: usize) -> &mut Node {
        match self {
            Nodes::One(node) => node,
            Nodes::Many(nodes) => &mut nodes[index],
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Node> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The node at an end.
    fn at(&self, side: Side) -> &Node {
        self.get(self.index_of(side))
    }

    fn at_mut(&mut self, side: Side) -> &mut Node {
        self.get_mut(self.index_of(side))
    }

    fn index_of(&self, side: Side) -> usize {
        match side {
            Side::Left => 0,
            Side::Right => self.len() - 1,
        }
    }

    /// The nodes as a deque, which they become if they were one.
    fn many(&mut self) -> &mut VecDeque<Node> {
        if let Nodes::One(node) = self {
            let node = std::mem::take(node);
            *self = Nodes::Many(VecDeque::from_iter((!node.is_empty()).then_some(node)));
        }
        match self {
            Nodes::Many(nodes) => nodes,
            Nodes::One(_) => unreachable!("one node has just become many"),
        }
    }

    /// Adds an empty node at an end; what was there is full.
    fn extend(&mut self, side: Side) {
        let nodes = self.many();
        match side {
            Side::Left => nodes.push_front(Node::default()),
            Side::Right => nodes.push_back(Node::default()),
        }
    }

    /// Removes the node at an end if it is empty.
    fn drop_empty(&mut self, side: Side) {
        match (self, side) {
            (Nodes::Many(nodes), Side::Left) => drop(nodes.pop_front_if(|node| node.is_empty())),
            (Nodes::Many(nodes), Side::Right) => drop(nodes.pop_back_if(|node| node.is_empty())),
            (Nodes::One(_), _) => {}
        }
    }
}

/// Elements towards the right.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    nodes: &'a Nodes,
    node: usize,
    place: usize,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        if self.place == self.nodes.get(self.node).end() {
            self.node += 1;
            self.place = self.nodes.get(self.node).first();
        }
        let (element, next) = self.nodes.get(self.node).element(self.place);
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
    place: usize,
    left: usize,
}

impl<'a> Iterator for RevIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        if self.place == self.nodes.get(self.node).first() {
            self.node -= 1;
            self.place = self.nodes.get(self.node).end();
        }
        let (element, place) = self.nodes.get(self.node).element_before(self.place);
        self.place = place;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RevIter<'_> {}
