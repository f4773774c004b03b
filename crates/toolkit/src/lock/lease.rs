//! What a holder knows of its lock.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How a lock was lost while its holder wanted to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// It could not be extended in time, or was held for as long as it may be. The store may have
    /// given it to somebody else by now.
    #[error("the lock was not extended in time")]
    Expired,
    /// The store says that this holder does not have it: it expired there, or was deleted.
    #[error("the store no longer knows this holder of the lock")]
    Taken,
}

/// What the holder knows of its lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) token: u64,
    /// When the holder must stop relying on the lock, by its own clock.
    pub(super) until: Instant,
    /// Once it is lost it stays lost.
    lost: Option<Lost>,
}

impl Lease {
    /// A lease that was asked for at `sent`, and granted.
    pub(super) fn new(token: u64, sent: Instant, ttl: Duration) -> Lease {
        Lease {
            token,
            until: sent + reliable(ttl),
            lost: None,
        }
    }

    pub(super) fn lost(&self) -> Option<Lost> {
        self.lost
            .or_else(|| (self.until <= Instant::now()).then_some(Lost::Expired))
    }

    /// Notes that the lock was extended by a request sent at `sent`. An answer that comes after
    /// the holder was told of its loss changes nothing.
    pub(super) fn extend(&mut self, sent: Instant, ttl: Duration) {
        self.lost = self.lost();
        self.until = self.until.max(sent + reliable(ttl));
    }

    /// Notes that the lock is lost. The first loss counts.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost = Some(self.lost.unwrap_or(lost));
    }
}

/// How much of a time to live can be relied on: clocks run at different speeds.
fn reliable(ttl: Duration) -> Duration {
    ttl - ttl / 100 - Duration::from_millis(2)
}
