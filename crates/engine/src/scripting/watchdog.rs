//! Scripts that run for too long: who knows of them, and how they are ended.
//!
//! Each machine has a [`Watchdog`], which says since when its script runs and what may become of
//! it. All of them are on one list, so that any thread finds those that have run for too long. The
//! script looks at its own after every [`INSTRUCTIONS`], and within those functions of the library
//! that may take for ever (`guards`): between two looks it can't be ended. A look is also when a
//! script tells its thread that it runs for long.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::{Arc, OnceLock};

use larder_store::Command as Request;

use super::Purpose;
use crate::engine::Ticks;
use crate::error::{Error, Result};
use crate::sync::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Mutex, fence_behind_exchange,
};

/// After how many instructions a script looks whether it is to end.
pub(super) const INSTRUCTIONS: u32 = 10_000;

/// After how many looks a script is one that runs for long: some three milliseconds of plain
/// instructions.
const LONG: u32 = 30;

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
/// A library of functions is loaded.
const LOADING: u8 = 5;
/// A library of functions is loaded that takes too long.
const LATE: u8 = 6;

/// After how many looks a library takes too long to load: twenty million plain instructions, some
/// hundred milliseconds, where Redis counts half a second. Time is not counted, so that a library is
/// loaded by all machines or by none.
const LOAD_LOOKS_MAX: u32 = 2000;

/// Why a script is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Killed,
    Stopped,
    LoadedTooLong,
}

impl Ended {
    fn of(state: u8) -> Option<Ended> {
        match state {
            KILLED => Some(Ended::Killed),
            STOPPED => Some(Ended::Stopped),
            LATE => Some(Ended::LoadedTooLong),
            _ => None,
        }
    }

    /// Why, as the script is told.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Ended::Killed => "Script killed by user with SCRIPT KILL...",
            Ended::LoadedTooLong => "FUNCTION LOAD timeout",
            Ended::Stopped => "Script ended because the store is closing",
        }
    }

    /// The answer to whoever ran the script.
    pub(super) fn error(self, origin: Origin<'_>, line: usize) -> Error {
        let (reason, Origin { name, source }) = (self.reason(), origin);
        Error::text(match line {
            0 => format!("ERR {reason} script: {name}"),
            line => format!("ERR {reason} script: {name}, on {source}:{line}."),
        })
    }
}

/// Where an error comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// Of which script or function.
    pub(super) name: &'a str,
    /// What Lua calls its text.
    pub(super) source: &'static str,
}

/// The call of a function.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) name: String,
    pub(super) request: Request,
}

/// What a thread does whose script runs for long, if it does anything. It answers whether that is
/// done.
type OnLong = OnceLock<fn() -> bool>;

/// What is known of the script that a machine runs.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    purpose: Purpose,
    since_us: AtomicU64,
    /// The shards that the script holds, a bit each.
    shards: AtomicU64,
    /// Whether the store ends, and with it all scripts.
    is_stopping: Arc<AtomicBool>,
    state: AtomicU8,
    /// The line at which the script was ended, or 0.
    line: AtomicUsize,
    /// How often the script has looked; the greatest number when its thread has done something about
    /// how long it runs.
    looks: AtomicU32,
    /// How often a library may still look while it is loaded.
    looks_left: AtomicU32,
    on_long: Arc<OnLong>,
    /// The function that runs, if one does.
    started: Mutex<Option<Started>>,
}

impl Watchdog {
    /// A script begins that holds these shards, a bit each.
    pub(super) fn begin(&self, now: Ticks, shards: u64) {
        self.since_us.store(now.us(), Relaxed);
        self.shards.store(shards, Relaxed);
        self.looks.store(0, Relaxed);
        self.state.store(CLEAN, SeqCst);
        // After the state: who stops scripts says so first, and then looks at the states.
        if self.is_stopping.load(SeqCst) {
            self.state.store(STOPPED, Release);
        }
    }

    /// A library is loaded from here on. It can't be killed, and must not take long.
    pub(super) fn begin_loading(&self, now: Ticks, shards: u64) {
        self.begin(now, shards);
        self.looks_left.store(LOAD_LOOKS_MAX, Relaxed);
        let _ = self.state.compare_exchange(CLEAN, LOADING, AcqRel, Acquire);
    }

    /// Says which function runs.
    pub(super) fn note_started(&self, started: Started) {
        *self.started.lock() = Some(started);
    }

    /// The script is over. Answers why it was to end and at which line it did, if it was.
    pub(super) fn end(&self) -> Option<(Ended, usize)> {
        let state = self.state.swap(IDLE, AcqRel);
        // Behind this the script looks whether others have been told that it runs.
        fence_behind_exchange();
        if self.purpose == Purpose::Functions {
            *self.started.lock() = None;
        }
        Some((Ended::of(state)?, self.line.load(Relaxed)))
    }

    /// The script ends at this line, unless it is ending already: what explains its error is ended
    /// too.
    pub(super) fn ends_at(&self, line: usize) {
        let _ = self.line.compare_exchange(0, line, Relaxed, Relaxed);
    }

    /// The script is about to change something. It can't be killed from here on; if it was killed
    /// before, the answer is false.
    pub(super) fn may_write(&self) -> bool {
        let changed = self.state.compare_exchange(CLEAN, WROTE, AcqRel, Acquire);
        changed.is_ok() || self.ended().is_none()
    }

    /// Whether the script may have changed something.
    pub(super) fn has_written(&self) -> bool {
        self.state.load(Acquire) == WROTE
    }

    /// The script looks, on its own thread: it tells that if it runs for long. Answers why it is to
    /// end, if it is.
    pub(super) fn look(&self) -> Option<Ended> {
        if let Some(on_long) = self.on_long.get() {
            let looks = self.looks.load(Relaxed).saturating_add(1);
            // Once it has been heard it is not told again.
            let is_heard = (LONG..u32::MAX).contains(&looks) && on_long();
            self.looks
                .store(if is_heard { u32::MAX } else { looks }, Relaxed);
        }
        if self.state.load(Acquire) == LOADING {
            let left = self.looks_left.load(Relaxed).saturating_sub(1);
            self.looks_left.store(left, Relaxed);
            if left == 0 {
                let _ = self.state.compare_exchange(LOADING, LATE, AcqRel, Acquire);
            }
        }
        self.ended()
    }

    /// Why the script is to end, if it is.
    pub(super) fn ended(&self) -> Option<Ended> {
        Ended::of(self.state.load(Acquire))
    }

    /// Whether a script has been running for longer than this. Never, if that is 0.
    fn is_overdue(&self, now: Ticks, threshold_ms: u64) -> bool {
        let since = || Ticks::from_us(self.since_us.load(Relaxed));
        threshold_ms > 0
            && self.state.load(Acquire) != IDLE
            && now.us_since(since()) >= threshold_ms.saturating_mul(1000)
    }
}

/// The watchdogs of all machines.
#[derive(Debug, Default)]
pub(super) struct Watchdogs {
    list: Mutex<Vec<Arc<Watchdog>>>,
    is_stopping: Arc<AtomicBool>,
    on_long: Arc<OnLong>,
}

impl Watchdogs {
    /// One for a new machine. It leaves the list when the machine is gone.
    pub(super) fn add(&self, purpose: Purpose) -> Arc<Watchdog> {
        let watchdog = Arc::new(Watchdog {
            purpose,
            is_stopping: Arc::clone(&self.is_stopping),
            on_long: Arc::clone(&self.on_long),
            ..Watchdog::default()
        });
        let mut list = self.list.lock();
        list.retain(|other| Arc::strong_count(other) > 1);
        list.push(Arc::clone(&watchdog));
        watchdog
    }

    /// Has each script that runs for long call this until it answers true. The first one that is given stays.
    pub(super) fn on_long(&self, on_long: fn() -> bool) {
        let _ = self.on_long.set(on_long);
    }

    /// Whether any script has been running for longer than this.
    pub(super) fn any_overdue(&self, now: Ticks, threshold_ms: u64) -> bool {
        let list = self.list.lock();
        list.iter().any(|dog| dog.is_overdue(now, threshold_ms))
    }

    /// Refuses a request that needs nothing of what scripts hold, if any has been running for longer
    /// than this.
    ///
    /// # Errors
    ///
    /// That such a script, or function, runs.
    pub(super) fn admit(&self, now: Ticks, threshold_ms: u64) -> Result<()> {
        let list = self.list.lock();
        let overdue = list.iter().find(|dog| dog.is_overdue(now, threshold_ms));
        overdue.map_or(Ok(()), |dog| Err(dog.purpose.busy()))
    }

    /// The shards that scripts hold which have been running for longer than this, a bit each.
    pub(super) fn overdue(&self, now: Ticks, threshold_ms: u64) -> u64 {
        let list = self.list.lock();
        let overdue = list.iter().filter(|dog| dog.is_overdue(now, threshold_ms));
        overdue.fold(0, |mask, dog| mask | dog.shards.load(Relaxed))
    }

    /// The refusal of whoever needs this shard, which a script holds that has been running for longer
    /// than this.
    pub(super) fn busy(&self, shard: usize, now: Ticks, threshold_ms: u64) -> Error {
        let list = self.list.lock();
        let mut overdue = list.iter().filter(|dog| dog.is_overdue(now, threshold_ms));
        let holds_it = |dog: &&Arc<Watchdog>| dog.shards.load(Relaxed) >> shard & 1 == 1;
        overdue
            .find(holds_it)
            .map_or(Error::Busy, |dog| dog.purpose.busy())
    }

    /// What `show` makes of the function that has been running for longer than this, if one has; else
    /// of nothing.
    ///
    /// # Errors
    ///
    /// If a script has that is no function.
    pub(super) fn show_function<T>(
        &self,
        now: Ticks,
        threshold_ms: u64,
        show: impl FnOnce(Option<(&Started, u64)>) -> T,
    ) -> Result<T> {
        let list = self.list.lock();
        let overdue = || list.iter().filter(|dog| dog.is_overdue(now, threshold_ms));
        for dog in overdue().filter(|dog| dog.purpose == Purpose::Functions) {
            if let Some(started) = &*dog.started.lock() {
                let since = Ticks::from_us(dog.since_us.load(Relaxed));
                return Ok(show(Some((started, now.us_since(since) / 1000))));
            }
        }
        match overdue().any(|dog| dog.purpose == Purpose::Scripts) {
            true => Err(Error::Busy),
            false => Ok(show(None)),
        }
    }

    /// Ends the scripts, or the functions, that have been running for longer than this and have written
    /// nothing.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub(super) fn kill(&self, purpose: Purpose, now: Ticks, threshold_ms: u64) -> Result<()> {
        let (mut killed, mut wrote, mut other) = (false, false, None);
        let list = self.list.lock();
        for dog in list.iter().filter(|dog| dog.is_overdue(now, threshold_ms)) {
            if dog.purpose != purpose && dog.state.load(Acquire) == CLEAN {
                other = Some(dog.purpose);
                continue;
            }
            match dog.state.compare_exchange(CLEAN, KILLED, AcqRel, Acquire) {
                Ok(_) | Err(KILLED | STOPPED) => killed = true,
                Err(state) => wrote |= state == WROTE,
            }
        }
        match (killed, wrote, other) {
            (true, ..) => Ok(()),
            (_, true, _) => Err(Error::ScriptUnkillable),
            (.., Some(other)) => Err(other.busy()),
            (.., None) => Err(Error::NoScriptRuns),
        }
    }

    /// Ends all scripts, whatever they have done: those that run now, and those to come.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, SeqCst);
        for dog in self.list.lock().iter() {
            for state in [CLEAN, WROTE, LOADING] {
                let _ = dog.state.compare_exchange(state, STOPPED, AcqRel, Acquire);
            }
        }
    }
}
