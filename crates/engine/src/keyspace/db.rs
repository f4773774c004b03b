//! Db: the keys of one database that fall into one shard.

use super::agenda::Agenda;
use super::entry::Entry;
use super::table::{Found, Keyed, Table};
use crate::hash::Seed;

/// The keys of one database that fall into one shard.
pub(crate) struct Db {
    pub(crate) table: Table<Entry>,
    pub(crate) agenda: Agenda,
    /// How many keys have an expiry.
    pub(crate) volatile: usize,
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

    pub(super) fn has(&self, key: &[u8], now_ms: u64) -> bool {
        let entry = self.table.find(self.table.seed().hash(key), key);
        entry.is_some_and(|entry| entry.expires_at().is_none_or(|at| at > now_ms))
    }

    /// Removes up to `limit` keys that have expired, and gives them to `expired`. Answers whether
    /// there is more to do.
    pub(super) fn expire(&mut self, now_ms: u64, limit: usize, expired: &mut Vec<Entry>) -> bool {
        let due = self.agenda.take_due(now_ms, limit);
        for &(slot, hash) in &due {
            let is_expired = |entry: &Entry| entry.expires_at().is_some_and(|at| at <= now_ms);
            if let Some(entry) = self.table.remove_where(hash, is_expired) {
                expired.push(entry);
                self.volatile -= 1;
                continue;
            }
            self.file_again(slot, hash);
        }
        if self.agenda.needs_rebuild(self.volatile) {
            self.rebuild_agenda();
        }
        due.len() == limit
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
