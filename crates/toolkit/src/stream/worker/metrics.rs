//! What a worker has done.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a worker has done since it was started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Metrics`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn metrics(&self) -> Metrics {
                Metrics { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

metrics! {
    /// Entries that a handler finished.
    processed,
    /// Deliveries that ended with a failure or a panic, whatever became of the entry.
    failed,
    /// Failures after which the entry waits for a retry.
    retried,
    /// Entries that became dead letters.
    dead,
    /// Entries that were delivered before, to this worker or another, and were taken over: retries
    /// that were due, and what others have left.
    reclaimed,
    /// Deliveries that another worker took over before this one ended them.
    lost,
    /// Pending entries that had been deleted or trimmed, and were finished for that.
    gone,
    /// How often the group had disappeared and was made anew. Entries may have been lost with it,
    /// or be delivered again.
    recreated,
    /// Requests to the store that failed. They are made again.
    errors,
    /// Entries that are in hand now: with a handler, or handled and not yet finished.
    in_hand,
}

/// Counts more of something.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
