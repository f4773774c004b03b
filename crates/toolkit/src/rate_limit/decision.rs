//! What a limiter answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a limiter answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Decision {
    /// The permits were taken; or, by a peek, they could have been.
    Allowed {
        /// How many are left after that, in the limit that has the fewest left.
        left: u32,
        /// How long until that limit is full again if nobody takes anything.
        reset_after: Duration,
        /// Which limit that is, counted from 0.
        limit: usize,
        /// What was taken: it can be given back.
        permit: Permit,
    },
    /// Nothing was taken.
    Denied {
        /// How many are left in the limit that denies, which may be fewer than were wanted or none.
        left: u32,
        /// After which time the permits will be there if nobody else takes them, to the microsecond.
        /// During a block, no less than its rest.
        retry_after: Duration,
        /// How long until that limit is full again if nobody takes anything.
        reset_after: Duration,
        /// Which limit that is, counted from 0: if several deny, the one that does so for longest.
        limit: usize,
    },
    /// More was wanted than this limit ever has at once. The store was not asked.
    Never {
        /// The most that can be taken at once.
        size: u32,
        /// Which limit that is, counted from 0.
        limit: usize,
    },
    /// The store gave no answer, and the limiter's [`WithoutStore`](super::WithoutStore) decided.
    Unchecked {
        /// What it decided.
        is_allowed: bool,
    },
}

/// Permits that were taken, by which they can be given back: see
/// [`Limiter::refund`](super::Limiter::refund). It can be kept with what they were taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    permits: u32,
    /// When they were taken, and for each limit a number by which it knows them. Empty if nothing was
    /// taken.
    pub(super) marks: Vec<u64>,
}

/// Why a caller may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There are too few permits now.
    #[error("the limit is reached, and there is more in {retry_after:?}")]
    TooMany {
        /// As [`Decision::Denied`] has it.
        retry_after: Duration,
        /// As [`Decision::Denied`] has it.
        limit: usize,
    },
    /// There are never so many permits at once.
    #[error("the limit is {size} at once, and more was wanted")]
    Never {
        /// As [`Decision::Never`] has it.
        size: u32,
        /// As [`Decision::Never`] has it.
        limit: usize,
    },
    /// The store gave no answer, and the limiter denies then.
    #[error("the limit can't be checked now")]
    Unchecked,
}

impl Decision {
    /// Whether the caller may go on.
    pub fn is_allowed(&self) -> bool {
        match self {
            Decision::Allowed { .. } => true,
            Decision::Denied { .. } | Decision::Never { .. } => false,
            Decision::Unchecked { is_allowed } => *is_allowed,
        }
    }

    /// How long a caller has to wait who was denied by a limit.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Decision::Denied { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// What was taken, or why the caller may not go on: for `?`.
    ///
    /// What an unchecked decision allows is a permit for nothing.
    ///
    /// # Errors
    ///
    /// [`Denied`] unless [`Decision::is_allowed`].
    pub fn require(self) -> Result<Permit, Denied> {
        match self {
            Decision::Allowed { permit, .. } => Ok(permit),
            Decision::Denied {
                retry_after, limit, ..
            } => Err(Denied::TooMany { retry_after, limit }),
            Decision::Never { size, limit } => Err(Denied::Never { size, limit }),
            Decision::Unchecked { is_allowed: true } => Ok(Permit::default()),
            Decision::Unchecked { is_allowed: false } => Err(Denied::Unchecked),
        }
    }
}

impl Permit {
    pub(super) fn new(permits: u32, marks: Vec<u64>) -> Permit {
        Permit { permits, marks }
    }

    /// How many permits were taken.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// So many of them, or all if there are fewer: what was not used, to be given back.
    #[must_use]
    pub fn part(&self, permits: u32) -> Permit {
        Permit {
            permits: permits.min(self.permits),
            marks: self.marks.clone(),
        }
    }
}

impl Denied {
    /// How long to wait before it is worth trying again; `None` if that is of no use, or if nobody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Denied::TooMany { retry_after, .. } => Some(*retry_after),
            Denied::Never { .. } | Denied::Unchecked => None,
        }
    }
}
