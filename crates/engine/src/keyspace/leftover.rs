//! What a call leaves to be done: some of it before it lets its shards go, the rest after that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, mem};

use super::db::Db;
use super::entry::Entry;
use super::events::Late;
use super::tracked::Tracked;
use super::tracking::Broadcast;

/// What is left to do.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// The keys that changed and on which somebody waits who has not been served yet.
    pub(crate) ready: VecDeque<Ready>,
    /// Those whose waiters need shards that others hold.
    pub(crate) unserved: Vec<Ready>,
    /// Events that are published when the command is over.
    pub(super) late: Vec<Late>,
    /// Changes of keys with prefixes that somebody wants to hear of.
    pub(super) broadcasts: Vec<Broadcast>,
    pub(crate) garbage: Garbage,
}

/// A key that changed and on which somebody waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) db: usize,
    pub(crate) key: Box<[u8]>,
}

/// What a store has let go of and what takes long to free. Dropping it frees it.
#[derive(Default)]
pub struct Garbage {
    entries: Vec<Entry>,
    dbs: Vec<Db>,
    tracked: Vec<Tracked>,
    /// Where it is counted when it has been freed, and as how many keys.
    counted: Option<(Arc<FreedAside>, u64)>,
}

/// How many keys have been given away, to be freed where nobody waits for it.
#[derive(Debug, Default)]
pub(crate) struct FreedAside {
    given: AtomicU64,
    freed: AtomicU64,
    /// How many had been freed at the last reset.
    forgotten: AtomicU64,
}

impl FreedAside {
    /// How many have not been freed yet.
    pub(crate) fn pending(&self) -> u64 {
        let freed = self.freed.load(Relaxed);
        self.given.load(Relaxed).saturating_sub(freed)
    }

    /// How many have been freed.
    pub(crate) fn freed(&self) -> u64 {
        let forgotten = self.forgotten.load(Relaxed);
        self.freed.load(Relaxed).saturating_sub(forgotten)
    }

    /// Begins anew; what is not freed yet stays.
    pub(crate) fn reset(&self) {
        self.forgotten.store(self.freed.load(Relaxed), Relaxed);
    }
}

impl Garbage {
    /// Frees an entry, or keeps it if that takes long.
    pub(super) fn take_entry(&mut self, entry: Entry) {
        if entry.is_bulky() {
            self.entries.push(entry);
        }
    }

    /// Keeps what a database held.
    pub(super) fn take_db(&mut self, db: Db) {
        if !db.table.is_empty() {
            self.dbs.push(db);
        }
    }

    /// Keeps what was remembered of who has read what.
    pub(super) fn take_tracked(&mut self, tracked: Tracked) {
        if !tracked.is_empty() {
            self.tracked.push(tracked);
        }
    }

    /// Has it counted, from here until it has been freed.
    pub(crate) fn count_in(&mut self, freed_aside: &Arc<FreedAside>) {
        let of_dbs: usize = self.dbs.iter().map(|db| db.table.len()).sum();
        let keys = (self.entries.len() + of_dbs) as u64;
        freed_aside.given.fetch_add(keys, Relaxed);
        self.counted = Some((Arc::clone(freed_aside), keys));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dbs.is_empty() && self.tracked.is_empty()
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        if let Some((freed_aside, keys)) = self.counted.take() {
            drop((mem::take(&mut self.entries), mem::take(&mut self.dbs)));
            freed_aside.freed.fetch_add(keys, Relaxed);
        }
    }
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Garbage")
            .field("entries", &self.entries.len())
            .field("dbs", &self.dbs)
            .finish()
    }
}
