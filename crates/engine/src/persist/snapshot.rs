//! A snapshot: what a store held at one moment, in pieces.

use std::sync::Arc;

use crate::engine::{Engine, Now};
use crate::keyspace::SHARDS;
use crate::keyspace::cut::{Aside, Records};
use crate::rdb::{Writer, crc64_behind, file};

/// What a store held at one moment, as an RDB file. The store goes on changing meanwhile.
///
/// Who keeps it says so with [`Snapshot::kept`]. Dropped before, it is lost, and those who wait for it are told
/// that.
#[derive(Debug)]
pub struct Snapshot {
    engine: Arc<Engine>,
    aside: Arc<Aside>,
    /// Which of the engine's snapshots it is.
    number: u64,
    /// What stands before the first database, until it was taken.
    start: Option<Vec<u8>>,
    /// The shard that is written next.
    shard: usize,
    /// The database in which the file is.
    database: Option<usize>,
    /// The checksum of what was taken; `None` if there is to be none.
    sum: Option<u64>,
    is_ended: bool,
    /// Whether the engine has been told what came of it.
    is_told: bool,
}

/// What comes next of a [`Snapshot`].
#[derive(Debug)]
pub enum Piece {
    /// Bytes of the file.
    Bytes(Vec<u8>),
    /// Nothing for now: a script holds keys that have to be written. To be asked for again in a moment.
    Later,
    /// All bytes have been given.
    End,
    /// The snapshot is not wanted any more: another one is made, or the store is closed.
    Void,
}

impl Snapshot {
    pub(super) fn new(
        engine: Arc<Engine>,
        aside: Arc<Aside>,
        number: u64,
        start: Vec<u8>,
        is_summed: bool,
    ) -> Snapshot {
        Snapshot {
            engine,
            aside,
            number,
            start: Some(start),
            shard: 0,
            database: None,
            sum: is_summed.then_some(0),
            is_ended: false,
            is_told: false,
        }
    }

    /// Which of the store's snapshots it is: no two have the same number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next piece. It takes one shard for a moment, and waits for nobody.
    pub fn next_piece(&mut self) -> Piece {
        if self.aside.is_over() {
            return Piece::Void;
        }
        if let Some(start) = self.start.take() {
            return self.summed(start);
        }
        if let Some(records) = self.aside.next_records() {
            return self.records(records);
        }
        while self.shard < SHARDS {
            let Some(mut shard) = self.engine.shards.try_take(self.shard) else {
                return Piece::Later;
            };
            if let Some(records) = shard.write_some(&self.aside) {
                drop(shard);
                return self.records(vec![records]);
            }
            self.shard += 1;
        }
        // What was changed or emptied before its turn may have come since it was asked for.
        match self.aside.next_records() {
            Some(records) => self.records(records),
            None => self.last(),
        }
    }

    fn last(&mut self) -> Piece {
        if std::mem::replace(&mut self.is_ended, true) {
            return Piece::End;
        }
        let mut writer = Writer::default();
        file::write_end(&mut writer);
        let mut bytes = writer.into_bytes();
        let sum = self.sum.map_or(0, |sum| crc64_behind(sum, &bytes));
        bytes.extend_from_slice(&sum.to_le_bytes());
        Piece::Bytes(bytes)
    }

    /// Records, each with its database before it.
    fn records(&mut self, all: Vec<Records>) -> Piece {
        let mut writer = Writer::default();
        for Records { db, bytes } in all {
            if !bytes.is_empty() && self.database.replace(db) != Some(db) {
                file::write_database(db, &mut writer);
            }
            writer.raw(&bytes);
        }
        self.summed(writer.into_bytes())
    }

    fn summed(&mut self, bytes: Vec<u8>) -> Piece {
        self.sum = self.sum.map(|sum| crc64_behind(sum, &bytes));
        Piece::Bytes(bytes)
    }

    /// Says that the file is where it belongs. Those who wait for that are answered.
    pub fn kept(mut self, now: Now) {
        self.forget();
        self.is_told = true;
        self.engine.end_snapshot(self.number, Some(now));
    }

    /// Has nobody write for it any more.
    fn forget(&self) {
        self.aside.end();
        for index in 0..SHARDS {
            // One that is held finds out by itself that it is over.
            if let Some(mut shard) = self.engine.shards.try_take(index) {
                shard.forget_cut(&self.aside);
            }
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if !self.is_told {
            self.forget();
            self.engine.end_snapshot(self.number, None);
        }
    }
}
