//! Observation: what INFO, SLOWLOG, LATENCY and MONITOR know of the commands that run.
//!
//! ```text
//! Call::run ─── calls, refusals ─────────── counters.rs   a lane for each thread, a place for each row
//!            └── if it is timed:  duration ── counters.rs   INFO commandstats
//!                                          ├─ histogram.rs  INFO latencystats, LATENCY HISTOGRAM
//!                                          ├─ slowlog.rs    SLOWLOG
//!                                          └─ latency.rs    LATENCY LATEST, HISTORY, GRAPH
//!            └── if somebody listens:  line ─ monitor.rs    MONITOR
//! ```
//!
//! Every command comes through [`Call::run`], also those of transactions, scripts and callers that
//! waited, so nothing has to be counted anywhere else. Requests that are refused before they run
//! come through [`Engine::note_rejection`].
//!
//! # When the clock is read
//!
//! A GET takes about as long as two looks at the clock (100 ns and 25 ns each, in November 2026). So
//! not every command is timed:
//!
//! - A command whose time depends on its words alone ([`derived::STEADY`]: GET, SET, HSET, ZADD), and
//!   that has few of them, is timed for its first [`ALWAYS_TIMED`] calls on each thread, and then
//!   each [`SAMPLED`]th time. Such a call counts for all that were not timed, so that the sums and
//!   the percentiles are right on the average.
//! - Every other command is timed: they are the ones that can be slow.
//! - Everything is timed while somebody looks closely: `slowlog-log-slower-than` is less than
//!   [`CLOSELY_US`], or `latency-monitor-threshold` is set.
//!
//! What this misses is a steady command that is slow for once, as the thread was not run or the value
//! is of many megabytes, in SLOWLOG at its default of ten milliseconds.

pub(crate) mod counters;
pub(crate) mod errors;
pub(crate) mod histogram;
pub(crate) mod latency;
pub(crate) mod monitor;
pub(crate) mod slowlog;
pub(crate) mod stats;
pub(crate) mod words;

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use larder_resp::Arguments;
use larder_store::ByName;

use crate::args::Args;
use crate::command::{Call, Flags, KeySpec, Row, derived};
use crate::commands;
use crate::engine::{Engine, Now, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::waiting::Wait;
use crate::session::Session;

/// How many calls of a steady command each thread times before it takes samples.
const ALWAYS_TIMED: u64 = 64;

/// After how many calls of a steady command one is timed then.
const SAMPLED: u64 = 64;

/// With how many words a steady command is no longer one that takes next to no time.
const WORDS_MAX: usize = 16;

/// Below this threshold of the slow log everything is timed: a steady command takes no longer.
const CLOSELY_US: u64 = 1000;

/// Why a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Its caller has sent it.
    Request,
    /// It belongs to a transaction or a script. It can't wait.
    Part,
    /// Its caller waits, and it is counted if that is over with it.
    Again,
}

/// Who looks at the commands that run: a bit each.
#[derive(Debug, Default)]
pub(crate) struct Observers(AtomicU8);

impl Observers {
    /// Somebody has asked for MONITOR.
    pub(crate) const MONITORS: u8 = 1;
    /// Somebody wants to know of every command how long it takes.
    pub(crate) const CLOSELY: u8 = 1 << 1;

    /// Whether there are such observers now.
    fn have(&self, observers: u8) -> bool {
        self.0.load(Relaxed) & observers != 0
    }

    /// Says whether there are such observers.
    pub(crate) fn set(&self, observers: u8, are_there: bool) {
        match are_there {
            true => self.0.fetch_or(observers, Relaxed),
            false => self.0.fetch_and(!observers, Relaxed),
        };
    }
}

impl Engine {
    /// Counts a call of this row on the short road, if nobody looks at it. A call that is to be timed,
    /// or shown to somebody, is left to the command.
    #[inline(always)]
    pub(crate) fn count_direct(&self, command: &'static Row, words: usize) -> Result<(), ByName> {
        let calls = self.stats.counters.count_call(command);
        if weight(calls, command, words) == 0 && self.stats.observers.0.load(Relaxed) == 0 {
            return Ok(());
        }
        self.take_back_direct(command);
        Err(ByName)
    }

    /// Counts a call of a script that takes as little time as a command does. Says for how many calls
    /// its time stands, if it is to be timed or shown to somebody.
    #[inline]
    pub(crate) fn count_twin(&self, command: &'static Row) -> Option<u64> {
        let weight = sampled(self.stats.counters.count_call(command));
        let is_observed = weight > 0 || self.stats.observers.0.load(Relaxed) != 0;
        is_observed.then_some(weight)
    }

    /// The call that was counted is left to the command after all, which counts again.
    #[cold]
    pub(crate) fn take_back_direct(&self, command: &'static Row) {
        self.stats.counters.take_back_call(command);
    }
}

impl Call<'_, '_> {
    /// Runs the command, and counts it. Answers how to wait, if the command wants to and may.
    // Always, since it is a few instructions around the command.
    #[inline(always)]
    pub(crate) fn run(&mut self) -> Result<Option<Box<Wait>>> {
        let stats = &self.engine.stats;
        let calls = match self.occasion {
            Occasion::Request | Occasion::Part => stats.counters.count_call(self.command),
            Occasion::Again => u64::MAX,
        };
        let weight = weight(calls, self.command, self.args.whole().len());
        match weight == 0 && stats.observers.0.load(Relaxed) == 0 {
            true => self.run_unobserved(),
            false => self.run_observed(weight),
        }?;
        let wait = self.wait.take();
        if wait.is_some() && self.occasion == Occasion::Request {
            // A call that waits is counted when it is answered.
            self.engine.stats.counters.take_back_call(self.command);
        }
        Ok(wait)
    }

    #[inline]
    fn run_unobserved(&mut self) -> Result<()> {
        let args = self.args;
        self.keyspace.begin(self.command, args, self.session.id());
        self.keyspace.set_manner(self.session.manner());
        let result = (self.command.run)(self);
        if self.keyspace.is_announcing() || self.session.tracker().is_some() {
            let may_wait = self.may_wait();
            let (session, keyspace) = (&*self.session, &mut *self.keyspace);
            self.engine
                .tell_of_run(session, self.command, args, keyspace, may_wait);
        }
        if self.keyspace.has_met_expired() {
            self.expire_keys(args);
        }
        result.inspect_err(|error| self.note_failure(error))
    }

    /// Removes those keys of the command that have expired, and if it has none, as SCAN, all that have.
    /// There are times when nothing expires.
    #[cold]
    #[inline(never)]
    fn expire_keys(&mut self, args: Args<'_>) {
        let keyspace = &mut *self.keyspace;
        match self.command.keys {
            _ if self.engine.keeps_expired(keyspace.ticks()) => {}
            KeySpec::None => self.engine.expire_all(&keyspace.now()),
            _ => self
                .command
                .each_key(args.whole(), |key| keyspace.expire_key(key)),
        }
    }

    /// The same for a command that somebody looks at. Its time stands for so many calls.
    #[inline(never)]
    fn run_observed(&mut self, weight: u64) -> Result<()> {
        self.observe(weight, Self::run_unobserved)
    }

    /// Does what is done for the command, timed and shown. Its time stands for so many calls.
    pub(crate) fn observe<T>(
        &mut self,
        weight: u64,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let stats = &self.engine.stats;
        let is_monitored = self.occasion != Occasion::Again
            && stats.observers.have(Observers::MONITORS)
            && !self.command.flags.has(Flags::ADMIN);
        // A script stands before its commands.
        let is_script = self.command.flags.has(Flags::SCRIPT);
        if is_monitored && is_script {
            self.show_to_monitors();
        }
        let began = self.keyspace.ticks();
        let ran = run(self);
        if matches!(ran, Err(Error::Contended { .. })) {
            return ran;
        }
        if self.occasion == Occasion::Again && self.wait.is_none() {
            stats.counters.count_call(self.command);
        }
        if self.wait.is_none() {
            let took_us = self.keyspace.ticks().us_since(began);
            self.engine
                .note_duration(self.command, took_us, weight.max(1));
            self.note_if_slow(took_us);
        }
        if is_monitored && !is_script {
            self.show_to_monitors();
        }
        ran
    }

    /// Counts that the command ran and was refused.
    #[cold]
    #[inline(never)]
    fn note_failure(&self, error: &Error) {
        if !matches!(error, Error::Contended { .. }) {
            let engine = self.engine;
            return engine.note_failure(self.command, error, self.is_passed_on);
        }
        if self.occasion != Occasion::Again {
            self.engine.stats.counters.take_back_call(self.command);
        }
    }

    fn note_if_slow(&self, took_us: u64) {
        let (stats, config) = (&self.engine.stats, &self.engine.config);
        let (least_ms, took_ms) = (config.latency_threshold_ms(), took_us / 1000);
        if least_ms > 0 && took_ms >= least_ms {
            let event = match self.command.flags.has(Flags::FAST) {
                true => "fast-command",
                false => "command",
            };
            stats.latency.add(event, self.now(), took_ms);
        }
        // The commands of a script are part of it, and those of a transaction stand for it.
        let is_logged = !self.session.is_in_script() && self.command.name != "EXEC";
        let slower_than_us = config.slowlog_slower_than_us();
        if is_logged && slower_than_us.is_some_and(|slower_than_us| took_us >= slower_than_us) {
            let words = words::for_slowlog(self.command, self.request());
            let client = self.session.client();
            let entry = slowlog::Entry::new(self.now(), took_us, words, client);
            stats.slowlog.add(entry, config.slowlog_len_max());
        }
    }
}

impl Engine {
    fn note_duration(&self, command: &'static Row, took_us: u64, weight: u64) {
        self.stats
            .counters
            .count_time(command, took_us.saturating_mul(weight));
        if self.config.latency_tracking() {
            self.stats.histograms.record(command, took_us, weight);
        }
    }

    /// Notes a request from a socket that has been answered with so many bytes, if it was a large one or
    /// its answer is.
    #[inline]
    pub fn note_if_large(
        &self,
        session: &Session,
        request: Arguments<'_>,
        reply_bytes: usize,
        clock: &dyn TimeSource,
    ) {
        let bytes = [request.extent() as u64, reply_bytes as u64];
        if self.config.is_large(bytes) {
            self.note_large(session, request, bytes, clock.now());
        }
    }

    #[cold]
    #[inline(never)]
    fn note_large(&self, session: &Session, request: Arguments<'_>, bytes: [u64; 2], now: Now) {
        let Ok(command) = commands::find(request) else {
            return;
        };
        // The commands of a transaction stand for it.
        if command.name == "EXEC" {
            return;
        }
        let logs = [&self.stats.large_requests, &self.stats.large_replies];
        for (log, (bytes, (least, len_max))) in logs
            .into_iter()
            .zip(bytes.into_iter().zip(self.config.large()))
        {
            if bytes >= least {
                let words = words::for_slowlog(command, request);
                let entry = slowlog::Entry::new(now, bytes, words, session.client());
                log.add(entry, len_max);
            }
        }
    }

    /// Counts a command that ran and was refused.
    pub(crate) fn note_failure(&self, command: &'static Row, error: &Error, is_passed_on: bool) {
        self.stats.counters.count_failure(command);
        if !is_passed_on {
            self.stats.errors.count(&error.to_string());
        }
    }

    /// Counts a call that has waited for nothing: its time is over, or another client has ended it.
    #[cold]
    pub(crate) fn note_vain_wait(&self, request: Arguments<'_>) {
        if let Ok(command) = commands::find(request) {
            self.stats.counters.count_call(command);
        }
    }

    /// Counts a request that was refused before it ran.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_rejection(&self, request: Arguments<'_>, error: &Error) {
        if let Ok(command) = commands::find(request) {
            self.stats.counters.count_rejection(command);
        }
        self.stats.errors.count(&error.to_string());
    }

    /// Looks at the configuration anew: whether everything has to be timed.
    pub(crate) fn look_as_configured(&self) {
        let slower_than_us = self.config.slowlog_slower_than_us();
        let is_close = slower_than_us.is_some_and(|us| us < CLOSELY_US);
        let is_monitored = self.config.latency_threshold_ms() > 0;
        let observers = &self.stats.observers;
        observers.set(Observers::CLOSELY, is_close || is_monitored);
    }
}

/// For how many calls the time of this one stands, which is the `calls`th of its row on this thread;
/// 0 if it need not be timed.
#[inline]
fn weight(calls: u64, command: &Row, words: usize) -> u64 {
    match command.flags.has(derived::STEADY) && words < WORDS_MAX {
        true => sampled(calls),
        false => 1,
    }
}

/// The same, of what takes about as long each time.
#[inline]
fn sampled(calls: u64) -> u64 {
    match calls {
        ..ALWAYS_TIMED => 1,
        _ if calls.is_multiple_of(SAMPLED) => SAMPLED,
        _ => 0,
    }
}
