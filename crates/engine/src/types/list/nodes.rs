//! The nodes of a list: one while it is small, a deque of them afterwards.

use std::collections::VecDeque;

use super::Side;
use super::node::{Capacity, Node};

/// From so many nodes on, the next one is allocated whole, which spares its copies as it grows: a list
/// wastes an eighth of its memory at most.
const LONG: usize = 8;

/// Nodes in order, and how many bytes they have allocated.
///
/// Invariants: `node_bytes` is the sum of all nodes' bytes, since a node is changed by
/// [`Nodes::change`] only; no node of a deque is empty, and a deque has at least one node, unless
/// it is being built: [`Nodes::settle`] keeps that.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    repr: Repr,
    node_bytes: usize,
}

#[derive(Clone, Debug)]
enum Repr {
    One(Node),
    Many(VecDeque<Node>),
}

impl Default for Repr {
    fn default() -> Repr {
        Repr::One(Node::default())
    }
}

impl Nodes {
    /// Whether there is one node because the list is small.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.repr, Repr::One(_))
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        match &self.repr {
            Repr::One(_) => 1,
            Repr::Many(nodes) => nodes.len(),
        }
    }

    /// The node at this index.
    #[inline]
    pub(super) fn get(&self, index: usize) -> &Node {
        match &self.repr {
            Repr::One(node) => node,
            Repr::Many(nodes) => &nodes[index],
        }
    }

    /// The node at an end.
    #[inline]
    pub(super) fn at(&self, side: Side) -> &Node {
        self.get(self.index_of(side))
    }

    /// The index of the node at an end.
    #[inline]
    pub(super) fn index_of(&self, side: Side) -> usize {
        match side {
            Side::Left => 0,
            Side::Right => self.len() - 1,
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let deque = match &self.repr {
            Repr::One(_) => 0,
            Repr::Many(nodes) => nodes.capacity() * size_of::<Node>(),
        };
        deque + self.node_bytes
    }

    // --- changes -------------------------------------------------------------------------------

    /// Changes the node at this index.
    #[inline]
    pub(super) fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut Node) -> T) -> T {
        let node = match &mut self.repr {
            Repr::One(node) => node,
            Repr::Many(nodes) => &mut nodes[index],
        };
        let before = node.heap_bytes();
        let answer = change(node);
        self.node_bytes = self.node_bytes - before + node.heap_bytes();
        answer
    }

    /// Makes a deque of a small list which `element` would make too large.
    pub(super) fn make_room_for(&mut self, element: &[u8], capacity: Capacity) {
        if let Repr::One(node) = &self.repr
            && !node.is_whole_with(element, capacity)
        {
            self.many();
        }
    }

    /// Adds an empty node at an end, for an element of so many bytes; what was there is full.
    pub(super) fn extend(&mut self, side: Side, element: usize, capacity: Capacity) {
        self.change(self.index_of(side), Node::shrink);
        let node = match self.len() {
            ..LONG => Node::default(),
            _ => Node::to_be_filled(side, element, capacity),
        };
        self.node_bytes += node.heap_bytes();
        let nodes = self.many();
        match side {
            Side::Left => nodes.push_front(node),
            Side::Right => nodes.push_back(node),
        }
    }

    /// Puts a node before the one at this index.
    pub(super) fn insert(&mut self, index: usize, node: Node) {
        let bytes = node.heap_bytes();
        self.many().insert(index, node);
        self.node_bytes += bytes;
    }

    /// Removes the node at this index, if it is empty and not the only one.
    pub(super) fn remove_empty(&mut self, index: usize) {
        if let Repr::Many(nodes) = &mut self.repr
            && nodes[index].is_empty()
            && let Some(node) = nodes.remove(index)
        {
            self.node_bytes -= node.heap_bytes();
        }
    }

    /// Joins the node at this index with its right neighbour, if they fit into one. Answers whether
    /// they did.
    pub(super) fn join(&mut self, index: usize, capacity: Capacity) -> bool {
        let Repr::Many(nodes) = &mut self.repr else {
            return false;
        };
        let (Some(left), Some(right)) = (nodes.get(index), nodes.get(index + 1)) else {
            return false;
        };
        if !left.has_room_for_all(right, capacity) {
            return false;
        }
        if let Some(right) = nodes.remove(index + 1) {
            self.node_bytes -= right.heap_bytes();
            self.change(index, |left| left.append(&right));
        }
        true
    }

    /// Joins all neighbours that fit into one node, after elements were removed all over the list.
    pub(super) fn join_all(&mut self, capacity: Capacity) {
        let Repr::Many(nodes) = &mut self.repr else {
            return;
        };
        let mut joined: VecDeque<Node> = VecDeque::with_capacity(nodes.len());
        for node in nodes.drain(..).filter(|node| !node.is_empty()) {
            match joined.back_mut() {
                Some(last) if last.has_room_for_all(&node, capacity) => last.append(&node),
                _ => joined.push_back(node),
            }
        }
        self.node_bytes = joined.iter().map(Node::heap_bytes).sum();
        *nodes = joined;
    }

    /// Packs the list into one node again if it has become small: under half of what a node may
    /// hold, so that a list at the border does not change its layout with each command.
    pub(super) fn settle(&mut self, capacity: Capacity) {
        let Repr::Many(nodes) = &mut self.repr else {
            return;
        };
        match nodes.len() {
            0 => *self = Nodes::default(),
            1 if nodes[0].is_within(capacity.half()) => {
                self.repr = Repr::One(std::mem::take(&mut nodes[0]));
            }
            _ => {}
        }
    }

    /// The nodes as a deque, which they become if they were one.
    fn many(&mut self) -> &mut VecDeque<Node> {
        if let Repr::One(node) = &mut self.repr {
            let node = std::mem::take(node);
            if node.is_empty() {
                self.node_bytes = 0;
            }
            self.repr = Repr::Many(VecDeque::from_iter((!node.is_empty()).then_some(node)));
        }
        match &mut self.repr {
            Repr::Many(nodes) => nodes,
            Repr::One(_) => unreachable!("one node has just become many"),
        }
    }

    /// Asserts what the documentation promises.
    #[cfg(test)]
    pub(super) fn check_invariants(&self, capacity: Capacity) {
        let nodes: Vec<&Node> = (0..self.len()).map(|index| self.get(index)).collect();
        let bytes: usize = nodes.iter().map(|node| node.heap_bytes()).sum();
        assert_eq!(self.node_bytes, bytes);
        if let Repr::Many(_) = &self.repr {
            let capacity = capacity.of_whole();
            let fits = |node: &&Node| node.len() == 1 || node.is_within(capacity);
            assert!(nodes.iter().all(fits));
            assert!(!nodes.is_empty() && nodes.iter().all(|node| !node.is_empty()));
        }
    }
}

impl Clone for Nodes {
    fn clone(&self) -> Nodes {
        let mut clone = Nodes {
            repr: self.repr.clone(),
            node_bytes: 0,
        };
        // A copy has no room for more.
        let bytes = |index| clone.get(index).heap_bytes();
        clone.node_bytes = (0..clone.len()).map(bytes).sum();
        clone
    }
}
