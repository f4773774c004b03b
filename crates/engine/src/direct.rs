//! The short road to single keys, for calls from inside the process.
//!
//! ```text
//! by name   request -> row -> admission -> needs -> hold -> row's function -> sink -> value -> result
//! direct                                   needs -> hold -> read or write -------------------> result
//! ```
//!
//! What is between is the same: the key's shard is taken as for a command, in a [`Keyspace`], so keys
//! expire, and figures, WATCH and the account of memory follow. A call counts as the command of its
//! name.
//!
//! Whatever is not simple is left to that command, before anything has happened: [`ByName`]. That is
//! a key that others hold, a value of another type, a store that is full, a sum that would overflow,
//! and a change of which somebody in the key's shard wants to hear. So refusals, waiting, eviction and
//! the serving of blocked callers each stand in one place, and not here.
//!
//! Nothing here catches panics. By name that is done since a defect in a command must not end a
//! server's thread, nor leave its client without an answer. Here the caller is the one whose call
//! failed: it unwinds through the caller, and the shard is let go.

use std::sync::Arc;

use larder_store::ByName;

use crate::engine::{Engine, TimeSource};
use crate::keyspace::entry::Str;
use crate::keyspace::{Expiry, Keyspace};

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
        let keyspace = self.hold_directly(key, clock)?;
        let string = keyspace.look_up_string(key).map_err(|_| ByName)?;
        keyspace.count_command();
        Ok(string.map(|string| string.with_bytes(read)))
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
        let mut keyspace = self.hold_to_change(key, clock)?;
        keyspace.count_command();
        keyspace.put_string(key, value, Expiry::Clear);
        self.let_go(keyspace, clock);
        Ok(())
    }

    /// Adds 1 to the integer of a key, as INCR does, and gives the sum.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    #[inline]
    pub fn incr(self: &Arc<Engine>, key: &[u8], clock: &dyn TimeSource) -> Result<i64, ByName> {
        let mut keyspace = self.hold_to_change(key, clock)?;
        let number = match keyspace.read_string(key) {
            Ok(None) => 0,
            Ok(Some(Str::Int(number))) => number,
            // Text that is an integer has been written by APPEND or its like.
            Ok(Some(Str::Bytes(_))) | Err(_) => return Err(ByName),
        };
        let sum = number.checked_add(1).ok_or(ByName)?;
        keyspace.count_command();
        keyspace.put_int(key, sum, Expiry::Keep);
        self.let_go(keyspace, clock);
        Ok(sum)
    }

    /// Removes a key, as DEL does. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    #[inline]
    pub fn del(self: &Arc<Engine>, key: &[u8], clock: &dyn TimeSource) -> Result<bool, ByName> {
        let mut keyspace = self.hold_to_change(key, clock)?;
        keyspace.count_command();
        let is_removed = keyspace.remove(key);
        self.let_go(keyspace, clock);
        Ok(is_removed)
    }

    /// Takes the shard of a key, waiting no longer than a command does.
    #[inline]
    fn hold_directly<'e>(
        &'e self,
        key: &'e [u8],
        clock: &'e dyn TimeSource,
    ) -> Result<Keyspace<'e>, ByName> {
        let mut keyspace = Keyspace::new(&self.shards, 0, clock);
        let need = self.shards.need_of(key);
        keyspace.hold(&need).map_err(|_| ByName)?;
        Ok(keyspace)
    }

    /// The same for a change that is nobody's business but the caller's.
    #[inline]
    fn hold_to_change<'e>(
        &'e self,
        key: &'e [u8],
        clock: &'e dyn TimeSource,
    ) -> Result<Keyspace<'e>, ByName> {
        if self.is_over_limit() {
            return Err(ByName);
        }
        let keyspace = self.hold_directly(key, clock)?;
        match keyspace.is_quiet() {
            true => Ok(keyspace),
            false => Err(ByName),
        }
    }

    /// Lets the shard go after a change, and has freed what takes long.
    #[inline]
    fn let_go(self: &Arc<Engine>, mut keyspace: Keyspace<'_>, clock: &dyn TimeSource) {
        let leftover = keyspace.take_leftover();
        drop(keyspace);
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
    }
}
