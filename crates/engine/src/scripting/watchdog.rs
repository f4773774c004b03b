//! Scripts that run for too long: who knows of them, and how they are ended.
//!
//! Each machine has a [`Watchdog`], which says since when its script runs and what may become of
//! it. All of them are on one list, so that any thread finds those that have run for too long. The
//! script looks at its own after every [`INSTRUCTIONS`]: between two looks it can't be ended, so
//! one call of a function that takes for ever (`string.find` with a hostile pattern) is not ended,
//! as in Redis.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use parking_lot::Mutex;

use super::Script;
use crate::engine::Now;
use crate::error::{Error, Result};

/// After how many instructions a script looks whether it is to end.
pub(super) const INSTRUCTIONS: u32 = 100_000;

/// No script runs.
const IDLE: u8 = 0;
/// A script runs that has changed nothing yet.
const CLEAN: u8 = 1;
/// A script runs that may have changed something.
const WROTE: u8 = 2;
/// A script runs that SCRIPT KILL ends.
const KILLED: u8 = 3;
/// A script runs that the end of the store ends.
const STOPPED: u8 = 4;

/// Why a script is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Killed,
    Stopped,
}

impl Ended {
    fn of(state: u8) -> Option<Ended> {
        match state {
            KILLED => Some(Ended::Killed),
            STOPPED => Some(Ended::Stopped),
            _ => None,
        }
    }

    /// Why, as the script is told.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Ended::Killed => "Script killed by user with SCRIPT KILL...",
            Ended::Stopped => "Script ended because the store is closing",
        }
    }

    /// The answer to whoever ran the script.
    pub(super) fn error(self, script: &Script, line: usize) -> Error {
        let (reason, name) = (self.reason(), script.name());
        Error::text(match line {
            0 => format!("ERR {reason} script: {name}"),
            line => format!("ERR {reason} script: {name}, on @user_script:{line}."),
        })
    }
}

/// What is known of the script that a machine runs.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    since_us: AtomicU64,
    state: AtomicU8,
    /// The line at which the script was ended, or 0.
    line: AtomicUsize,
}

impl Watchdog {
    /// A script begins.
    pub(super) fn begin(&self, now: Now) {
        self.since_us.store(now.unix_us(), Relaxed);
        self.state.store(CLEAN, Release);
    }

    /// The script is over. Answers why it was to end and at which line it did, if it was.
    pub(super) fn end(&self) -> Option<(Ended, usize)> {
        let ended = Ended::of(self.state.swap(IDLE, AcqRel))?;
        Some((ended, self.line.load(Relaxed)))
    }

    /// The script ends at this line.
    pub(super) fn ends_at(&self, line: usize) {
        self.line.store(line, Relaxed);
    }

    /// The script is about to change something. It can't be killed from here on; if it was killed
    /// before, the answer is false.
    pub(super) fn may_write(&self) -> bool {
        let changed = self.state.compare_exchange(CLEAN, WROTE, AcqRel, Acquire);
        changed.is_ok() || self.ended().is_none()
    }

    /// Why the script is to end, if it is.
    pub(super) fn ended(&self) -> Option<Ended> {
        Ended::of(self.state.load(Acquire))
    }

    /// Whether a script has been running for longer than this. Never, if that is 0.
    fn is_overdue(&self, now: Now, threshold_ms: u64) -> bool {
        let runs_us = || now.unix_us().saturating_sub(self.since_us.load(Relaxed));
        threshold_ms > 0
            && self.state.load(Acquire) != IDLE
            && runs_us() >= threshold_ms.saturating_mul(1000)
    }
}

/// The watchdogs of all machines.
#[derive(Debug, Default)]
pub(super) struct Watchdogs {
    list: Mutex<Vec<Arc<Watchdog>>>,
}

impl Watchdogs {
    /// One for a new machine. It leaves the list when the machine is gone.
    pub(super) fn add(&self) -> Arc<Watchdog> {
        let watchdog = Arc::new(Watchdog::default());
        let mut list = self.list.lock();
        list.retain(|other| Arc::strong_count(other) > 1);
        list.push(Arc::clone(&watchdog));
        watchdog
    }

    /// Whether any script has been running for longer than this.
    pub(super) fn any_overdue(&self, now: Now, threshold_ms: u64) -> bool {
        let list = self.list.lock();
        list.iter().any(|dog| dog.is_overdue(now, threshold_ms))
    }

    /// Ends the scripts that have been running for longer than this and have written nothing.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub(super) fn kill(&self, now: Now, threshold_ms: u64) -> Result<()> {
        let (mut killed, mut wrote) = (false, false);
        let list = self.list.lock();
        for dog in list.iter().filter(|dog| dog.is_overdue(now, threshold_ms)) {
            match dog.state.compare_exchange(CLEAN, KILLED, AcqRel, Acquire) {
                Ok(_) | Err(KILLED | STOPPED) => killed = true,
                Err(state) => wrote |= state == WROTE,
            }
        }
        match (killed, wrote) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::ScriptUnkillable),
            (false, false) => Err(Error::NoScriptRuns),
        }
    }

    /// Ends all scripts that run now, whatever they have done.
    pub(super) fn stop(&self) {
        for dog in self.list.lock().iter() {
            for state in [CLEAN, WROTE] {
                let _ = dog.state.compare_exchange(state, STOPPED, AcqRel, Acquire);
            }
        }
    }
}
