//! Which clients have read which keys of a shard.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::places::Places;
use super::tracking::Tracker;

/// Who has read which keys of a shard.
pub(super) struct Tracked {
    places: Places<Vec<Arc<Tracker>>>,
    keys: usize,
    items: usize,
    totals: Arc<Totals>,
}

/// How much is remembered in all shards.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) keys: AtomicUsize,
    /// A key counts for each who has read it.
    pub(super) items: AtomicUsize,
}

impl Tracked {
    pub(super) fn new(totals: &Arc<Totals>) -> Tracked {
        Tracked {
            places: Places::default(),
            keys: 0,
            items: 0,
            totals: Arc::clone(totals),
        }
    }

    /// Counts what is new.
    fn count(&mut self, keys: usize, items: usize) {
        self.keys += keys;
        self.items += items;
        self.totals.keys.fetch_add(keys, Relaxed);
        self.totals.items.fetch_add(items, Relaxed);
    }

    /// Counts what is forgotten.
    fn discount(&mut self, keys: usize, items: usize) {
        self.keys -= keys;
        self.items -= items;
        self.totals.keys.fetch_sub(keys, Relaxed);
        self.totals.items.fetch_sub(items, Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Notes that somebody has read a key.
    pub(super) fn add(&mut self, db: usize, key: &[u8], tracker: &Arc<Tracker>) {
        if let Some(trackers) = self.places.get_mut(db, key) {
            if let Err(place) = trackers.binary_search_by_key(&tracker.id(), |other| other.id()) {
                trackers.insert(place, Arc::clone(tracker));
                self.count(0, 1);
            }
            return;
        }
        let trackers = self.places.get_or_default(db, key);
        trackers.push(Arc::clone(tracker));
        self.count(1, 1);
    }

    /// Takes out who has read a key.
    pub(super) fn take(&mut self, db: usize, key: &[u8]) -> Option<Vec<Arc<Tracker>>> {
        let trackers = self.places.remove(db, key)?;
        self.discount(1, trackers.len());
        Some(trackers)
    }

    /// Forgets a key, whichever, and says so to those who have read it.
    pub(super) fn evict(&mut self) {
        let key = self.places.any().map(|(db, key)| (db, Box::from(key)));
        let key: Option<(usize, Box<[u8]>)> = key;
        if let Some((db, key)) = key {
            let trackers = self.take(db, &key).unwrap_or_default();
            tell_readers(&trackers, db, &key, 0);
        }
    }

    /// It is given away, and freed later: what it holds does not count any more.
    pub(super) fn retire(mut self) -> Tracked {
        self.discount(self.keys, self.items);
        self
    }

    /// Forgets those who are over.
    pub(super) fn sweep(&mut self) {
        let (mut keys, mut items) = (0, 0);
        self.places.retain(|trackers| {
            let len = trackers.len();
            trackers.retain(|tracker| !tracker.is_over());
            items += len - trackers.len();
            keys += usize::from(trackers.is_empty());
            !trackers.is_empty()
        });
        self.discount(keys, items);
    }
}

/// Tells those who have read a key that it has changed.
pub(super) fn tell_readers(trackers: &[Arc<Tracker>], db: usize, key: &[u8], author: u64) {
    let mut keys: Option<Arc<[Bytes]>> = None;
    for tracker in trackers.iter().filter(|tracker| tracker.wants_of(author)) {
        let keys = keys.get_or_insert_with(|| Arc::from([Bytes::copy_from_slice(key)]));
        tracker.tell_keys(keys, std::iter::once((db, key)));
    }
}
