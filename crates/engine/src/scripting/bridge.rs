//! What a running script sees of the engine.
//!
//! The functions that a script calls (`redis.call`) live as long as their machine; what they work
//! on lives as long as one call of EVAL. A [`Bridge`] leads from the one to the other while that
//! call runs, and nowhere before and after it.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

use larder_resp::Arguments;

use super::watchdog::{Ended, Watchdog};
use crate::command::Flags;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::reply::Reply;
use crate::session::Session;
use crate::table;

/// What a script works on while it runs.
pub(super) struct Running<'a, 'e> {
    pub(super) engine: &'e Arc<Engine>,
    pub(super) session: &'a mut Session,
    pub(super) keyspace: &'a mut Keyspace<'e>,
    pub(super) is_readonly: bool,
    pub(super) watchdog: Arc<Watchdog>,
}

impl Running<'_, '_> {
    /// Runs a command of the script.
    pub(super) fn call(&mut self, arguments: Arguments<'_>, reply: &mut dyn Reply) -> Result<()> {
        let unknown = || Error::text("ERR Unknown Redis command called from script");
        let command = table::find(arguments).map_err(|_| unknown())?;
        if !command.arity.allows(arguments.len()) {
            return Err(Error::text(
                "ERR Wrong number of args calling Redis command from script",
            ));
        }
        if command.flags.has(Flags::NO_SCRIPT) {
            return Err(Error::NotFromScript);
        }
        let is_write = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
        if self.is_readonly && is_write {
            let text = "ERR Write commands are not allowed from read-only scripts.";
            return Err(Error::text(text));
        }
        let mut holds_keys = !command.flags.has(Flags::WHOLE) || self.keyspace.holds_everything();
        command.each_key(arguments, |key| holds_keys &= self.keyspace.holds(key));
        if !holds_keys {
            return Err(Error::UndeclaredKey);
        }
        // What was killed in the name of having changed nothing must change nothing.
        if command.flags.has(Flags::WRITE) && !self.watchdog.may_write() {
            return Err(Error::text(Ended::Killed.reason()));
        }
        self.engine.run(
            self.session,
            command,
            arguments,
            self.keyspace,
            false,
            reply,
        )?;
        Ok(())
    }
}

/// The way from the functions of a machine to what the running script works on.
#[derive(Default)]
pub(super) struct Bridge {
    running: Cell<Option<NonNull<Running<'static, 'static>>>>,
}

// SAFETY: a bridge belongs to one machine, and a machine to one thread at a time: it is moved
// between threads only while no script runs in it, and then `running` is `None`.
unsafe impl Send for Bridge {}
// SAFETY: as above. `mlua` runs the functions of a machine only on the thread that entered it.
unsafe impl Sync for Bridge {}

/// Closes the bridge when the call is over, also by a panic.
struct Closed<'b>(&'b Bridge);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.running.set(None);
    }
}

impl Bridge {
    /// Opens the bridge to `running` while `script` runs.
    pub(super) fn open<T>(&self, running: &mut Running<'_, '_>, script: impl FnOnce() -> T) -> T {
        let _closed = Closed(self);
        self.running.set(Some(NonNull::from(running).cast()));
        script()
    }

    /// Crosses the bridge. `None` if no script runs, or if it is being crossed already.
    pub(super) fn cross<T>(&self, visit: impl FnOnce(&mut Running<'_, '_>) -> T) -> Option<T> {
        let pointer = self.running.take()?;
        // SAFETY: `open` borrows what this points to mutably until it has set `running` to `None`
        // again, and runs no other code with that borrow. While it is visited here `running` is
        // `None`, so nobody else visits it. The lifetimes are those of the borrow in `open`, or
        // longer ones, and `visit` can't keep what it is lent: it must do with any lifetimes.
        let visited = visit(unsafe { &mut *pointer.as_ptr() });
        self.running.set(Some(pointer));
        Some(visited)
    }
}
