//! What a limiter answers.

use std::time::Duration;

/// What a limiter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    },
    /// Nothing was taken.
    Denied {
        /// How many are left in the limit that denies, which may be fewer than were wanted or none.
        left: u32,
        /// After which time the permits will be there if nobody else takes them: to the
        /// microsecond, but for the sliding counter, which may say one more. During a block,
        /// no less than its rest.
        retry_after: Duration,
        /// How long until that limit is full again if nobody takes anything.
        reset_after: Duration,
        /// Which limit that is, counted from 0: if several deny, the one that does so for longest.
        limit: usize,
    },
    /// The store gave no answer, and the limiter's [`WithoutStore`](super::WithoutStore) decided.
    Unchecked {
        /// What it decided.
        is_allowed: bool,
    },
}

impl Decision {
    /// Whether the caller may go on.
    pub fn is_allowed(&self) -> bool {
        match self {
            Decision::Allowed { .. } => true,
            Decision::Denied { .. } => false,
            Decision::Unchecked { is_allowed } => *is_allowed,
        }
    }

    /// How long a caller has to wait who was denied by a limit.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Decision::Denied { retry_after, .. } => Some(*retry_after),
            Decision::Allowed { .. } | Decision::Unchecked { .. } => None,
        }
    }
}
