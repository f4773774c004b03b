//! What a handler gets, and what it answers.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Ttl;
use crate::stream::Id;

/// An entry that is to be handled.
#[derive(Clone, Debug)]
pub struct Job<T> {
    /// The id of the entry, the same in each delivery.
    pub id: Id,
    /// The value.
    pub body: T,
    /// How often it was delivered, with this time: more than 1 after a failure or a crash.
    pub deliveries: u32,
    /// Fires when the work is no longer wanted: another worker has taken the entry over, or this
    /// one is shut down and its time to drain is over. A handler then has a second to clean up.
    /// What it answers after that is of no account.
    pub cancel: CancellationToken,
}

/// Why a handler did not handle an entry, and what is to become of the entry.
///
/// Every error turns into [`Failure::Retry`] by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later.
    Retry {
        /// What went wrong.
        error: String,
        /// When; if it is not said, as [`Backoff`] has it.
        after: Option<Duration>,
    },
    /// It will never work: the entry becomes a dead letter.
    Dead {
        /// What is wrong.
        error: String,
    },
}

impl Failure {
    /// A failure after which the entry is handled again, when [`Backoff`] says.
    pub fn retry(error: impl ToString) -> Failure {
        let (error, after) = (error.to_string(), None);
        Failure::Retry { error, after }
    }

    /// A failure after which the entry is handled again after this time.
    pub fn retry_after(error: impl ToString, after: Duration) -> Failure {
        let (error, after) = (error.to_string(), Some(after));
        Failure::Retry { error, after }
    }

    /// A failure after which the entry is a dead letter.
    pub fn dead(error: impl ToString) -> Failure {
        let error = error.to_string();
        Failure::Dead { error }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::retry(error)
    }
}

/// How long an entry waits for its retry: twice as long each time, up to a limit, and at random
/// between half of that and the whole, so that what failed together is not retried together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first delivery.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Default for Backoff {
    /// From a second to five minutes.
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            most: Duration::from_secs(300),
        }
    }
}

impl Backoff {
    /// The wait after this many deliveries.
    pub(super) fn after(&self, deliveries: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(deliveries.saturating_sub(1));
        let whole = self
            .first
            .saturating_mul(doubled)
            .min(self.most)
            .min(Ttl::MAX);
        whole / 2 + (whole / 2).mul_f64(rand::random())
    }
}
