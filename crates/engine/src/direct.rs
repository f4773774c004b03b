//! The short road to single keys, for calls from inside the process.
//!
//! ```text
//! by name   request -> row -> admission -> needs -> hold -> row's function -> sink -> value -> result
//! direct                                   needs -> hold -> read or write -------------------> result
//! ```
//!
//! What is between is the same: the key's shard is taken as for a command, keys expire, and figures and
//! the account of memory follow. A call counts as a command.
//!
//! Whatever is not simple is left to that command, before anything has happened: [`ByName`]. That is
//! a key that others hold, a value of another type, a store that is full, a sum that would overflow,
//! a change of which somebody in the key's shard wants to hear, and a call that is to be timed or shown
//! in MONITOR. So refusals, waiting, eviction, events and the serving of blocked callers each stand in
//! one place, and not here.
//!
//! Nothing here catches panics. By name that is done since a defect in a command must not end a
//! server's thread, nor leave its client without an answer. Here the caller is the one whose call
//! failed: it unwinds through the caller, and the shard is let go.

use std::sync::Arc;

use larder_store::ByName;

use crate::command::Row;
use crate::commands::{self, TABLE};
use crate::engine::{Engine, TimeSource};
use crate::error::Error;
use crate::keyspace::{Expiry, Keyspace};

/// The numbers of the rows.
const GET: usize = commands::number_of("GET");
const SET: usize = commands::number_of("SET");
const INCR: usize = commands::number_of("INCR");
const DEL: usize = commands::number_of("DEL");

/// The database of calls from inside the process that have no session.
const DB: usize = 0;

impl Engine {
    /// The string of a key, as GET gives it; `None` if there is no such key.
    ///
    /// `read` runs while the key is held, and must neither wait nor call the engine.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run; then `read` has not been called.
    #[inline]
    pub fn get<T>(
        &self,
        key: &[u8],
        clock: &dyn TimeSource,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, ByName> {
        let command = &TABLE[GET];
        self.count_direct(command, 2)?;
        let string = self.shards.read_string(DB, key, clock, read);
        string.inspect_err(|ByName| self.take_back_direct(command))
    }

    /// Gives a key a string, whatever it held, as SET does: the key does not expire any more.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    #[inline]
    pub fn set(
        self: &Arc<Engine>,
        key: &[u8],
        value: &[u8],
        clock: &dyn TimeSource,
    ) -> Result<(), ByName> {
        self.change(&TABLE[SET], key, clock, |keyspace| {
            keyspace.put_string(key, value, Expiry::Clear);
            Ok(())
        })
    }

    /// Adds 1 to the integer of a key, as INCR does, and gives the sum.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    #[inline]
    pub fn incr(self: &Arc<Engine>, key: &[u8], clock: &dyn TimeSource) -> Result<i64, ByName> {
        self.change(&TABLE[INCR], key, clock, |keyspace| {
            let add = |number: i64| number.checked_add(1).ok_or(Error::IncrementOverflow);
            keyspace.change_int(key, add).map_err(|_| ByName)
        })
    }

    /// Removes a key, as DEL does. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    #[inline]
    pub fn del(self: &Arc<Engine>, key: &[u8], clock: &dyn TimeSource) -> Result<bool, ByName> {
        self.change(&TABLE[DEL], key, clock, |keyspace| Ok(keyspace.remove(key)))
    }

    /// Changes a key, and counts the command. A change that answers [`ByName`] must have changed
    /// nothing.
    #[inline]
    fn change<T>(
        self: &Arc<Engine>,
        command: &'static Row,
        key: &[u8],
        clock: &dyn TimeSource,
        change: impl FnOnce(&mut Keyspace<'_>) -> Result<T, ByName>,
    ) -> Result<T, ByName> {
        // No such command has more words.
        self.count_direct(command, 3)?;
        let changed = self.change_uncounted(key, clock, change);
        changed.inspect_err(|ByName| self.take_back_direct(command))
    }

    /// Changes a key, if that is nobody's business but the caller's.
    #[inline]
    fn change_uncounted<T>(
        self: &Arc<Engine>,
        key: &[u8],
        clock: &dyn TimeSource,
        change: impl FnOnce(&mut Keyspace<'_>) -> Result<T, ByName>,
    ) -> Result<T, ByName> {
        if self.is_over_limit() {
            return Err(ByName);
        }
        // The keyspace is dropped where it was made: it is large, and moving it would cost.
        let (changed, leftover) = {
            let mut keyspace = Keyspace::new(&self.shards, DB, clock);
            let need = self.shards.need_of(key);
            keyspace.hold(need).map_err(|_| ByName)?;
            if !keyspace.is_quiet() {
                return Err(ByName);
            }
            let changed = change(&mut keyspace)?;
            (changed, keyspace.take_leftover())
        };
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
        Ok(changed)
    }
}
