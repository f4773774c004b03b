//! Transactions that watch keys.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// What a connection that watches keys shares with the shards of those keys.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_touched: AtomicBool,
    is_over: AtomicBool,
}

impl Watch {
    /// Says that a watched key has changed.
    pub(crate) fn touch(&self) {
        // The shard's lock orders this before the EXEC that looks.
        self.is_touched.store(true, Relaxed);
    }

    /// Whether a watched key has changed.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched.load(Relaxed)
    }

    /// Says that nobody looks any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Whether nobody looks any more: then it may be forgotten.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}
