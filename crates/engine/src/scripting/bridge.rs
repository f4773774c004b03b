//! What a running script sees of the engine.
//!
//! The functions that a script calls (`redis.call`) live as long as their machine; what they work
//! on lives as long as one call of EVAL. A [`Bridge`] leads from the one to the other while that
//! call runs, and nowhere before and after it.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::ptr::NonNull;

use larder_resp::Arguments;
use mlua::Lua;

use super::functions::Loading;
use super::watchdog::{Ended, Watchdog};
use super::work::Work;
use crate::command::{Flags, Row};
use crate::engine::Ticks;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::reply::Reply;

/// A script that runs in a machine.
pub(super) struct Running<'a, 'e> {
    pub(super) work: Work<'a, 'e>,
    pub(super) lua: &'a Lua,
    pub(super) watchdog: &'a Watchdog,
    /// When the script asked for the time first.
    pub(super) asked_time: Option<Ticks>,
    /// What has been registered, while a library of functions is loaded.
    pub(super) loading: Option<Loading>,
}

/// For how long the time stands still for a script that asks for it.
const TIME_STANDS_US: u64 = 100_000;

impl Running<'_, '_> {
    /// Runs a command of the script.
    pub(super) fn call(&mut self, arguments: Arguments<'_>, reply: &mut dyn Reply) -> Result<()> {
        let has_written = self.watchdog.has_written();
        let admitted = self.work.admit(arguments, has_written);
        let command = match admitted.and_then(|command| self.let_write(command)) {
            Ok(command) => command,
            Err(error) => return Err(self.work.reject(arguments, error)),
        };
        if command.name == "TIME"
            && let Some(now) = later(&mut self.asked_time, self.work.keyspace)
        {
            reply.array(2);
            reply.bulk(itoa::Buffer::new().format(now / MICROS).as_bytes());
            reply.bulk(itoa::Buffer::new().format(now % MICROS).as_bytes());
            return Ok(());
        }
        self.work.run(command, arguments, reply)
    }

    /// What was killed in the name of having changed nothing must change nothing.
    fn let_write(&self, command: &'static Row) -> Result<&'static Row> {
        match command.flags.has(Flags::WRITE) && !self.watchdog.may_write() {
            true => Err(Error::text(Ended::Killed.reason())),
            false => Ok(command),
        }
    }
}

const MICROS: u64 = 1_000_000;

/// The time in microseconds, if it goes on by now. It stands still while a script runs, as in Redis
/// 7.2, so that what belongs together has one time; but a script that waits for a later time must
/// end.
fn later(asked: &mut Option<Ticks>, keyspace: &Keyspace<'_>) -> Option<u64> {
    let now = keyspace.ticks();
    let waited_us = now.us_since(*asked.get_or_insert(now));
    let has_waited = waited_us >= TIME_STANDS_US;
    has_waited.then(|| keyspace.now().unix_us().saturating_add(waited_us))
}

/// The way from the functions of a machine to what the running script works on.
#[derive(Default)]
pub(super) struct Bridge {
    running: Cell<Option<NonNull<Running<'static, 'static>>>>,
    /// That of a command of the script.
    panic: Cell<Option<Box<dyn Any + Send>>>,
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

    /// Keeps the panic of a command, which can't go through Lua, until the script is over.
    pub(super) fn keep_panic(&self, panic: Box<dyn Any + Send>) {
        self.panic.set(Some(panic));
    }

    /// Goes on with the panic of a command, if there was one.
    pub(super) fn resume_panic(&self) {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
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
