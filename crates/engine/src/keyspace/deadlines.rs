//! Fields that expire: the hashes that have some, and when the next of their fields does.
//!
//! A hash of which a field expires has a record in the deadlines of its [`Db`], which are a wheel like
//! that of the keys ([`Expiries`](super::expiries::Expiries)), under the soonest of its deadlines; the
//! hash remembers the slot. It is filed anew whenever it has been changed ([`WriteGuard`]), and is taken
//! out when its key is removed or overwritten.
//!
//! Who comes to a hash first removes what is due of it, as much as does not take long; what stays is
//! hidden by the hash. The rest, and what nobody comes to, goes with the ticks.

use smallvec::SmallVec;

use super::entry::{Entry, Kind};
use super::expiries::Record;
use super::guard::WriteGuard;
use super::table::{Found, Keyed};
use super::{Db, Keyspace, What};
use crate::error::{Error, Result};
use crate::types::hash::{Hash, TimedHash};

/// How many fields leave a hash, at most, before a command on it goes on: half a millisecond's work.
const FIELDS_MAX: usize = 1024;

/// How many doubted records a change looks after.
const DOUBTS: usize = 8;

/// What is left of a hash from which fields have been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expired {
    /// How many have been removed.
    fields: usize,
    is_empty: bool,
}

/// What becomes of a hash whose last field has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptied {
    /// It is removed.
    Goes,
    /// It stays, for a command that is about to put fields into it.
    Stays,
}

impl Db {
    /// Files a hash under the time at which the next of its fields expires, if one does.
    pub(super) fn file_deadline(&mut self, found: Found) {
        self.file(found);
        self.settle_deadlines();
    }

    fn file(&mut self, found: Found) {
        let entry = self.table.at_mut(found);
        let Some(timed) = entry.and_then(Entry::object_mut::<TimedHash>) else {
            return;
        };
        let before = self.deadlines.bytes();
        let (at_ms, filed) = (timed.next_deadline(), timed.filed());
        let slot = self.deadlines.file(found.hash, at_ms, filed);
        timed.set_filed(slot);
        self.timed = self.timed + usize::from(slot.is_some()) - usize::from(filed.is_some());
        let after = self.deadlines.bytes();
        self.resized(before, after);
    }

    /// Has a hash forget its record, which was taken, and answers where the hash lies. None if the
    /// record is stale.
    fn unfile(&mut self, record: Record) -> Option<Found> {
        let has_it = |entry: &Entry| {
            let timed = entry.object::<TimedHash>();
            timed.is_some_and(|timed| timed.filed() == Some(record.slot))
        };
        let found = self.table.locate_where(record.hash, has_it)?;
        let timed = self.table.at_mut(found)?.object_mut::<TimedHash>()?;
        timed.set_filed(None);
        self.timed -= 1;
        Some(found)
    }

    /// Takes back the record of a hash that leaves the table, if the entry is one that has one.
    #[cold]
    pub(super) fn forget_deadlines(&mut self, hash: u64, entry: &mut Entry) {
        let Some(timed) = entry.object_mut::<TimedHash>() else {
            return;
        };
        let Some(filed) = timed.filed() else {
            return;
        };
        timed.set_filed(None);
        let before = self.deadlines.bytes();
        self.deadlines.take_back(hash, filed);
        self.timed -= 1;
        let after = self.deadlines.bytes();
        self.resized(before, after);
        self.settle_deadlines();
    }

    /// Removes up to `limit` fields of a hash that have expired.
    fn expire_fields(&mut self, found: Found, now_ms: u64, limit: usize) -> Expired {
        let Some(entry) = self.at_mut(found) else {
            let (fields, is_empty) = (0, false);
            return Expired { fields, is_empty };
        };
        let before = entry.bytes();
        let timed = entry.object_mut::<TimedHash>();
        let fields = timed.map_or(0, |timed| timed.expire(now_ms, limit));
        let is_empty = entry.collection().is_some_and(|timed| timed.parts() == 0);
        let after = entry.bytes();
        self.resized(before, after);
        self.file_deadline(found);
        Expired { fields, is_empty }
    }

    /// Turns a hash into one of which fields may expire.
    fn make_timed(&mut self, found: Found) {
        let Some(entry) = self.at_mut(found) else {
            return;
        };
        let before = entry.bytes();
        if let Some(hash) = Hash::taken_from(entry) {
            entry.set_object(TimedHash::new(hash));
        }
        let after = entry.bytes();
        self.resized(before, after);
    }

    /// Looks after some records if there are too many stale ones: more than one change can add, so
    /// that this comes to an end.
    fn settle_deadlines(&mut self) {
        if self.deadlines.has_doubts(self.timed) {
            let before = self.deadlines.bytes();
            let doubted = self.deadlines.take_doubted(DOUBTS);
            let after = self.deadlines.bytes();
            self.resized(before, after);
            for record in doubted {
                if let Some(found) = self.unfile(record) {
                    self.file(found);
                }
            }
        }
    }

    /// The next hash of which a field has expired by now, its record taken.
    fn next_expired(&mut self, now_ms: u64) -> Option<Record> {
        let before = self.deadlines.bytes();
        let record = self.deadlines.take_due(now_ms, 1).pop();
        let after = self.deadlines.bytes();
        self.resized(before, after);
        record
    }
}

impl<'e> Keyspace<'e> {
    /// Whether the key holds a hash of which fields may expire.
    pub(crate) fn is_timed_hash(&self, key: &[u8]) -> bool {
        self.kind(key) == Some(Kind::TimedHash)
    }

    /// Lets fields of a hash go that have expired; those that stay are hidden. Answers whether the key
    /// holds a hash of which fields may expire, after that.
    pub(crate) fn expire_fields(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        match self.live(hash, key) {
            Some((found, Kind::TimedHash)) => {
                let expired = self.expire_fields_at(found, key, FIELDS_MAX, Emptied::Goes);
                !expired.is_empty
            }
            _ => false,
        }
    }

    /// The same for a command that is about to put fields into the hash: the key stays where all are gone,
    /// without a field, and nobody hears that it went.
    pub(crate) fn expire_fields_before_others(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        if let Some((found, Kind::TimedHash)) = self.live(hash, key) {
            self.expire_fields_at(found, key, FIELDS_MAX, Emptied::Stays);
        }
    }

    /// The hash of a key, to be changed as one of which fields may expire, which it becomes. None if
    /// there is no such key.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn write_timed(
        &mut self,
        key: &[u8],
    ) -> Result<Option<WriteGuard<'_, 'e, TimedHash>>> {
        let hash = self.hash(key);
        match self.live(hash, key) {
            None => Ok(None),
            Some((found, Kind::Hash)) => {
                self.db_of_mut(hash).make_timed(found);
                Ok(Some(WriteGuard::new(self, hash, found)))
            }
            Some((_, Kind::TimedHash)) => {
                self.expire_fields(key);
                self.write_existing(key)
            }
            Some(_) => Err(Error::WrongType),
        }
    }

    fn expire_fields_at(
        &mut self,
        found: Found,
        key: &[u8],
        limit: usize,
        emptied: Emptied,
    ) -> Expired {
        let hash = found.hash;
        let (now_ms, limit) = match () {
            // No field is over by then.
            () if self.sees_expired() => (0, 0),
            () if self.keeps_expired() => (self.now_ms(), 0),
            () => (self.now_ms(), limit),
        };
        let expired = self.db_of_mut(hash).expire_fields(found, now_ms, limit);
        if expired.fields == 0 {
            return expired;
        }
        self.figures(hash).expired_fields.add(expired.fields as u64);
        let what = match (expired.is_empty, emptied) {
            (true, Emptied::Goes) => {
                self.db_of_mut(hash).remove_at(found);
                What::LastFieldExpired
            }
            _ => What::FieldsExpired,
        };
        self.note(hash, key, what);
        expired
    }

    /// Removes up to `limit` fields that have expired, from hashes of a shard that is held. Answers
    /// whether there is more to do.
    pub(super) fn expire_fields_of(&mut self, index: usize, limit: usize) -> bool {
        let (db, now_ms) = (self.db, self.now_ms());
        let mut left = limit;
        while left > 0 {
            let db = &mut self.held.shard_mut(index).dbs[db];
            let Some(record) = db.next_expired(now_ms) else {
                return false;
            };
            // What is stale counts as well: looking for it takes as long.
            left -= 1;
            let Some(found) = db.unfile(record) else {
                continue;
            };
            let key = db.table.at(found).map(Entry::key).unwrap_or_default();
            let key: SmallVec<[u8; 64]> = SmallVec::from_slice(key);
            let expired = self.expire_fields_at(found, &key, left + 1, Emptied::Goes);
            left = left.saturating_sub(expired.fields.saturating_sub(1));
        }
        true
    }
}
