//! What a cache has done.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a cache has done since it was made, on this handle and its clones.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            /// The counts of this moment. They are read one after the other: while the cache is in
            /// use, they need not add up.
            pub(super) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Values that were asked for and found.
    hits,
    /// Values that were asked for and not found, or not in a form that could be used.
    misses,
    /// Values that were given out past their time, while or because they could not be loaded.
    stale,
    /// Times that a value was loaded.
    loads,
    /// Times that loading a value failed.
    load_failures,
    /// Calls that waited for another one to load their value.
    waits,
    /// Loaded values that were not kept, because the entry was written or deleted meanwhile.
    refused,
    /// Entries that could not be read as what was asked for. They count as misses as well.
    undecodable,
    /// Values that were loaded and too large to keep.
    too_large,
    /// Calls that went on without the store because it gave no answer.
    without_store,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }
}

impl Stats {
    /// The share of hits among what was asked for, 0 to 1, or `None` if nothing was asked for yet.
    pub fn hit_ratio(&self) -> Option<f64> {
        let asked = self.hits + self.misses + self.stale;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}
