//! Sorted set: members in order of score, and of bytes where scores are equal.
//!
//! A small one is a listpack in its entry, member and score in turn, in order. When it has more than
//! `zset-max-listpack-entries` members, or one that is longer than `zset-max-listpack-value`, its
//! members are held in two [`Views`] from then on:
//!
//! - `scores` finds the score of a member, in O(1);
//! - `order` walks the members by score and counts ranks, in O(log n).
//!
//! Invariant: `order` has `(score, member)` exactly when `scores` maps `member` to `score`.
//! [`Views::insert`], [`Views::remove`] and [`Views::remove_rank`] are the only functions that write
//! either view. A member and its score are allocated once, and both views point to them.
//!
//! Minus zero is a score of large sets only: a listpack holds it as the integer 0, as in Redis.
//!
//! Nothing here knows of keys, replies or time. Those are the business of `commands.rs`.

mod combine;
pub(crate) mod commands;
mod cut;
mod ends;
mod member;
mod order;
mod ranges;
mod score;

use std::ops::Range;

use member::Member;
use order::Order;

pub(crate) use cut::{Cut, Side};
pub(crate) use score::Score;

use crate::hash::Seed;
use crate::keyspace::entry::{Held, HeldMut, Housed, Object, Packed, Str};
use crate::keyspace::prefetch::Step;
use crate::keyspace::table::Table;
use crate::types::listpack::{Listpack, ListpackMut};
use crate::types::{Limits, cursor};

/// Members in order of their scores. See the module's documentation.
pub(crate) type SortedSet = Housed<Views>;

/// The members of a large sorted set.
pub(crate) struct Views {
    scores: Table<Member>,
    order: Order,
    /// What all members have allocated.
    member_bytes: usize,
}

/// What [`SortedSet::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Added,
    Moved,
    Unchanged,
}

impl Object for SortedSet {
    const TYPE_NAME: &'static str = "zset";

    const IS_ORDERED: bool = true;

    fn len(&self) -> usize {
        match self.held() {
            Held::Packed(packed) => packed.len() / 2,
            Held::Large(views) => views.order.len(),
        }
    }

    fn encoding(&self) -> &'static str {
        match self.held() {
            Held::Packed(_) => "listpack",
            Held::Large(_) => "skiplist",
        }
    }

    fn heap_bytes(&self) -> usize {
        match self.held() {
            Held::Packed(_) => 0,
            Held::Large(views) => {
                let both = views.scores.bytes() + views.order.heap_bytes();
                size_of::<Views>() + both + views.member_bytes
            }
        }
    }

    fn copy(&self, limits: &Limits) -> SortedSet {
        match self.held() {
            Held::Packed(packed) => SortedSet::packed(packed),
            Held::Large(_) => SortedSet::large(Views::of(self.iter(), limits.seed)),
        }
    }

    fn elements(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.iter().map(|(member, _)| member.to_vec()).collect())
    }

    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step) {
        if let Held::Large(views) = self.held() {
            views.scores.look_ahead(hash(), step);
        }
    }
}

impl SortedSet {
    /// The score of a member. O(1).
    pub(crate) fn score(&self, member: &[u8]) -> Option<Score> {
        match self.held() {
            Held::Packed(packed) => Some(score_at(packed, packed.find::<2>(member)?)),
            Held::Large(views) => {
                let scores = &views.scores;
                let found = scores.find(scores.seed().hash(member), member)?;
                Some(found.score())
            }
        }
    }

    /// Gives `member` this score, adding it if it is new. O(log n).
    pub(crate) fn insert(&mut self, member: &[u8], score: Score, limits: &Limits) -> Inserted {
        self.make_room_for(member, limits);
        match self.held_mut() {
            HeldMut::Packed(mut room) => insert_packed(&mut room, member, score),
            HeldMut::Large(views) => views.insert(member, score),
        }
    }

    /// Removes a member, and answers the score that it had. O(log n).
    pub(crate) fn remove(&mut self, member: &[u8]) -> Option<Score> {
        match self.held_mut() {
            HeldMut::Packed(mut room) => {
                let packed = room.listpack();
                let place = packed.find::<2>(member)?;
                let score = score_at(packed, place);
                ListpackMut::new(&mut room).remove(place, 2);
                Some(score)
            }
            HeldMut::Large(views) => views.remove(member),
        }
    }

    /// Removes the members of these ranks, which must exist. O(log n) each.
    pub(crate) fn remove_ranks(&mut self, ranks: Range<usize>) {
        match self.held_mut() {
            HeldMut::Packed(mut room) => {
                let place = room.listpack().place(ranks.start * 2);
                ListpackMut::new(&mut room).remove(place, ranks.len() * 2);
            }
            HeldMut::Large(views) => {
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
        match self.held() {
            Held::Packed(packed) => {
                let pairs = packed.pairs();
                pairs.take_while(|pair| is_before(*pair, cut)).count()
            }
            Held::Large(views) => views.order.rank(cut),
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
    ) -> impl DoubleEndedIterator<Item = (Str<'_>, Score)> {
        let (small, large) = match self.held() {
            Held::Packed(packed) => (Some(packed.pairs_in(ranks)), None),
            Held::Large(views) => (None, Some(views.order.range(ranks))),
        };
        let small = small.into_iter().flatten();
        let large = large.into_iter().flatten();
        small
            .map(|(member, score)| (member, Score::of_string(score)))
            .chain(large.map(|(score, member)| (Str::Bytes(member.bytes()), score)))
    }

    /// All members with their scores, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (Str<'_>, Score)> {
        self.range(0..self.len())
    }

    /// Visits some members, and answers the cursor to go on from, which is 0 at the end.
    ///
    /// A small sorted set is visited whole. See [`Table::scan`] for what is promised of a large
    /// one.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Str<'_>, Score)) -> u64 {
        match self.held() {
            Held::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            Held::Large(views) => cursor::scan(&views.scores, cursor, &mut |found| {
                visit(Str::Bytes(found.bytes()), found.score());
            }),
        }
    }

    /// Goes over to two views if the member cannot be added otherwise.
    fn make_room_for(&mut self, member: &[u8], limits: &Limits) {
        let Held::Packed(packed) = self.held() else {
            return;
        };
        let is_long = member.len() > limits.zset_max_listpack_value.get();
        let is_full = packed.len() / 2 >= limits.zset_max_listpack_entries.get();
        // No score is longer than these digits.
        let is_huge = !packed.has_room_for([Str::Bytes(member), Str::Bytes(&[b'0'; 32])]);
        if (is_long || is_full || is_huge) && packed.find::<2>(member).is_none() {
            let views = Views::of(self.iter(), limits.seed);
            self.set_large(views);
        }
    }
}

/// The score of the member at this place.
fn score_at(packed: Listpack<'_>, place: usize) -> Score {
    Score::of_string(packed.element(packed.skip(place, 1)).0)
}

/// Whether a member with this score comes before a cut.
fn is_before((member, score): (Str<'_>, Str<'_>), cut: Cut<'_>) -> bool {
    cut.is_after(Score::of_string(score), |other| {
        member.with_bytes(|member| member.cmp(other))
    })
}

fn insert_packed(room: &mut Packed<'_>, member: &[u8], score: Score) -> Inserted {
    let packed = room.listpack();
    let found = packed.find::<2>(member);
    if let Some(place) = found {
        if score_at(packed, place) == score {
            return Inserted::Unchanged;
        }
        ListpackMut::new(room).remove(place, 2);
    }
    let packed = room.listpack();
    let cut = Cut::Member(Side::Before, score, member);
    let mut place = packed.first();
    while place < packed.end() {
        let (other, after) = packed.element(place);
        let (other_score, next) = packed.element(after);
        if !is_before((other, other_score), cut) {
            break;
        }
        place = next;
    }
    score.with_string(|score| {
        ListpackMut::new(room).insert(place, [Str::Bytes(member), score]);
    });
    match found {
        Some(_) => Inserted::Moved,
        None => Inserted::Added,
    }
}

impl Views {
    fn of<'a>(members: impl Iterator<Item = (Str<'a>, Score)>, seed: Seed) -> Views {
        let mut views = Views {
            scores: Table::new(seed),
            order: Order::new(),
            member_bytes: 0,
        };
        for (member, score) in members {
            member.with_bytes(|member| views.insert(member, score));
        }
        views
    }

    fn insert(&mut self, bytes: &[u8], score: Score) -> Inserted {
        let hash = self.scores.seed().hash(bytes);
        let Some(found) = self.scores.find(hash, bytes) else {
            let member = Member::new(bytes, score);
            self.member_bytes += member.heap_bytes();
            self.order.insert(score, member.clone());
            self.scores.insert(hash, member);
            return Inserted::Added;
        };
        let old = found.score();
        if old == score {
            return Inserted::Unchanged;
        }
        found.set_score(score);
        let rank = self.order.rank(Cut::Member(Side::Before, old, bytes));
        let (_, member) = self.order.remove(rank);
        self.order.insert(score, member);
        Inserted::Moved
    }

    fn remove(&mut self, bytes: &[u8]) -> Option<Score> {
        let member = self.scores.remove(self.scores.seed().hash(bytes), bytes)?;
        let score = member.score();
        let rank = self.order.rank(Cut::Member(Side::Before, score, bytes));
        self.order.remove(rank);
        self.member_bytes -= member.heap_bytes();
        Some(score)
    }

    fn remove_rank(&mut self, rank: usize) {
        let (_, member) = self.order.remove(rank);
        let hash = self.scores.seed().hash(member.bytes());
        self.scores.remove(hash, member.bytes());
        self.member_bytes -= member.heap_bytes();
    }
}

#[cfg(test)]
mod tests;
