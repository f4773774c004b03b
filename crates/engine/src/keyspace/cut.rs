//! Cuts: what a store held at one moment, written while it goes on changing.
//!
//! A snapshot begins with a cut through all databases, under the locks of all shards. From then on each
//! table is written in the order of its hashes, a piece under one lock, and whoever is about to change a
//! key that has not been written yet has it written first, as it is. So every key is written once, as it
//! was at the cut, and nobody waits for longer than one value takes.
//!
//! ```text
//!   hashes   0 ........ position ........................ end
//!            written    | to be written, but for `passed`: changed since the cut, and written before that
//! ```

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::db::Db;
use super::entry::Entry;
use super::shard::{DATABASES, Shard};
use super::table::{Found, Keyed as _};
use crate::rdb::{Writer, file};
use crate::sync::Mutex;

/// How many buckets are written under one lock at most, and how many bytes at least, unless that is all.
const BUCKETS_MAX: usize = 64;
const LEN_MIN: usize = 64 << 10;

/// How far a database has been written.
pub(crate) struct Cut {
    of: Arc<Aside>,
    /// The number that the database had at the cut.
    number: usize,
    /// Keys whose hashes are smaller have been written.
    position: u64,
    /// Of the others, those that have been written, or were not there.
    passed: HashSet<Box<[u8]>>,
}

/// What a snapshot is given by those who change what it has not come to.
#[derive(Default)]
pub(crate) struct Aside {
    /// Keys that were written before they changed, by their database.
    records: Mutex<Vec<Records>>,
    /// Databases that were emptied before they were written.
    emptied: Mutex<Vec<Db>>,
    /// Whether nobody wants the snapshot any more.
    is_over: AtomicBool,
    /// Whether strings are written without being compressed.
    is_plain: bool,
}

/// Keys of one database, as they stand in a file.
pub(crate) struct Records {
    pub(crate) db: usize,
    pub(crate) bytes: Vec<u8>,
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

impl Aside {
    pub(crate) fn new(compresses: bool) -> Aside {
        Aside {
            is_plain: !compresses,
            ..Aside::default()
        }
    }

    /// Nothing more is to be written.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Relaxed);
        self.emptied.lock().clear();
        self.records.lock().clear();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// What was written by others since this was asked last, or else the next piece of a database that was
    /// emptied.
    pub(crate) fn next_records(self: &Arc<Aside>) -> Option<Vec<Records>> {
        let changed = std::mem::take(&mut *self.records.lock());
        match changed.is_empty() {
            false => Some(changed),
            true => self.write_emptied().map(|records| vec![records]),
        }
    }

    fn write_emptied(self: &Arc<Aside>) -> Option<Records> {
        let mut db = self.emptied.lock().pop()?;
        let records = db.write_some(self);
        if db.cut.is_some() && !self.is_over() {
            self.emptied.lock().push(db);
        }
        records
    }

    fn writer(&self) -> Writer {
        Writer::new(self.is_plain)
    }

    fn add(&self, db: usize, bytes: &[u8]) {
        let mut all = self.records.lock();
        match all.last_mut() {
            Some(last) if last.db == db && last.bytes.len() < LEN_MIN => last.bytes.extend(bytes),
            _ => all.push(Records {
                db,
                bytes: bytes.to_vec(),
            }),
        }
    }
}

impl Shard {
    /// Begins to write what all databases hold now. All shards are to be held.
    pub(super) fn cut(&mut self, of: &Arc<Aside>) {
        for (number, db) in self.dbs.iter_mut().enumerate() {
            let cut = || Cut {
                of: Arc::clone(of),
                number,
                position: 0,
                passed: HashSet::new(),
            };
            db.cut = (!db.table.is_empty()).then(|| Box::new(cut()));
        }
    }

    /// The next piece of a snapshot. `None` if all that is here has been written.
    pub(crate) fn write_some(&mut self, of: &Arc<Aside>) -> Option<Records> {
        (0..DATABASES).find_map(|number| self.dbs[number].write_some(of))
    }

    /// Ends the writing of a snapshot that nobody wants.
    pub(crate) fn forget_cut(&mut self, of: &Arc<Aside>) {
        for db in &mut self.dbs {
            if db.cut.as_ref().is_some_and(|cut| Arc::ptr_eq(&cut.of, of)) {
                db.cut = None;
            }
        }
    }
}

impl Db {
    /// The same as [`Db::spare`] for the key at a place.
    #[cold]
    pub(super) fn spare_at(&mut self, found: Found) {
        if let Some(entry) = self.table.at(found) {
            let key: SmallVec<[u8; 64]> = SmallVec::from_slice(entry.key());
            self.spare(found.hash, &key);
        }
    }

    /// Writes what a key holds, if it is to be written and has not been: it is about to change.
    #[cold]
    pub(super) fn spare(&mut self, hash: u64, key: &[u8]) {
        let Some(cut) = &mut self.cut else {
            return;
        };
        if cut.of.is_over() {
            self.cut = None;
            return;
        }
        if hash < cut.position || cut.passed.contains(key) {
            return;
        }
        cut.passed.insert(key.into());
        if let Some(entry) = self.table.find(hash, key) {
            let mut writer = cut.of.writer();
            file::write_record(entry, &mut writer);
            cut.of.add(cut.number, &writer.into_bytes());
        }
    }

    /// Gives a database that is emptied to the snapshot that has not written it. Answers it if there is
    /// none.
    pub(super) fn spared(self) -> Option<Db> {
        let of = self.cut.as_ref().map(|cut| Arc::clone(&cut.of));
        match of.filter(|of| !of.is_over()) {
            None => Some(self),
            Some(of) => {
                of.emptied.lock().push(self);
                // It may have ended since then, and the two would hold each other for ever.
                if of.is_over() {
                    of.emptied.lock().clear();
                }
                None
            }
        }
    }

    /// The next piece of a snapshot. `None` if all has been written; then the cut is gone.
    fn write_some(&mut self, of: &Arc<Aside>) -> Option<Records> {
        let Cut {
            number,
            position,
            passed,
            ..
        } = { self.cut.as_deref_mut() }.filter(|cut| Arc::ptr_eq(&cut.of, of))?;
        let (db, mut writer, mut is_done) = (*number, of.writer(), false);
        for _ in 0..BUCKETS_MAX {
            let mut write = |entry: &Entry| {
                if !passed.remove(entry.key()) {
                    file::write_record(entry, &mut writer);
                }
            };
            match self.table.scan(*position, &mut write) {
                Some(next) => *position = next,
                None => is_done = true,
            }
            if is_done || writer.len() >= LEN_MIN {
                break;
            }
        }
        if is_done {
            self.cut = None;
        }
        let bytes = writer.into_bytes();
        Some(Records { db, bytes })
    }
}
