//! Cuts: places in a sorted set where a range can begin or end.

use std::cmp::Ordering;

use super::score::Score;

/// A place in the order of a sorted set. Each member is before it or after it.
///
/// A range is what lies between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// Before all members.
    Start,
    /// Beside the members of this score, if there are any.
    Score(Side, Score),
    /// Beside this member with this score, if it is there.
    Member(Side, Score, &'a [u8]),
    /// Beside this member, in a set whose members have all the same score.
    Lex(Side, &'a [u8]),
    /// After all members.
    End,
}

/// On which side of something a cut is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

impl Cut<'_> {
    /// Whether a member comes before this cut. `compare` compares the member's bytes with others; it
    /// is asked only when the score does not decide, because a look at a member may have to wait
    /// for memory.
    #[inline]
    pub(super) fn is_after(self, score: Score, compare: impl FnOnce(&[u8]) -> Ordering) -> bool {
        let (side, order) = match self {
            Cut::Start => return false,
            Cut::End => return true,
            Cut::Score(side, at) => (side, score.cmp(&at)),
            Cut::Member(side, at, other) => (side, score.cmp(&at).then_with(|| compare(other))),
            Cut::Lex(side, other) => (side, compare(other)),
        };
        match side {
            Side::Before => order.is_lt(),
            Side::After => order.is_le(),
        }
    }
}
