//! Scores: their direction, their limits, and what equal ones mean for ranks.

use larder_store::Error;
use serde::{Deserialize, Serialize};

/// The largest score, and its negative the smallest: 2^53 - 1. Integers up to here are exact in a
/// sorted set, whose scores are doubles.
pub const SCORE_MAX: i64 = (1 << 53) - 1;

/// Which scores are the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Best {
    /// The highest: points, revenue.
    Highest,
    /// The lowest: times, strokes.
    Lowest,
}

/// Which ranks members with equal scores have. In a list they always stand in the order in which
/// they came to that score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ties {
    /// They share the best rank, and leave out the others: 1, 2, 2, 4.
    #[default]
    Competition,
    /// Each has a rank of its own: who came to the score first is ahead. 1, 2, 3, 4.
    Ordinal,
    /// They share a rank, and none is left out: 1, 2, 2, 3.
    ///
    /// Such a board keeps another sorted set, of the scores that occur. A board that was begun
    /// with other ties can't be read or written with these, and the other way around it can't be
    /// written.
    Dense,
}

impl Ties {
    /// The name by which the scripts know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Ties::Competition => "competition",
            Ties::Ordinal => "ordinal",
            Ties::Dense => "dense",
        }
    }

    /// The rank of a member, from that of the member before it.
    ///
    /// `position` counts from 0; `tied` says whether the two have equal scores.
    pub(super) fn next(self, rank: u64, position: u64, tied: bool) -> u64 {
        match (self, tied) {
            (Ties::Competition | Ties::Dense, true) => rank,
            (Ties::Dense, false) => rank + 1,
            (Ties::Ordinal, _) | (Ties::Competition, false) => position + 1,
        }
    }
}

impl Best {
    /// The points for a score, of which fewer are better.
    pub(super) fn points(self, score: i64) -> Result<i64, Error> {
        if !(-SCORE_MAX..=SCORE_MAX).contains(&score) {
            return Err(Error::invalid(format_args!(
                "the score {score} is not between -{SCORE_MAX} and {SCORE_MAX}"
            )));
        }
        Ok(self.turn(score))
    }

    /// From scores to points and back: it is the same step.
    pub(super) fn turn(self, score: i64) -> i64 {
        match self {
            Best::Highest => -score,
            Best::Lowest => score,
        }
    }
}
