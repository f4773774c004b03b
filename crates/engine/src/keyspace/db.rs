//! Db: the keys of one database that fall into one shard.

use super::cut::Cut;
use super::entry::{Entry, Kind};
use super::expiries::{Expiries, Record};
use super::table::{Found, Keyed as _, Table};
use crate::hash::Seed;

/// The keys of one database that fall into one shard.
pub(crate) struct Db {
    pub(crate) table: Table<Entry>,
    pub(crate) expiries: Expiries,
    /// How many keys have an expiry.
    pub(crate) volatile: usize,
    /// How many bytes the entries take, with all that they own, and the records of fields that expire.
    pub(super) entries: usize,
    /// The hashes of which a field expires, by the time of the next.
    pub(super) deadlines: Expiries,
    /// How many such hashes are filed there.
    pub(super) timed: usize,
    /// What is being written of it, as it was at one moment.
    pub(super) cut: Option<Box<Cut>>,
}

/// How many doubted records a change looks after. Eight keep the records below twice the entries:
/// all are doubted when there are half as many again as entries, and are looked after before a
/// quarter of the entries can have gone.
const DOUBTS: usize = 8;
/// How many records are looked at for the one that expires soonest.
const SOONEST: usize = 16;
/// How many records are drawn until one is live.
const SAMPLES: u32 = 16;

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
            expiries: Expiries::default(),
            volatile: 0,
            entries: 0,
            deadlines: Expiries::default(),
            timed: 0,
            cut: None,
        }
    }

    /// The entry at a place, to be changed. Its key must stay the same.
    #[inline]
    pub(super) fn at_mut(&mut self, found: Found) -> Option<&mut Entry> {
        if self.cut.is_some() {
            self.spare_at(found);
        }
        self.table.at_mut(found)
    }

    /// How many bytes the keys take, with their values, their table and the records of their
    /// expiries. O(1).
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.entries + self.table.bytes() + self.expiries.bytes()
    }

    /// An entry that took `before` bytes takes `after` now: it was changed through
    /// [`Table::at_mut`], which does not tell.
    #[inline]
    pub(super) fn resized(&mut self, before: usize, after: usize) {
        self.entries = self.entries - before + after;
    }

    pub(super) fn insert(&mut self, hash: u64, mut entry: Entry) {
        let at = entry.expires_at();
        if let Some(slot) = self.expiries.file(hash, at, None) {
            entry.set_filed(slot);
        }
        self.entries += entry.bytes();
        if self.cut.is_some() {
            self.spare(hash, entry.key());
        }
        self.table.insert(hash, entry);
        if at.is_some() {
            self.volatile += 1;
            self.settle_doubts();
        }
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
        if self.cut.is_some() {
            self.spare(hash, key);
        }
        let Some(entry) = self.table.find_mut(hash, key) else {
            let at = at(None);
            let mut entry = make(at);
            if entry.expires_at() != at {
                entry.set_expiry(at);
            }
            return self.insert(hash, entry);
        };
        let (was, filed, before) = (entry.expires_at(), entry.filed(), entry.bytes());
        let at = at(was);
        set(entry, at);
        if entry.expires_at() != at {
            entry.set_expiry(at);
        }
        self.entries = self.entries - before + entry.bytes();
        if was.is_some() || at.is_some() {
            if let Some(slot) = self.expiries.file(hash, at, filed) {
                entry.set_filed(slot);
            }
            self.volatile = self.volatile + usize::from(at.is_some()) - usize::from(was.is_some());
            self.settle_doubts();
        }
    }

    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let found = self.table.locate(hash, key)?;
        self.remove_at(found)
    }

    pub(super) fn remove_at(&mut self, found: Found) -> Option<Entry> {
        if self.cut.is_some() {
            self.spare_at(found);
        }
        let mut entry = self.table.remove_at(found)?;
        self.entries -= entry.bytes();
        if entry.kind() == Kind::TimedHash {
            self.forget_deadlines(found.hash, &mut entry);
        }
        if entry.expires_at().is_some() {
            self.volatile -= 1;
            if let Some(filed) = entry.filed() {
                self.expiries.take_back(found.hash, filed);
            }
            self.settle_doubts();
        }
        Some(entry)
    }

    /// Sets when a key expires, if there is such a key.
    pub(super) fn set_expiry(&mut self, hash: u64, key: &[u8], at_ms: Option<u64>) {
        if self.cut.is_some() {
            self.spare(hash, key);
        }
        let Some(entry) = self.table.find_mut(hash, key) else {
            return;
        };
        let (was, filed) = (entry.expires_at(), entry.filed());
        if was.is_none() && at_ms.is_none() {
            return;
        }
        let before = entry.bytes();
        entry.set_expiry(at_ms);
        self.entries = self.entries - before + entry.bytes();
        if let Some(slot) = self.expiries.file(hash, at_ms, filed) {
            entry.set_filed(slot);
        }
        self.volatile = self.volatile + usize::from(at_ms.is_some()) - usize::from(was.is_some());
        self.settle_doubts();
    }

    /// What a key holds, if it is there, be it expired or not.
    pub(super) fn kind(&self, key: &[u8]) -> Option<Kind> {
        let entry = self.table.find(self.table.seed().hash(key), key)?;
        Some(entry.kind())
    }

    pub(super) fn has(&self, key: &[u8], now_ms: u64) -> bool {
        let entry = self.table.find(self.table.seed().hash(key), key);
        entry.is_some_and(|entry| entry.expires_at().is_none_or(|at| at > now_ms))
    }

    /// Removes up to `limit` keys that have expired, and gives them to `expired`. Answers whether
    /// there is more to do.
    pub(super) fn expire(&mut self, now_ms: u64, limit: usize, expired: &mut Vec<Entry>) -> bool {
        let due = self.expiries.take_due(now_ms, limit);
        self.look_ahead(&due);
        for record in &due {
            let is_expired = |entry: &Entry| {
                entry.filed() == Some(record.slot)
                    && entry.expires_at().is_some_and(|at| at <= now_ms)
            };
            let Some(found) = self.table.locate_where(record.hash, is_expired) else {
                self.file_again(*record);
                continue;
            };
            if self.cut.is_some() {
                self.spare_at(found);
            }
            if let Some(mut entry) = self.table.remove_at(found) {
                self.volatile -= 1;
                self.entries -= entry.bytes();
                self.forget_deadlines(record.hash, &mut entry);
                expired.push(entry);
            }
        }
        due.len() == limit
    }

    /// Frees the records if all of them are stale. It is not done at each change, since the next key
    /// may have an expiry again.
    pub(super) fn forget_stale(&mut self) {
        if self.volatile == 0 {
            self.expiries.clear();
        }
    }

    /// Of the keys with an expiry the one that expires soonest, or one that expires in the same
    /// slot: as far as a few records tell. None if they tell of none; then it may be asked again,
    /// since it has forgotten stale ones.
    pub(super) fn soonest(&mut self) -> Option<&Entry> {
        let mut soonest: Option<(u64, u64)> = None;
        for record in self.expiries.take_soonest(SOONEST) {
            if let Some(at) = self.file_again(record) {
                let candidate = (at, record.hash);
                soonest = Some(soonest.map_or(candidate, |soonest| soonest.min(candidate)));
            }
        }
        let (at, hash) = soonest?;
        let is_it = |entry: &Entry| entry.expires_at() == Some(at);
        self.table.find_where(hash, is_it).map(|entry| &*entry)
    }

    /// A key with an expiry, chosen by `random`, or the soonest where few records are live.
    pub(super) fn sample_volatile(&mut self, random: u64) -> Option<&Entry> {
        let live = (0..SAMPLES).find_map(|nth| {
            let record = self.expiries.sample(random.rotate_left(nth))?;
            let is_it = |entry: &Entry| entry.filed() == Some(record.slot);
            let entry = self.table.find_where(record.hash, is_it)?;
            Some((record, entry.expires_at()))
        });
        let Some((record, at)) = live else {
            return self.soonest();
        };
        let is_it = |entry: &Entry| entry.expires_at() == at;
        self.table
            .find_where(record.hash, is_it)
            .map(|entry| &*entry)
    }

    /// Files an entry anew whose record was taken, and answers when it expires. None if the record
    /// is stale.
    fn file_again(&mut self, record: Record) -> Option<u64> {
        let is_it = |entry: &Entry| entry.filed() == Some(record.slot);
        let entry = self.table.find_where(record.hash, is_it)?;
        let at = entry.expires_at();
        if let Some(slot) = self.expiries.file(record.hash, at, None) {
            entry.set_filed(slot);
        }
        at
    }

    /// Asks the processor for the entries of these records, so that the waits overlap.
    fn look_ahead(&self, records: &[Record]) {
        for hint in [Table::prefetch, Table::prefetch_entry] {
            { records.iter() }.for_each(|record| hint(&self.table, record.hash));
        }
    }

    /// Looks after some records if there are too many stale ones: more than one change can add, so
    /// that this comes to an end.
    #[inline]
    fn settle_doubts(&mut self) {
        if self.expiries.has_doubts(self.volatile) {
            self.settle_some_doubts();
        }
    }

    #[cold]
    fn settle_some_doubts(&mut self) {
        let doubted = self.expiries.take_doubted(DOUBTS);
        self.look_ahead(&doubted);
        for record in doubted {
            self.file_again(record);
        }
    }
}

#[cfg(test)]
mod tests;
