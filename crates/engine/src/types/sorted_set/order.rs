//! Order: members by score, and by bytes where scores are equal, with their ranks.
//!
//! A B+ tree whose branches know how many members are below each child:
//!
//! ```text
//!                 branch   | 210 | 180 | 195 |     counts
//!                             |     |     |
//!                             |   (7, m) (9, c)    separators
//!                             v     v     v
//!                           leaf  leaf  leaf       scores | members
//! ```
//!
//! A leaf keeps scores apart from members, so that a search reads a few cache lines of scores, and
//! looks at a member only where a score is equal to the one it is looking for. A separator is not
//! greater than the members to its right, and greater than those to its left; it is a copy, since
//! its member may be removed before it.
//!
//! All leaves are equally deep. Every node but the root has at least [`NODE_MIN`] children or
//! members, save a last leaf: when members come in ascending order, a full last leaf stays full,
//! and the new one begins with one member.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::cut::{Cut, Side};
use super::member::Member;
use super::score::Score;

/// Entries of a leaf, or children of a branch: some eight cache lines of scores, and a leaf of
/// exactly a kilobyte. With one more, allocators would give it a quarter more.
const NODE_MAX: usize = 63;
/// Nodes that have fewer are joined with a neighbour, or filled up from it.
const NODE_MIN: usize = 16;
/// A leaf is split only if its neighbours have more than this: or else it shares with one of them,
/// and leaves are four fifths full where members come in any order, and not two thirds.
const SHARED_MAX: usize = 55;
/// Two neighbours that have not more than this together become one.
const JOINED_MAX: usize = 48;

/// Members in order, with their ranks. See the module's documentation.
pub(super) struct Order {
    root: Node,
    len: usize,
    nodes: Nodes,
}

/// How many nodes there are, and what the members of all separators have allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nodes {
    leaves: usize,
    branches: usize,
    separator_bytes: usize,
}

enum Node {
    Leaf(Box<Leaf>),
    Branch(Box<Branch>),
}

/// An array of a node's.
type Row<T> = ArrayVec<T, NODE_MAX>;

/// Scores with their members. Both rows are equally long.
#[derive(Default)]
struct Entries {
    scores: Row<Score>,
    members: Row<Member>,
}

type Leaf = Entries;
const _: () = assert!(size_of::<Leaf>() <= 1024);

struct Branch {
    /// The separator at index `i` stands between the children `i` and `i + 1`.
    separators: Entries,
    /// How many members are below each child.
    counts: Row<usize>,
    children: Row<Node>,
}

/// What a node that was too full gave away.
struct Split {
    separator: (Score, Member),
    right: Node,
}

impl Order {
    /// An order of no members.
    pub(super) fn new() -> Order {
        Order {
            root: Node::Leaf(Box::default()),
            len: 0,
            nodes: Nodes {
                leaves: 1,
                ..Nodes::default()
            },
        }
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a member that is not there yet. O(log n).
    pub(super) fn insert(&mut self, score: Score, member: Member) {
        if let Some(Split { separator, right }) =
            self.root.insert(score, member, true, &mut self.nodes)
        {
            self.nodes.branches += 1;
            let left = std::mem::replace(&mut self.root, Node::Leaf(Box::default()));
            self.root = Node::Branch(Box::new(Branch::of_two(left, separator, right)));
        }
        self.len += 1;
    }

    /// Takes out the member of this rank, which must exist. O(log n).
    pub(super) fn remove(&mut self, rank: usize) -> (Score, Member) {
        let removed = self.root.remove(rank, &mut self.nodes);
        self.len -= 1;
        if let Node::Branch(branch) = &mut self.root
            && branch.children.len() == 1
            && let Some(only) = branch.children.pop()
        {
            self.nodes.branches -= 1;
            self.root = only;
        }
        removed
    }

    /// How many members come before a cut. O(log n).
    pub(super) fn rank(&self, cut: Cut<'_>) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.before(cut),
                Node::Branch(branch) => {
                    let index = branch.separators.before(cut);
                    rank += branch.counts[..index].iter().sum::<usize>();
                    node = &branch.children[index];
                }
            }
        }
    }

    /// The members of these ranks, which must exist, in order. O(log n) to begin at either end.
    pub(super) fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        debug_assert!(ranks.end <= self.len);
        Iter {
            order: self,
            ranks,
            front: (&[], &[]),
            back: (&[], &[]),
        }
    }

    /// The leaf in which the member of this rank is, and its index there.
    fn leaf_of(&self, rank: usize) -> (&Leaf, usize) {
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, rank),
                Node::Branch(branch) => {
                    let index = branch.child_of(&mut rank);
                    node = &branch.children[index];
                }
            }
        }
    }

    /// How many bytes the tree itself has allocated: not its members. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        let Nodes {
            leaves, branches, ..
        } = self.nodes;
        let nodes = leaves * size_of::<Leaf>() + branches * size_of::<Branch>();
        nodes + self.nodes.separator_bytes
    }
}

impl Node {
    /// How many entries or children there are.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Branch(branch) => branch.children.len(),
        }
    }

    /// How many members are below.
    fn count(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Branch(branch) => branch.counts.iter().sum(),
        }
    }

    /// `is_last` says that nothing stands to the right of this node.
    fn insert(
        &mut self,
        score: Score,
        member: Member,
        is_last: bool,
        nodes: &mut Nodes,
    ) -> Option<Split> {
        match self {
            Node::Leaf(leaf) => {
                let split = leaf.insert_or_split(score, member, is_last)?;
                nodes.leaves += 1;
                nodes.separator_bytes += split.separator.1.heap_bytes();
                Some(split)
            }
            Node::Branch(branch) => branch.insert(score, member, is_last, nodes),
        }
    }

    fn remove(&mut self, rank: usize, nodes: &mut Nodes) -> (Score, Member) {
        match self {
            Node::Leaf(leaf) => leaf.remove(rank),
            Node::Branch(branch) => branch.remove(rank, nodes),
        }
    }
}

impl Entries {
    fn len(&self) -> usize {
        self.scores.len()
    }

    /// How many entries come before a cut.
    #[inline]
    fn before(&self, cut: Cut<'_>) -> usize {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = (start + end) / 2;
            match cut.is_after(self.scores[middle], |other| {
                self.members[middle].bytes().cmp(other)
            }) {
                true => start = middle + 1,
                false => end = middle,
            }
        }
        start
    }

    fn insert(&mut self, index: usize, score: Score, member: Member) {
        self.scores.insert(index, score);
        self.members.insert(index, member);
    }

    fn remove(&mut self, index: usize) -> (Score, Member) {
        (self.scores.remove(index), self.members.remove(index))
    }

    /// Takes out the entries from `index` on.
    fn split_off(&mut self, index: usize) -> Entries {
        Entries {
            scores: self.scores.drain(index..).collect(),
            members: self.members.drain(index..).collect(),
        }
    }

    /// Adds an entry, and gives away the upper half if there is no room.
    fn insert_or_split(&mut self, score: Score, member: Member, is_last: bool) -> Option<Split> {
        let index = self.before(Cut::Member(Side::Before, score, member.bytes()));
        if self.len() < NODE_MAX {
            self.insert(index, score, member);
            return None;
        }
        let at = match is_last && index == NODE_MAX {
            true => NODE_MAX,
            false => NODE_MAX / 2,
        };
        let mut right = self.split_off(at);
        match index < at {
            true => self.insert(index, score, member),
            false => right.insert(index - at, score, member),
        }
        let separator = (right.scores[0], right.members[0].copy());
        Some(Split {
            separator,
            right: Node::Leaf(Box::new(right)),
        })
    }
}

impl Branch {
    fn of_two(left: Node, separator: (Score, Member), right: Node) -> Branch {
        let mut separators = Entries::default();
        separators.insert(0, separator.0, separator.1);
        Branch {
            separators,
            counts: [left.count(), right.count()].into_iter().collect(),
            children: [left, right].into_iter().collect(),
        }
    }

    /// The child in which the member of this rank is. `rank` becomes its rank there.
    fn child_of(&self, rank: &mut usize) -> usize {
        let mut index = 0;
        while *rank >= self.counts[index] {
            *rank -= self.counts[index];
            index += 1;
        }
        index
    }

    fn insert(
        &mut self,
        score: Score,
        member: Member,
        is_last: bool,
        nodes: &mut Nodes,
    ) -> Option<Split> {
        let cut = Cut::Member(Side::After, score, member.bytes());
        let mut index = self.separators.before(cut);
        if let Some(left) = self.neighbours_to_share(index) {
            self.fill_up(left, nodes);
            index = self.separators.before(cut);
        }
        let is_last = is_last && index + 1 == self.children.len();
        self.counts[index] += 1;
        let split = self.children[index].insert(score, member, is_last, nodes)?;
        self.counts[index] -= split.right.count();
        if self.children.len() < NODE_MAX {
            self.insert_child(index + 1, split);
            return None;
        }
        let at = NODE_MAX / 2;
        let (separator, mut right) = self.split_off(at);
        match index < at {
            true => self.insert_child(index + 1, split),
            false => right.insert_child(index + 1 - at, split),
        }
        nodes.branches += 1;
        Some(Split {
            separator,
            right: Node::Branch(Box::new(right)),
        })
    }

    /// If the child at `index` is a full leaf with a neighbour that has room: the index of the left
    /// one of the two.
    fn neighbours_to_share(&self, index: usize) -> Option<usize> {
        let Node::Leaf(full) = &self.children[index] else {
            return None;
        };
        if full.len() < NODE_MAX {
            return None;
        }
        let has_room = |index: usize| {
            let neighbour = self.children.get(index);
            neighbour.is_some_and(|leaf| leaf.len() <= SHARED_MAX)
        };
        match index.checked_sub(1) {
            Some(before) if has_room(before) => Some(before),
            _ => has_room(index + 1).then_some(index),
        }
    }

    /// Puts the right side of a split child, which stands before `index`, beside it.
    fn insert_child(&mut self, index: usize, Split { separator, right }: Split) {
        self.separators.insert(index - 1, separator.0, separator.1);
        self.counts.insert(index, right.count());
        self.children.insert(index, right);
    }

    /// Takes out the children from `index` on, and the separator before them.
    fn split_off(&mut self, index: usize) -> ((Score, Member), Branch) {
        let right = Branch {
            separators: self.separators.split_off(index),
            counts: self.counts.drain(index..).collect(),
            children: self.children.drain(index..).collect(),
        };
        (self.separators.remove(index - 1), right)
    }

    fn remove(&mut self, mut rank: usize, nodes: &mut Nodes) -> (Score, Member) {
        let index = self.child_of(&mut rank);
        let removed = self.children[index].remove(rank, nodes);
        self.counts[index] -= 1;
        if self.children[index].len() < NODE_MIN && self.children.len() > 1 {
            self.fill_up(index.saturating_sub(1), nodes);
        }
        removed
    }

    /// Joins the child at `index` with the one to its right, or shares evenly between the two.
    fn fill_up(&mut self, index: usize, nodes: &mut Nodes) {
        let (separator, mut right) = (
            self.separators.remove(index),
            self.children.remove(index + 1),
        );
        self.counts.remove(index + 1);
        let left = &mut self.children[index];
        let total = left.len() + right.len();
        let left_len = if total <= JOINED_MAX {
            total
        } else {
            total / 2
        };
        let is_leaf = matches!(left, Node::Leaf(_));
        if is_leaf {
            nodes.separator_bytes -= separator.1.heap_bytes();
        }
        let separator = left.share(separator, &mut right, left_len);
        if is_leaf && let Some((_, member)) = &separator {
            nodes.separator_bytes += member.heap_bytes();
        }
        self.counts[index] = left.count();
        match (separator, right) {
            (Some(separator), right) => self.insert_child(index + 1, Split { separator, right }),
            (None, Node::Leaf(_)) => nodes.leaves -= 1,
            (None, Node::Branch(_)) => nodes.branches -= 1,
        }
    }
}

impl Node {
    /// Moves entries or children between two neighbours until the left has `left_len`. Answers
    /// their new separator, or `None` if the right one is empty now.
    fn share(
        &mut self,
        separator: (Score, Member),
        right: &mut Node,
        left_len: usize,
    ) -> Option<(Score, Member)> {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => {
                left.share(right, left_len);
                Some((*right.scores.first()?, right.members.first()?.copy()))
            }
            (Node::Branch(left), Node::Branch(right)) => {
                let end = left.separators.len();
                left.separators.insert(end, separator.0, separator.1);
                share(&mut left.counts, &mut right.counts, left_len);
                share(&mut left.children, &mut right.children, left_len);
                let separators = left.separators.len() + right.separators.len();
                left.separators
                    .share(&mut right.separators, left_len.min(separators));
                (!right.children.is_empty()).then(|| left.separators.remove(left_len - 1))
            }
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

impl Entries {
    fn share(&mut self, right: &mut Entries, left_len: usize) {
        share(&mut self.scores, &mut right.scores, left_len);
        share(&mut self.members, &mut right.members, left_len);
    }
}

/// Moves items between two neighbours until the left one has `left_len`.
fn share<T>(left: &mut Row<T>, right: &mut Row<T>, left_len: usize) {
    if left.len() < left_len {
        left.extend(right.drain(..left_len - left.len()));
    } else {
        let mut moved: Row<T> = left.drain(left_len..).collect();
        moved.extend(right.drain(..));
        *right = moved;
    }
}

/// Members of a range of ranks, from either end.
///
/// Keeps what is left of the leaf that it is in, at either end, and looks for the next leaf by its
/// rank: so leaves need not know their neighbours.
pub(super) struct Iter<'a> {
    order: &'a Order,
    ranks: Range<usize>,
    front: (&'a [Score], &'a [Member]),
    back: (&'a [Score], &'a [Member]),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Score, &'a Member);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        if self.front.0.is_empty() {
            let (leaf, index) = self.order.leaf_of(rank);
            self.front = (&leaf.scores[index..], &leaf.members[index..]);
        }
        let ((score, scores), (member, members)) =
            (self.front.0.split_first()?, self.front.1.split_first()?);
        self.front = (scores, members);
        Some((*score, member))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        if self.back.0.is_empty() {
            let (leaf, index) = self.order.leaf_of(rank);
            self.back = (&leaf.scores[..=index], &leaf.members[..=index]);
        }
        let ((score, scores), (member, members)) =
            (self.back.0.split_last()?, self.back.1.split_last()?);
        self.back = (scores, members);
        Some((*score, member))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests;
