//! The whole keyspace: what concerns all keys of a database.
//!
//! Only calls that hold every shard may use this; to others there seems to be nothing.

use super::Keyspace;
use super::db::Db;
use super::entry::Entry;

impl Keyspace<'_> {
    /// The shards' databases of this number.
    pub(crate) fn dbs(&self) -> impl Iterator<Item = &Db> {
        self.held.all().iter().map(|shard| &shard.dbs[self.db])
    }

    /// How many keys there are in the database. Expired keys count until they are removed.
    pub(crate) fn len(&self) -> usize {
        self.dbs().map(|db| db.table.len()).sum()
    }

    /// Every entry of the database that has not expired.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.dbs()
            .flat_map(|db| db.table.iter())
            .filter(|entry| !self.is_expired(entry))
    }

    /// One step of a scan: visits the entries at `cursor`, and answers the next cursor, 0 at the
    /// end. Entries that are there throughout a scan are visited; some may be visited twice.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&Entry)) -> u64 {
        let (mut index, position) = self.shards.place_of(cursor);
        let mut position = Some(position);
        let mut live = |entry: &Entry| {
            if !self.is_expired(entry) {
                visit(entry);
            }
        };
        // An empty table is no step, so that a small keyspace does not take a call a shard.
        while let Some(shard) = self.held.all().get(index) {
            let table = &shard.dbs[self.db].table;
            if !table.is_empty() {
                let next = table.scan(position.unwrap_or(0), &mut live);
                return match next {
                    Some(position) => self.shards.cursor_of(index, position),
                    None => self.shards.cursor_of(index + 1, 0),
                };
            }
            index += 1;
            position = None;
        }
        0
    }

    /// A key chosen at random, if there is one.
    pub(crate) fn sample(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        // Each try first chooses a shard by how many keys it has. Expired keys are passed over,
        // and a keyspace of expired keys only is searched in the end.
        for _ in 0..100 {
            let mut nth = (random() % len as u64) as usize;
            for db in self.dbs() {
                if nth < db.table.len() {
                    match db.table.sample(random()) {
                        Some(entry) if !self.is_expired(entry) => return Some(entry),
                        _ => break,
                    }
                }
                nth -= db.table.len();
            }
        }
        self.entries().next()
    }

    /// Removes every key of the database. What was there is freed after the shards are let go.
    pub(crate) fn clear(&mut self) {
        let (db, now_ms) = (self.db, self.now_ms());
        let mut leftover = self.leftover.take().unwrap_or_default();
        for shard in self.held.all_mut() {
            let fresh = Db::new(shard.dbs[db].table.seed());
            let old = std::mem::replace(&mut shard.dbs[db], fresh);
            shard.flushed(db, &old, now_ms, &mut leftover.ready);
            shard.figures().show_keys(db, 0, 0);
            leftover.garbage.take_db(old);
        }
        self.leftover = Some(leftover);
    }

    /// Exchanges what two databases hold.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        let now_ms = self.now_ms();
        let mut leftover = self.leftover.take().unwrap_or_default();
        for shard in self.held.all_mut() {
            shard.dbs.swap(one, other);
            shard.swapped(one, other, now_ms, &mut leftover.ready);
            for db in [one, other] {
                let (keys, volatile) = (shard.dbs[db].table.len(), shard.dbs[db].volatile);
                shard.figures().show_keys(db, keys, volatile);
            }
        }
        self.leftover = Some(leftover);
    }
}
