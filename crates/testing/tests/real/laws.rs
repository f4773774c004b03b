//! What callers were told, to be compared with what there is in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What callers were told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) counters: Counters,
    pub(crate) scores: Counters,
    pub(crate) resource: Resource,
    /// Jobs whose addition was acknowledged.
    pub(crate) added: Mutex<BTreeSet<u64>>,
    pub(crate) handled: Mutex<BTreeSet<u64>>,
    /// Tokens of sessions and what was kept in them.
    pub(crate) sessions: Mutex<BTreeMap<String, u64>>,
    /// Permits that were given.
    pub(crate) permits: AtomicU64,
    /// Messages that came after one that was published later.
    pub(crate) overtaken: AtomicU64,
    /// Messages that were heard before a connection was lost, and again on the next.
    pub(crate) repeated: AtomicU64,
    /// Laws that were broken.
    pub(crate) broken: Mutex<Vec<String>>,
}

impl Told {
    /// Notes that a law was broken, if it was.
    pub(crate) fn law(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.lock().push(what());
        }
    }
}

/// Additions of one, by the name of what was added to.
#[derive(Default)]
pub(crate) struct Counters(Mutex<BTreeMap<String, Count>>);

#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) acknowledged: u64,
    pub(crate) in_doubt: u64,
}

impl Counters {
    /// Notes what came of an addition.
    pub(crate) fn note<T>(&self, name: &str, outcome: &Result<T, larder_store::Error>) {
        let mut all = self.0.lock();
        let count = all.entry(name.to_owned()).or_default();
        match outcome {
            Ok(_) => count.acknowledged += 1,
            Err(error) if error.is_in_doubt() => count.in_doubt += 1,
            Err(_) => {}
        }
    }

    pub(crate) fn all(&self) -> Vec<(String, Count)> {
        let all = self.0.lock();
        all.iter()
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }
}

/// What locks protect: it refuses a token smaller than the largest that it has seen.
#[derive(Default)]
pub(crate) struct Resource {
    seen: Mutex<BTreeMap<String, Seen>>,
    refused: AtomicU64,
}

#[derive(Default)]
struct Seen {
    token: u64,
    holder: u64,
}

/// What a resource says to a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Admitted,
    /// Somebody has held the lock after this one.
    Refused,
    /// Two holders came with the same token: nobody can tell who was the later.
    Ambiguous,
}

impl Resource {
    /// A holder comes, with his token.
    pub(crate) fn enter(&self, name: &str, token: u64, holder: u64) -> Entry {
        let mut all = self.seen.lock();
        let seen = all.entry(name.to_owned()).or_default();
        if token < seen.token {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Entry::Refused;
        }
        if token == seen.token && holder != seen.holder {
            return Entry::Ambiguous;
        }
        *seen = Seen { token, holder };
        Entry::Admitted
    }

    /// How many holders of before it has refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
