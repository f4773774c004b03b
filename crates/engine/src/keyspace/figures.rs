//! Figures of a shard that can be read without holding it.
//!
//! Only who holds the shard writes them, so a change is a load and a store; whoever reads them gets
//! numbers that were true a moment ago, and waits for nobody: INFO answers while a script hangs.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use super::db::Db;
use super::shard::DATABASES;

/// What has happened in a shard, and how much it holds.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Figures {
    /// How often a key that was read was there.
    pub(crate) hits: Figure,
    /// How often a key that was read was not there.
    pub(crate) misses: Figure,
    /// How many keys have been removed since they had expired.
    pub(crate) expired: Figure,
    /// How many fields of hashes have been removed since they had expired.
    pub(crate) expired_fields: Figure,
    /// How many keys have been removed to make room.
    pub(crate) evicted: Figure,
    /// How many commands have changed something, each at the first shard in which it did.
    pub(crate) changes: Figure,
    /// By how many bytes the shard has grown since that was reported to all.
    unreported: AtomicI64,
    keys: [AtomicU32; DATABASES],
    /// In each, the keys that have an expiry, and, above them, the hashes of which fields expire.
    volatile: [AtomicU64; DATABASES],
    bytes: [AtomicU64; DATABASES],
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
        self.volatile[db].load(Relaxed) as u32 as usize
    }

    /// How many of them are hashes of which fields expire.
    pub(crate) fn timed(&self, db: usize) -> usize {
        (self.volatile[db].load(Relaxed) >> u32::BITS) as usize
    }

    /// How many bytes the shard takes for the keys of all databases.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Shows what the shard holds of a database now. Answers by how many bytes the shard has grown
    /// that have not been reported. Only for who holds the shard.
    #[inline]
    pub(super) fn show(&self, index: usize, db: &Db) -> i64 {
        self.keys[index].store(db.table.len() as u32, Relaxed);
        let volatile = (db.timed as u64) << u32::BITS | u64::from(db.volatile as u32);
        self.volatile[index].store(volatile, Relaxed);
        let (before, after) = (self.bytes[index].load(Relaxed), db.bytes() as u64);
        self.bytes[index].store(after, Relaxed);
        let unreported = self.unreported.load(Relaxed) + (after as i64 - before as i64);
        self.unreported.store(unreported, Relaxed);
        unreported
    }

    /// Takes what has not been reported, to report it. Only for who holds the shard.
    pub(super) fn take_unreported(&self) -> i64 {
        let unreported = self.unreported.load(Relaxed);
        self.unreported.store(0, Relaxed);
        unreported
    }

    /// Begins all counters anew; what the shard holds stays.
    pub(crate) fn reset(&self) {
        let hit_or_miss = [&self.hits, &self.misses];
        let gone = [&self.expired, &self.expired_fields, &self.evicted];
        for counter in hit_or_miss.into_iter().chain(gone) {
            counter.reset();
        }
    }
}
