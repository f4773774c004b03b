//! The whole keyspace: what concerns all keys of a database.
//!
//! What only looks takes one shard after the other, unless the call holds them all: so nobody waits
//! for longer than one shard takes. What changes a whole database is for calls that hold every shard.

use std::sync::Arc;

use super::cut::Aside;
use super::entry::Entry;
use super::hold::Contended;
use super::shard::{SHARDS, Shard, Shards};
use super::table::Keyed;
use super::{Keyspace, What};
use crate::error::Error;

/// What an eviction goes by.
pub(crate) struct Sampled<'k> {
    pub(crate) key: &'k [u8],
    /// For how many tenths of a second the key has not been used, if that is noted.
    pub(crate) idle: u32,
    /// The logarithmic count of its uses, if they are counted.
    pub(crate) uses: u8,
    pub(crate) expires_at: Option<u64>,
}

impl Keyspace<'_> {
    /// Looks at a shard, which is taken for that time if it is not held.
    fn look<T>(&self, index: usize, look: impl FnOnce(&Shard) -> T) -> Result<T, Contended> {
        match self.held.has(index) {
            true => Ok(look(self.held.shard(index))),
            false => Ok(look(&*self.shards.take(index)?)),
        }
    }

    /// Visits every entry of the database that has not expired.
    ///
    /// # Errors
    ///
    /// If a shard can't be had for now, and so in the functions below.
    pub(crate) fn each_entry(&self, visit: &mut dyn FnMut(&Entry)) -> Result<(), Contended> {
        for index in 0..SHARDS {
            self.look(index, |shard| {
                let entries = shard.dbs[self.db].table.iter();
                entries
                    .filter(|entry| !self.is_expired(entry))
                    .for_each(&mut *visit);
            })?;
        }
        Ok(())
    }

    /// One step of a scan: visits the entries at `cursor`, and answers the next cursor, 0 at the
    /// end. Entries that are there throughout a scan are visited; some may be visited twice.
    pub(crate) fn scan(
        &self,
        cursor: u64,
        visit: &mut dyn FnMut(&Entry),
    ) -> Result<u64, Contended> {
        let (first, position) = self.shards.place_of(cursor);
        let mut position = Some(position);
        let mut live = |entry: &Entry| {
            if let Some(entry) = self.unexpired(Some(entry)) {
                visit(entry);
            }
        };
        for index in first..SHARDS {
            let from = position.take().unwrap_or(0);
            let step = self.look(index, |shard| {
                let table = &shard.dbs[self.db].table;
                (!table.is_empty()).then(|| table.scan(from, &mut live))
            })?;
            match step {
                // An empty table is no step, so that a small keyspace does not take a call a shard.
                None => {}
                Some(Some(position)) => return Ok(self.shards.cursor_of(index, position)),
                Some(None) => return Ok(self.shards.cursor_of(index + 1, 0)),
            }
        }
        Ok(0)
    }

    /// A key chosen at random, if there is one that has not expired. `weights` says how many keys
    /// each shard has.
    pub(crate) fn random_key(
        &self,
        weights: &[usize],
        mut random: impl FnMut() -> u64,
    ) -> Result<Option<Vec<u8>>, Contended> {
        let len: usize = weights.iter().sum();
        if len == 0 {
            return Ok(None);
        }
        // Each try first chooses a shard by how many keys it has. Expired keys are passed over,
        // and a keyspace of expired keys only is searched in the end.
        for _ in 0..100 {
            let index = weighted(weights, random() % len as u64);
            let position = random();
            let key = self.look(index, |shard| {
                let entry = shard.dbs[self.db].table.sample(position);
                let live = self.unexpired(entry);
                live.map(|entry| entry.key().to_vec())
            })?;
            if key.is_some() {
                return Ok(key);
            }
        }
        let mut found = None;
        self.each_entry(&mut |entry| {
            found.get_or_insert_with(|| entry.key().to_vec());
        })?;
        Ok(found)
    }

    /// Any key, even if it has expired.
    pub(crate) fn any_key(&self) -> Result<Option<Vec<u8>>, Contended> {
        for index in 0..SHARDS {
            let key = self.look(index, |shard| {
                let entry = shard.dbs[self.db].table.iter().next();
                entry.map(|entry| entry.key().to_vec())
            })?;
            if key.is_some() {
                return Ok(key);
            }
        }
        Ok(None)
    }

    // --- eviction ----------------------------------------------------------------------------

    /// Shows a key, chosen by `random`, of a shard that is held, and what an eviction goes by. With
    /// `is_volatile` it is one with an expiry, and with `is_soonest` one of those that expire first.
    pub(crate) fn sample_held(
        &mut self,
        index: usize,
        is_volatile: bool,
        is_soonest: bool,
        random: u64,
        show: impl FnOnce(Sampled<'_>),
    ) {
        let (db, access) = (self.db, self.shards.access());
        let db = &mut self.held.shard_mut(index).dbs[db];
        let entry = match is_volatile {
            true if is_soonest => db.soonest(),
            true => db.sample_volatile(random),
            false => db.table.sample(random),
        };
        if let Some(entry) = entry {
            show(Sampled {
                key: entry.key(),
                idle: access.idle(entry),
                uses: access.uses(entry),
                expires_at: entry.expires_at(),
            });
        }
        // Stale records may have been forgotten.
        let shard = self.held.shard(index);
        self.shards
            .show(shard.figures(), self.db, &shard.dbs[self.db]);
    }

    /// Removes a key to make room, if it is there and, with `is_volatile`, has an expiry. Answers
    /// whether it did.
    pub(crate) fn evict(&mut self, key: &[u8], is_volatile: bool) -> bool {
        let hash = self.hash(key);
        let db = self.db_of_mut(hash);
        let Some(found) = db.table.locate(hash, key) else {
            return false;
        };
        let entry = db.table.at(found);
        if is_volatile && entry.is_none_or(|entry| entry.expires_at().is_none()) {
            return false;
        }
        let Some(entry) = db.remove_at(found) else {
            return false;
        };
        db.forget_stale();
        self.figures(hash).evicted.add(1);
        self.note(hash, key, What::Evicted);
        self.discard(entry);
        true
    }

    // --- changes of a whole database ----------------------------------------------------------

    /// Removes every key of the database. What was there is freed after the shards are let go.
    pub(crate) fn clear(&mut self) {
        self.count_whole_change();
        let (db, now_ms) = (self.db, self.now_ms());
        let mut leftover = self.leftover.take().unwrap_or_default();
        for shard in self.held.all_mut() {
            let old = shard.flush(db, now_ms, &mut leftover.ready);
            self.shards.show(shard.figures(), db, &shard.dbs[db]);
            if let Some(old) = old.spared() {
                leftover.garbage.take_db(old);
            }
        }
        self.leftover = Some(leftover);
    }

    /// Counts that the command has changed something, where every shard is held.
    fn count_whole_change(&mut self) {
        if !self.is_change_counted {
            self.is_change_counted = true;
            self.held.shard(0).figures().changes.add(1);
        }
    }

    /// Begins a snapshot of everything: see [`super::cut`].
    ///
    /// # Errors
    ///
    /// If not every shard is held.
    pub(crate) fn cut(&mut self, of: &Arc<Aside>) -> Result<(), Error> {
        let shards = self.held.all_mut();
        if shards.is_empty() {
            return Err(Error::Internal);
        }
        shards.iter_mut().for_each(|shard| shard.cut(of));
        Ok(())
    }

    /// Exchanges what two databases hold.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        self.count_whole_change();
        let now_ms = self.now_ms();
        let mut leftover = self.leftover.take().unwrap_or_default();
        for shard in self.held.all_mut() {
            shard.swap(one, other, now_ms, &mut leftover.ready);
            for db in [one, other] {
                self.shards.show(shard.figures(), db, &shard.dbs[db]);
            }
        }
        self.leftover = Some(leftover);
    }
}

/// What is known about the whole from samples, without waiting for a shard that somebody holds.
impl Shards {
    /// How long the keys of a database that have an expiry have left, about, in milliseconds.
    pub(crate) fn estimated_ttl_ms(
        &self,
        db: usize,
        now_ms: u64,
        mut random: impl FnMut() -> u64,
    ) -> u64 {
        let (mut sum_ms, mut seen) = (0, 0);
        let volatile: Vec<usize> = self.figures().map(|figures| figures.volatile(db)).collect();
        for (index, count) in volatile
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
        {
            let Some(mut shard) = self.try_take(index) else {
                continue;
            };
            let entry = shard.dbs[db].sample_volatile(random());
            if let Some(at_ms) = entry.and_then(Entry::expires_at) {
                sum_ms += u128::from(at_ms.saturating_sub(now_ms)) * count as u128;
                seen += count as u128;
            }
        }
        let average_ms = sum_ms.checked_div(seen).unwrap_or(0);
        u64::try_from(average_ms).unwrap_or(u64::MAX)
    }
}

/// The place of the weight into which the `nth` unit falls.
fn weighted(weights: &[usize], mut nth: u64) -> usize {
    for (place, &weight) in weights.iter().enumerate() {
        match nth.checked_sub(weight as u64) {
            Some(rest) => nth = rest,
            None => return place,
        }
    }
    0
}
