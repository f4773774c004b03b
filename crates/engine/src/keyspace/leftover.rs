//! What a call leaves to be done: some of it before it lets its shards go, the rest after that.

use std::collections::VecDeque;
use std::fmt;

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

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dbs.is_empty() && self.tracked.is_empty()
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
