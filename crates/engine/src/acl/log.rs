//! What was denied: ACL LOG.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::engine::Now;
use crate::sync::Mutex;

/// For how long a denial like an earlier one is counted with it.
const SAME_FOR_MS: u64 = 60_000;

/// How many of the latest entries are looked at for one that is like a new one.
const LOOKED_AT: usize = 10;

/// What was denied lately, and how often each kind of it in all.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Mutex<Entries>,
    counts: [AtomicU64; Reason::ALL.len()],
}

#[derive(Debug, Default)]
struct Entries {
    /// The latest first.
    latest: VecDeque<Entry>,
    next_id: u64,
}

/// What was denied, once or several times.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) count: u64,
    pub(super) what: What,
    /// The connection whose request was denied last, as CLIENT LIST shows it.
    pub(super) client: String,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
}

/// What was denied to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct What {
    pub(super) reason: Reason,
    pub(super) context: Context,
    pub(super) object: Vec<u8>,
    pub(super) user: Vec<u8>,
}

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The password was wrong, or there is no such user.
    Login,
    Command,
    Key,
    Channel,
}

/// Where a request stands that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    TopLevel,
    Transaction,
    Script,
}

impl Reason {
    pub(super) const ALL: [Reason; 4] =
        [Reason::Login, Reason::Command, Reason::Key, Reason::Channel];

    pub(super) fn name(self) -> &'static str {
        match self {
            Reason::Login => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }
}

impl Context {
    pub(super) fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Transaction => "multi",
            Context::Script => "lua",
        }
    }
}

impl Log {
    /// How often something was denied for this reason.
    pub(super) fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Relaxed)
    }

    /// Begins all counts anew.
    pub(super) fn reset_counts(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }

    /// Notes a denial, of which so many are kept.
    pub(super) fn note(&self, what: What, client: String, now: Now, len_max: usize) {
        self.counts[what.reason as usize].fetch_add(1, Relaxed);
        let now_ms = now.unix_ms();
        let mut entries = self.entries.lock();
        if len_max > 0 {
            entries.add(what, client, now_ms);
        }
        entries.latest.truncate(len_max);
    }

    pub(super) fn latest(&self, count: usize) -> Vec<Entry> {
        self.entries
            .lock()
            .latest
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    pub(super) fn clear(&self) {
        self.entries.lock().latest.clear();
    }
}

impl Entries {
    fn add(&mut self, what: What, client: String, now_ms: u64) {
        let mut looked_at = self.latest.iter().take(LOOKED_AT);
        let same = looked_at.position(|entry| {
            entry.what == what && now_ms.abs_diff(entry.updated_ms) <= SAME_FOR_MS
        });
        let entry = match same.and_then(|place| self.latest.remove(place)) {
            Some(entry) => Entry {
                count: entry.count + 1,
                client,
                updated_ms: now_ms,
                ..entry
            },
            None => {
                self.next_id += 1;
                Entry {
                    id: self.next_id - 1,
                    count: 1,
                    what,
                    client,
                    created_ms: now_ms,
                    updated_ms: now_ms,
                }
            }
        };
        self.latest.push_front(entry);
    }
}
