//! The tree against a sorted vector.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn score(value: f64) -> Score {
    Score::new(value).unwrap()
}

impl Order {
    /// Asserts what the module's documentation says of the tree.
    fn check_invariants(&self) {
        let mut depths = Vec::new();
        self.root.check(None, None, 0, true, true, &mut depths);
        assert_eq!(self.nodes, self.root.nodes());
        depths.dedup();
        assert_eq!(depths.len(), 1, "leaves are not equally deep");
        assert_eq!(self.root.count(), self.len);
    }
}

type Bound<'a> = Option<(Score, &'a [u8])>;

impl Node {
    /// How many nodes there are from here down.
    fn nodes(&self) -> Nodes {
        let Node::Branch(branch) = self else {
            return Nodes {
                leaves: 1,
                ..Nodes::default()
            };
        };
        let separators = branch.separators.members.iter().map(Member::heap_bytes);
        let mut all = Nodes {
            branches: 1,
            separator_bytes: separators.sum(),
            ..Nodes::default()
        };
        for below in branch.children.iter().map(Node::nodes) {
            all.leaves += below.leaves;
            all.branches += below.branches;
            all.separator_bytes += below.separator_bytes;
        }
        all
    }

    fn check(
        &self,
        from: Bound<'_>,
        until: Bound<'_>,
        depth: usize,
        is_root: bool,
        is_last: bool,
        depths: &mut Vec<usize>,
    ) {
        let entries = match self {
            Node::Leaf(leaf) => leaf,
            Node::Branch(branch) => &branch.separators,
        };
        let keys: Vec<_> = entries
            .scores
            .iter()
            .copied()
            .zip(entries.members.iter().map(Member::bytes))
            .collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(from.is_none_or(|from| keys.iter().all(|key| from <= *key)));
        assert!(until.is_none_or(|until| keys.iter().all(|key| *key < until)));
        match self {
            Node::Leaf(leaf) => {
                assert!(is_root || leaf.len() >= if is_last { 1 } else { NODE_MIN });
                assert_eq!(leaf.scores.len(), leaf.members.len());
                depths.push(depth);
            }
            Node::Branch(branch) => {
                let len = branch.children.len();
                assert!(len >= if is_root { 2 } else { NODE_MIN });
                assert_eq!(
                    (branch.separators.len(), branch.counts.len()),
                    (len - 1, len)
                );
                for (index, child) in branch.children.iter().enumerate() {
                    assert_eq!(child.count(), branch.counts[index]);
                    let from = if index == 0 {
                        from
                    } else {
                        Some(keys[index - 1])
                    };
                    let until = keys.get(index).copied().or(until);
                    let is_last = is_last && index + 1 == len;
                    child.check(from, until, depth + 1, false, is_last, depths);
                }
            }
        }
    }
}

/// The tree and its model, changed together.
struct Both {
    order: Order,
    model: Vec<(Score, Vec<u8>)>,
}

impl Both {
    fn new() -> Both {
        Both {
            order: Order::new(),
            model: Vec::new(),
        }
    }

    fn insert(&mut self, number: u32, scores: u32) {
        let key = (
            score(f64::from(number % scores)),
            number.to_be_bytes().to_vec(),
        );
        if let Err(index) = self.model.binary_search(&key) {
            self.order.insert(key.0, Member::new(&key.1, key.0));
            self.model.insert(index, key);
        }
    }

    fn remove(&mut self, random: usize) {
        if !self.model.is_empty() {
            let rank = random % self.model.len();
            let (score, member) = self.order.remove(rank);
            assert_eq!((score, member.bytes().to_vec()), self.model.remove(rank));
        }
    }

    fn check(&self) {
        self.order.check_invariants();
        assert_eq!(self.order.len(), self.model.len());
        let all = self.order.range(0..self.model.len());
        assert!(
            all.map(|(score, member)| (score, member.bytes().to_vec()))
                .eq(self.model.clone())
        );
        for (rank, (score, member)) in self.model.iter().enumerate().step_by(7) {
            assert_eq!(
                self.order.rank(Cut::Member(Side::Before, *score, member)),
                rank
            );
            assert_eq!(
                self.order.rank(Cut::Member(Side::After, *score, member)),
                rank + 1
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_holds_what_a_sorted_vector_would_hold(
        phases in vec((any::<bool>(), 1usize..3000, any::<u32>()), 1..6),
        scores in prop_oneof![Just(1u32), 2u32..20, Just(1_000_000)],
    ) {
        let mut both = Both::new();
        for (adds, steps, seed) in phases {
            let mut random = seed;
            for _ in 0..steps {
                random = random.wrapping_mul(0x9e37_79b9).wrapping_add(0x7f4a_7c15);
                let mixed = random ^ (random >> 15);
                match adds == (mixed % 4 != 0) {
                    true => both.insert(mixed % 50_000, scores),
                    false => both.remove(mixed as usize),
                }
            }
            both.check();
        }
        while !both.model.is_empty() {
            both.remove(both.model.len() / 3);
        }
        both.check();
    }

    #[test]
    fn a_range_is_walked_from_either_end(len in 0usize..3000, from in 0usize..3000, walk: u64) {
        let mut both = Both::new();
        (0..len as u32).for_each(|number| both.insert(number, 10));
        let from = from.min(len);
        let (mut range, mut model) = (both.order.range(from..len), both.model[from..].iter());
        for step in 0..=len {
            let (found, wanted) = match walk >> (step % 64) & 1 {
                0 => (range.next(), model.next()),
                _ => (range.next_back(), model.next_back()),
            };
            let found = found.map(|(score, member)| (score, member.bytes().to_vec()));
            prop_assert_eq!(found.as_ref(), wanted);
        }
    }

    #[test]
    fn cuts_count_what_is_before_them(len in 0u32..500, scores in 1u32..9, at in 0u32..500) {
        let mut both = Both::new();
        (0..len).for_each(|number| both.insert(number, scores));
        let member = at.to_be_bytes();
        let point = score(f64::from(at % 10) / 2.0 + 1.0);
        let cuts = [
            Cut::Start,
            Cut::End,
            Cut::Score(Side::Before, point),
            Cut::Score(Side::After, point),
            Cut::Member(Side::Before, point, &member),
            Cut::Member(Side::After, point, &member),
        ];
        for cut in cuts {
            let wanted = both.model.iter().filter(|(score, member)| cut.is_after(*score, |other| member[..].cmp(other)));
            prop_assert_eq!(both.order.rank(cut), wanted.count());
        }
    }
}

#[test]
fn leaves_are_four_fifths_full_when_members_come_in_any_order() {
    let mut order = Order::new();
    for number in 0..50_000_u32 {
        let mixed = number.wrapping_mul(0x9e37_79b9);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
        order.insert(
            score(f64::from(mixed ^ (mixed >> 13))),
            Member::new(b"ann", Score::ONE),
        );
    }
    order.check_invariants();

    assert!(
        order.nodes.leaves * NODE_MAX * 4 < 50_000 * 5,
        "{:?}",
        order.nodes
    );
}

#[test]
fn leaves_are_full_when_members_come_in_order() {
    let mut both = Both::new();
    (0..10_000).for_each(|number| both.insert(number, u32::MAX));
    both.check();

    assert!(both.order.heap_bytes() < 10_000 * 20);
}
