//! Transactions that watch keys.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a connection that watches keys shares with the shards of those keys.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    touched: AtomicBool,
}

impl Watch {
    /// Says that a watched key has changed.
    pub(crate) fn touch(&self) {
        // The shard's lock orders this before the EXEC that looks.
        self.touched.store(true, Ordering::Relaxed);
    }

    /// Whether a watched key has changed.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Relaxed)
    }
}
