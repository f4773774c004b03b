//! A shard of the keyspace: what one lock protects.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::aftermath::{Aftermath, Garbage, Ready};
use super::agenda::Agenda;
use super::entry::{CLOCK_MASK, Entry};
use super::table::{Found, Keyed, Table};
use super::waiting::Waiter;
use super::watch::Watch;
use crate::engine::Now;
use crate::hash::Seed;
use crate::types::Limits;

/// How many databases there are.
pub(crate) const DATABASES: usize = 16;

/// How many shards there are: enough that two threads seldom meet, few enough that taking them all
/// costs a microsecond or two.
const SHARDS: usize = 64;

/// The hash bits that choose the shard. The tables use the bits above and below.
const SHARD_SHIFT: u32 = 8;

/// The lowest hash bit that a table's scan position uses.
const POSITION_SHIFT: u32 = 24;
const POSITION_BITS: u32 = 64 - POSITION_SHIFT;

/// All shards.
pub(crate) struct Shards {
    shards: Box<[Padded]>,
    seed: Seed,
    limits: Limits,
    /// The second that it is, as the access clocks of entries have it.
    clock: AtomicU32,
}

/// A shard on cache lines of its own, so that two threads on two shards do not slow each other.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// What has happened in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Commands that held this shard alone. Counting them here costs no atomic operation.
    pub(crate) commands: u64,
    /// How often a key that was read was there.
    pub(crate) hits: u64,
    /// How often a key that was read was not there.
    pub(crate) misses: u64,
    /// How often a key that was to be changed had expired, and was removed for that.
    pub(crate) expired: u64,
}

/// A key in a database.
type Place = (usize, Box<[u8]>);

/// What one lock protects: what every command uses stands first, in the lock's cache line.
#[repr(C)]
pub(crate) struct Shard {
    /// In a cell, since readers count too.
    pub(super) counts: Cell<Counts>,
    pub(crate) dbs: [Db; DATABASES],
    /// Who watches a key: transactions that are void when it changes.
    watched: HashMap<Place, Vec<Arc<Watch>>>,
    /// Who waits for a key, longest first.
    waiting: HashMap<Place, VecDeque<Arc<Waiter>>>,
}

/// The keys of one database that fall into one shard.
pub(crate) struct Db {
    pub(crate) table: Table<Entry>,
    pub(crate) agenda: Agenda,
    /// How many keys have an expiry.
    pub(crate) volatile: usize,
}

impl Shards {
    /// Empty shards.
    pub(crate) fn new(seed: Seed) -> Shards {
        let shards = (0..SHARDS)
            .map(|_| Padded(Mutex::new(Shard::new(seed))))
            .collect();
        Shards {
            shards,
            seed,
            limits: Limits::new(seed),
            clock: AtomicU32::new(0),
        }
    }

    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// The second that it is, as the access clocks of entries have it: as of the last tick, so that
    /// a read need not ask for the time.
    #[inline]
    pub(crate) fn clock(&self) -> u32 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(crate) fn set_clock(&self, now: Now) {
        let clock = (now.unix_ms() / 1000) as u32 & CLOCK_MASK;
        self.clock.store(clock, Ordering::Relaxed);
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn index(&self, hash: u64) -> usize {
        (hash >> SHARD_SHIFT) as usize % SHARDS
    }

    pub(crate) fn shard(&self, index: usize) -> &Mutex<Shard> {
        &self.shards[index].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        self.shards.iter().map(|padded| &padded.0)
    }

    /// Asks the processor for the memory of these keys: first for the bucket of each, then for the
    /// entry that each bucket names, so that in both rounds the waits overlap.
    pub(crate) fn look_ahead<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let hashes: SmallVec<[u64; 64]> = keys.map(|key| self.seed.hash(key)).collect();
        for hint in [Table::prefetch, Table::prefetch_entry] {
            for &hash in &hashes {
                // Who holds the shard is using it right now: then there is no need for a hint.
                if let Some(shard) = self.shard(self.index(hash)).try_lock() {
                    hint(&shard.dbs[db].table, hash);
                }
            }
        }
    }

    /// The cursor of a place in hash order: the shard, then the position in its table. It stays
    /// below 2^46, so that clients that keep cursors in floating point keep them exactly.
    pub(super) fn cursor_of(&self, index: usize, position: u64) -> u64 {
        match index < self.shards.len() {
            true => ((index as u64) << POSITION_BITS) | (position >> POSITION_SHIFT),
            false => 0,
        }
    }

    /// The shard and the position of a cursor.
    pub(super) fn place_of(&self, cursor: u64) -> (usize, u64) {
        ((cursor >> POSITION_BITS) as usize, cursor << POSITION_SHIFT)
    }
}

impl Counts {
    /// Both together.
    pub(crate) fn and(self, more: Counts) -> Counts {
        Counts {
            commands: self.commands + more.commands,
            hits: self.hits + more.hits,
            misses: self.misses + more.misses,
            expired: self.expired + more.expired,
        }
    }
}

impl Shard {
    /// What has happened here.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.get()
    }

    #[inline]
    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn new(seed: Seed) -> Shard {
        Shard {
            counts: Cell::default(),
            dbs: std::array::from_fn(|_| Db::new(seed)),
            watched: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Whether nobody watches or waits here.
    pub(super) fn is_quiet(&self) -> bool {
        self.watched.is_empty() && self.waiting.is_empty()
    }

    // --- transactions that watch -------------------------------------------------------------

    pub(crate) fn watch(&mut self, db: usize, key: &[u8], watch: Arc<Watch>) {
        self.watched
            .entry((db, key.into()))
            .or_default()
            .push(watch);
    }

    pub(crate) fn unwatch(&mut self, db: usize, key: &[u8], watch: &Arc<Watch>) {
        let place = (db, key.into());
        if let Some(watches) = self.watched.get_mut(&place) {
            watches.retain(|other| !Arc::ptr_eq(other, watch));
            if watches.is_empty() {
                self.watched.remove(&place);
            }
        }
    }

    pub(super) fn touch_watchers(&self, db: usize, key: &[u8]) {
        if self.watched.is_empty() {
            return;
        }
        if let Some(watches) = self.watched.get(&(db, Box::from(key))) {
            watches.iter().for_each(|watch| watch.touch());
        }
    }

    // --- callers that wait -------------------------------------------------------------------

    pub(crate) fn wait(&mut self, db: usize, key: &[u8], waiter: Arc<Waiter>) {
        self.waiting
            .entry((db, key.into()))
            .or_default()
            .push_back(waiter);
    }

    pub(crate) fn stop_waiting(&mut self, db: usize, key: &[u8], waiter: &Arc<Waiter>) {
        let place = (db, key.into());
        if let Some(waiters) = self.waiting.get_mut(&place) {
            waiters.retain(|other| !Arc::ptr_eq(other, waiter));
            if waiters.is_empty() {
                self.waiting.remove(&place);
            }
        }
    }

    pub(super) fn has_waiters(&self, db: usize, key: &[u8]) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&(db, Box::from(key)))
    }

    /// Who waits for a key, longest first.
    pub(crate) fn waiters(&self, db: usize, key: &[u8]) -> impl Iterator<Item = &Arc<Waiter>> {
        self.waiting
            .get(&(db, Box::from(key)))
            .into_iter()
            .flatten()
    }

    /// All who wait for a key of this shard; those who wait for several may be there as often.
    pub(crate) fn all_waiters(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        self.waiting.values().flatten()
    }

    // --- changes of a whole database ---------------------------------------------------------

    /// Touches all who watch a key that `old` held. Those who wait for a stream's group hear of it.
    pub(super) fn flushed(&self, db: usize, old: &Db, now_ms: u64, ready: &mut Vec<Ready>) {
        for ((watched_db, key), watches) in &self.watched {
            if *watched_db == db && old.has(key, now_ms) {
                watches.iter().for_each(|watch| watch.touch());
            }
        }
        self.waiters_of(db, ready);
    }

    /// Touches all who watch a key of two databases that changed places, if either had it.
    pub(super) fn swapped(&self, one: usize, other: usize, now_ms: u64, ready: &mut Vec<Ready>) {
        for ((db, key), watches) in &self.watched {
            let has = |db: usize| self.dbs[db].has(key, now_ms);
            if (*db == one || *db == other) && (has(one) || has(other)) {
                watches.iter().for_each(|watch| watch.touch());
            }
        }
        self.waiters_of(one, ready);
        self.waiters_of(other, ready);
    }

    /// Removes up to `limit` keys of a database that have expired. Answers how many it removed,
    /// whether there is more to do, and what is left: keys that are gone and somebody waits for, and
    /// what they held.
    pub(crate) fn expire(
        &mut self,
        db: usize,
        now_ms: u64,
        limit: usize,
    ) -> (usize, bool, Aftermath) {
        let mut left = Aftermath::default();
        let (removed, more) = self.dbs[db].expire(now_ms, limit, &mut left.garbage);
        if removed > 0 && !self.waiting.is_empty() {
            self.waiters_of(db, &mut left.ready);
            left.ready
                .retain(|ready| !self.dbs[db].has(&ready.key, now_ms));
        }
        (removed, more, left)
    }

    fn waiters_of(&self, db: usize, ready: &mut Vec<Ready>) {
        let keys = self
            .waiting
            .keys()
            .filter(|(waited_db, _)| *waited_db == db);
        ready.extend(keys.map(|(db, key)| Ready {
            db: *db,
            key: key.clone(),
        }));
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("len", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl Db {
    pub(super) fn new(seed: Seed) -> Db {
        Db {
            table: Table::new(seed),
            agenda: Agenda::default(),
            volatile: 0,
        }
    }

    pub(super) fn insert(&mut self, hash: u64, mut entry: Entry) {
        if let Some(at) = entry.expires_at() {
            self.volatile += 1;
            entry.set_filed(self.agenda.file(hash, at, None));
        }
        self.table.insert(hash, entry);
    }

    /// Gives a key a value, by `set` in the entry that is there, else as the entry that `make`
    /// gives. Both are told when the key expires from now on, which `at` says, told when it did;
    /// they may leave that to this function.
    pub(super) fn put(
        &mut self,
        hash: u64,
        key: &[u8],
        at: impl FnOnce(Option<u64>) -> Option<u64>,
        set: impl FnOnce(&mut Entry, Option<u64>),
        make: impl FnOnce(Option<u64>) -> Entry,
    ) {
        let Some(entry) = self.table.find_mut(hash, key) else {
            let at = at(None);
            let mut entry = make(at);
            if entry.expires_at() != at {
                entry.set_expiry(at);
            }
            return self.insert(hash, entry);
        };
        let (was, filed) = (entry.expires_at(), entry.filed());
        let at = at(was);
        set(entry, at);
        if entry.expires_at() != at {
            entry.set_expiry(at);
        }
        if let Some(at) = at {
            entry.set_filed(self.agenda.file(hash, at, filed));
        }
        self.volatile = self.volatile + usize::from(at.is_some()) - usize::from(was.is_some());
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let found = self.table.locate(hash, key)?;
        self.remove_at(found)
    }

    pub(super) fn remove_at(&mut self, found: Found) -> Option<Entry> {
        let entry = self.table.remove_at(found)?;
        self.volatile -= usize::from(entry.expires_at().is_some());
        Some(entry)
    }

    /// Sets when a key expires, if there is such a key.
    pub(super) fn set_expiry(&mut self, hash: u64, key: &[u8], at_ms: Option<u64>) {
        let Some(entry) = self.table.find_mut(hash, key) else {
            return;
        };
        let was_volatile = entry.expires_at().is_some();
        if !was_volatile && at_ms.is_none() {
            return;
        }
        let filed = entry.filed();
        entry.set_expiry(at_ms);
        if let Some(at) = at_ms {
            entry.set_filed(self.agenda.file(hash, at, filed));
        }
        self.volatile = self.volatile - usize::from(was_volatile) + usize::from(at_ms.is_some());
    }

    fn has(&self, key: &[u8], now_ms: u64) -> bool {
        let entry = self.table.find(self.table.seed().hash(key), key);
        entry.is_some_and(|entry| entry.expires_at().is_none_or(|at| at > now_ms))
    }

    /// Removes up to `limit` keys that have expired. Answers how many it removed, and whether
    /// there is more to do.
    fn expire(&mut self, now_ms: u64, limit: usize, garbage: &mut Garbage) -> (usize, bool) {
        let due = self.agenda.take_due(now_ms, limit);
        let mut removed = 0;
        for &(slot, hash) in &due {
            let is_expired = |entry: &Entry| entry.expires_at().is_some_and(|at| at <= now_ms);
            if let Some(entry) = self.table.remove_where(hash, is_expired) {
                garbage.take_entry(entry);
                self.volatile -= 1;
                removed += 1;
                continue;
            }
            self.file_again(slot, hash);
        }
        if self.agenda.needs_rebuild(self.volatile) {
            self.rebuild_agenda();
        }
        (removed, due.len() == limit)
    }

    /// Files an entry anew whose record came up before the entry expires.
    fn file_again(&mut self, slot: u64, hash: u64) {
        let is_it = |entry: &Entry| entry.filed() == Some(slot);
        if let Some(entry) = self.table.find_where(hash, is_it)
            && let Some(at) = entry.expires_at()
        {
            entry.set_filed(self.agenda.file(hash, at, None));
        }
    }

    fn rebuild_agenda(&mut self) {
        let seed = self.table.seed();
        let mut volatile = Vec::with_capacity(self.volatile);
        self.table.retain(|entry| {
            if let Some(at) = entry.expires_at() {
                entry.set_filed(Agenda::slot(at));
                volatile.push((seed.hash(entry.key()), at));
            }
            true
        });
        self.agenda.rebuild(volatile);
    }
}
