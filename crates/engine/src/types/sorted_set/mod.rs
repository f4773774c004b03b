//! Sorted set: members in order of score, and of bytes where scores are equal.
//!
//! A small one is [`Packed`], member and score in turn, in order. When it has more than
//! `zset-max-listpack-entries` members, or one that is longer than `zset-max-listpack-value`, its
//! members are held in two views from then on:
//!
//! - `scores` finds the score of a member, in O(1);
//! - `order` walks the members by score and counts ranks, in O(log n).
//!
//! Invariant: `order` has `(score, member)` exactly when `scores` maps `member` to `score`.
//! [`SortedSet::insert`] and [`SortedSet::remove_rank`] are the only functions that write either
//! view. A member's bytes are allocated once, and both views point to them.
//!
//! Nothing here knows of keys, replies or time. Those are the business of `commands.rs`.

mod combine;
pub(crate) mod commands;
mod cut;
mod ends;
mod order;
mod ranges;
mod score;

use std::ops::Range;

use order::{Member, Order};

pub(crate) use cut::{Cut, Side};
pub(crate) use score::Score;

use crate::hash::Seed;
use crate::keyspace::table::{Keyed, Table};
use crate::types::packed::Packed;
use crate::types::{Limits, cursor};

/// Members in order of their scores. See the module's documentation.
#[derive(Default)]
pub(crate) struct SortedSet(Repr);

enum Repr {
    Packed(Packed),
    Views(Box<Views>),
}

impl Default for Repr {
    fn default() -> Repr {
        Repr::Packed(Packed::default())
    }
}

struct Views {
    scores: Table<Scored>,
    order: Order,
}

/// A member with its score.
struct Scored {
    member: Member,
    score: Score,
}

impl Keyed for Scored {
    #[inline]
    fn key(&self) -> &[u8] {
        self.member.bytes()
    }
}

/// What [`SortedSet::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Added,
    Moved,
    Unchanged,
}

impl SortedSet {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.len() / 2,
            Repr::Views(views) => views.order.len(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member. O(1).
    pub(crate) fn score(&self, member: &[u8]) -> Option<Score> {
        match &self.0 {
            Repr::Packed(packed) => Some(score_at(packed, packed.find::<2>(member)?)),
            Repr::Views(views) => {
                let scores = &views.scores;
                let found = scores.find(scores.seed().hash(member), member)?;
                Some(found.score)
            }
        }
    }

    /// Gives `member` this score, adding it if it is new. O(log n).
    pub(crate) fn insert(&mut self, member: &[u8], score: Score, limits: &Limits) -> Inserted {
        self.make_room_for(member, limits);
        match &mut self.0 {
            Repr::Packed(packed) => insert_packed(packed, member, score),
            Repr::Views(views) => views.insert(member, score),
        }
    }

    /// Removes a member, and answers the score that it had. O(log n).
    pub(crate) fn remove(&mut self, member: &[u8]) -> Option<Score> {
        match &mut self.0 {
            Repr::Packed(packed) => {
                let place = packed.find::<2>(member)?;
                let score = score_at(packed, place);
                packed.remove(place, 2);
                Some(score)
            }
            Repr::Views(views) => views.remove(member),
        }
    }

    /// Removes the members of these ranks, which must exist. O(log n) each.
    pub(crate) fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Repr::Packed(packed) => packed.remove(packed.place(ranks.start * 2), ranks.len() * 2),
            Repr::Views(views) => {
                for _ in ranks.clone() {
                    views.remove_rank(ranks.start);
                }
            }
        }
    }

    /// How many members come before a member, and its score. O(log n).
    pub(crate) fn rank(&self, member: &[u8]) -> Option<(usize, Score)> {
        let score = self.score(member)?;
        Some((
            self.rank_of(Cut::Member(Side::Before, score, member)),
            score,
        ))
    }

    /// How many members come before a cut. O(log n).
    pub(crate) fn rank_of(&self, cut: Cut<'_>) -> usize {
        match &self.0 {
            Repr::Packed(packed) => {
                let pairs = packed.pairs();
                pairs
                    .take_while(|(member, score)| cut.is_after(Score::decode(score), || member))
                    .count()
            }
            Repr::Views(views) => views.order.rank(cut),
        }
    }

    /// The ranks of the members between two cuts: an empty range if there are none. O(log n).
    pub(crate) fn ranks(&self, from: Cut<'_>, until: Cut<'_>) -> Range<usize> {
        let start = self.rank_of(from);
        start..self.rank_of(until).max(start)
    }

    /// The members of these ranks, which must exist, with their scores, in order.
    pub(crate) fn range(
        &self,
        ranks: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = (&[u8], Score)> {
        let (small, large) = match &self.0 {
            Repr::Packed(packed) => (Some(packed.pairs_in(ranks)), None),
            Repr::Views(views) => (None, Some(views.order.range(ranks))),
        };
        let small = small.into_iter().flatten();
        let large = large.into_iter().flatten();
        small
            .map(|(member, score)| (member, Score::decode(score)))
            .chain(large.map(|(score, member)| (member.bytes(), score)))
    }

    /// All members with their scores, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Score)> {
        self.range(0..self.len())
    }

    /// Visits some members, and answers the cursor to go on from, which is 0 at the end.
    ///
    /// A small sorted set is visited whole. See [`Table::scan`] for what is promised of a large
    /// one.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], Score)) -> u64 {
        match &self.0 {
            Repr::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Repr::Views(views) => cursor::scan(&views.scores, cursor, &mut |found| {
                visit(found.key(), found.score);
            }),
        }
    }

    /// What `OBJECT ENCODING` calls the way in which the set is held.
    pub(crate) fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Packed(_) => "listpack",
            Repr::Views(_) => "skiplist",
        }
    }

    /// How many bytes are allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.heap_bytes(),
            Repr::Views(views) => {
                let members: usize = views
                    .scores
                    .iter()
                    .map(|scored| scored.member.heap_bytes())
                    .sum();
                let both = views.scores.bytes() + views.order.heap_bytes();
                size_of::<Views>() + both + members
            }
        }
    }

    /// Goes over to two views if the member cannot be added otherwise.
    fn make_room_for(&mut self, member: &[u8], limits: &Limits) {
        let Repr::Packed(packed) = &self.0 else {
            return;
        };
        let is_long = member.len() > limits.zset_max_listpack_value;
        let is_full = packed.len() / 2 >= limits.zset_max_listpack_entries;
        if (is_long || is_full) && packed.find::<2>(member).is_none() {
            let mut views = Views::new(limits.seed);
            for (member, score) in packed.pairs() {
                views.insert(member, Score::decode(score));
            }
            self.0 = Repr::Views(Box::new(views));
        }
    }
}

/// The score of the member at this place.
fn score_at(packed: &Packed, place: usize) -> Score {
    let (_, score) = packed.element(place);
    Score::decode(packed.element(score).0)
}

fn insert_packed(packed: &mut Packed, member: &[u8], score: Score) -> Inserted {
    let found = packed.find::<2>(member);
    if let Some(place) = found {
        if score_at(packed, place) == score {
            return Inserted::Unchanged;
        }
        packed.remove(place, 2);
    }
    let cut = Cut::Member(Side::Before, score, member);
    let mut place = 0;
    while place < packed.end() {
        let (other, after) = packed.element(place);
        let (encoded, next) = packed.element(after);
        if !cut.is_after(Score::decode(encoded), || other) {
            break;
        }
        place = next;
    }
    packed.insert(place, [member, score.encode().as_slice()]);
    match found {
        Some(_) => Inserted::Moved,
        None => Inserted::Added,
    }
}

impl Views {
    fn new(seed: Seed) -> Views {
        Views {
            scores: Table::new(seed),
            order: Order::new(),
        }
    }

    fn insert(&mut self, bytes: &[u8], score: Score) -> Inserted {
        let hash = self.scores.seed().hash(bytes);
        let Some(found) = self.scores.find_mut(hash, bytes) else {
            let member = Member::new(bytes);
            self.order.insert(score, member.clone());
            self.scores.insert(hash, Scored { member, score });
            return Inserted::Added;
        };
        if found.score == score {
            return Inserted::Unchanged;
        }
        let rank = self
            .order
            .rank(Cut::Member(Side::Before, found.score, bytes));
        found.score = score;
        let (_, member) = self.order.remove(rank);
        self.order.insert(score, member);
        Inserted::Moved
    }

    fn remove(&mut self, bytes: &[u8]) -> Option<Score> {
        let Scored { score, .. } = self.scores.remove(self.scores.seed().hash(bytes), bytes)?;
        let rank = self.order.rank(Cut::Member(Side::Before, score, bytes));
        self.order.remove(rank);
        Some(score)
    }

    fn remove_rank(&mut self, rank: usize) {
        let (_, member) = self.order.remove(rank);
        let hash = self.scores.seed().hash(member.bytes());
        self.scores.remove(hash, member.bytes());
    }
}

#[cfg(test)]
mod tests;
