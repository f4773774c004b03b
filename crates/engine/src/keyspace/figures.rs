//! Figures of a shard that can be read without holding it.
//!
//! Only who holds the shard writes them, so a change is a load and a store; whoever reads them gets
//! numbers that were true a moment ago, and waits for nobody: INFO answers while a script hangs.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::shard::DATABASES;

/// What has happened in a shard, and how much it holds.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Figures {
    /// Commands that held this shard alone. Counting them here costs no atomic operation.
    pub(crate) commands: Figure,
    /// How often a key that was read was there.
    pub(crate) hits: Figure,
    /// How often a key that was read was not there.
    pub(crate) misses: Figure,
    /// How many keys have been removed since they had expired.
    pub(crate) expired: Figure,
    keys: [AtomicU32; DATABASES],
    volatile: [AtomicU32; DATABASES],
}

/// A number with one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct Figure(AtomicU64);

impl Figure {
    /// Adds to it. Only for who holds the shard.
    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed) + more, Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Begins anew. What is counted at the same moment may be lost, or stay.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

impl Figures {
    /// How many keys the shard has of a database. Expired keys count until they are removed.
    pub(crate) fn keys(&self, db: usize) -> usize {
        self.keys[db].load(Relaxed) as usize
    }

    /// How many of them have an expiry.
    pub(crate) fn volatile(&self, db: usize) -> usize {
        self.volatile[db].load(Relaxed) as usize
    }

    /// Shows how many keys there are. Only for who holds the shard.
    #[inline]
    pub(super) fn show_keys(&self, db: usize, keys: usize, volatile: usize) {
        self.keys[db].store(keys as u32, Relaxed);
        self.volatile[db].store(volatile as u32, Relaxed);
    }

    /// Begins all counters anew; what the shard holds stays.
    pub(crate) fn reset(&self) {
        for counter in [&self.commands, &self.hits, &self.misses, &self.expired] {
            counter.reset();
        }
    }
}
