//! What a worker has done.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a worker has done since it was started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Entries that are in hand now: with a handler, or handled and not yet finished.
            pub in_hand: u64,
        }

        /// The counters behind [`Metrics`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn metrics(&self, in_hand: usize) -> Metrics {
                Metrics {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    in_hand: in_hand as u64,
                }
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
    /// Values that were to be added later and were added by this worker, ticks of schedules with
    /// them.
    promoted,
}

/// Counts more of something.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
