//! Logs of commands: the latest of those that took longer than `slowlog-log-slower-than`, or whose
//! request or reply was large.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::Now;
use crate::session::Client;
use crate::sync::Mutex;

/// The latest commands that were slow, or large.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The newest first.
    entries: VecDeque<Arc<Entry>>,
    next_id: u64,
}

/// A command that was slow, or large.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// When it was done, in Unix seconds.
    pub(crate) at_s: u64,
    /// How many microseconds it took, or how many bytes it was.
    pub(crate) measure: u64,
    /// Its words, cut.
    pub(crate) words: Vec<Box<[u8]>>,
    /// Whence it came; empty if from inside the process.
    pub(crate) address: String,
    /// The name of the connection.
    pub(crate) name: String,
}

impl Entry {
    pub(super) fn new(
        now: Now,
        measure: u64,
        words: Vec<Box<[u8]>>,
        client: Option<&Arc<Client>>,
    ) -> Entry {
        Entry {
            id: 0,
            at_s: now.unix_ms() / 1000,
            measure,
            words,
            address: client.map_or_else(String::new, |client| client.info().address.clone()),
            name: client.map_or_else(String::new, |client| client.names().name.clone()),
        }
    }
}

impl SlowLog {
    /// Adds an entry, and drops the oldest if there are more than so many.
    pub(super) fn add(&self, entry: Entry, len_max: usize) {
        let mut log = self.entries.lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(Arc::new(Entry { id, ..entry }));
        log.entries.truncate(len_max);
    }

    /// The newest entries, so many.
    pub(crate) fn newest(&self, count: usize) -> Vec<Arc<Entry>> {
        self.entries
            .lock()
            .entries
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().entries.len()
    }

    /// Forgets all entries.
    pub(crate) fn clear(&self) {
        self.entries.lock().entries.clear();
    }
}
