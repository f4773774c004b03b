//! What a call leaves to be done: some of it before it lets its shards go, the rest after that.

use std::collections::VecDeque;
use std::fmt;

use super::db::Db;
use super::entry::Entry;

/// What is left to do.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// The keys that changed and on which somebody waits who has not been served yet.
    pub(crate) ready: VecDeque<Ready>,
    /// Those whose waiters need shards that others hold.
    pub(crate) unserved: Vec<Ready>,
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

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dbs.is_empty()
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
