//! What is being saved, when, and what came of it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use larder_store::{Refusal, Value};

use super::points::{Points, text_of};
use super::snapshot::Snapshot;
use crate::engine::{Engine, Now, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::cut::Aside;
use crate::keyspace::waiting::Nothing;
use crate::keyspace::{Keyspace, Needs};
use crate::rdb::{Writer, file};
use crate::sync::{Mutex, RwLock};

/// How long after a failure it is tried again, in seconds: as in Redis.
const TRIED_AGAIN_S: u64 = 5;

/// Who keeps snapshots.
pub trait Archive: Send + Sync + 'static {
    /// Begins to keep a snapshot in the place of the one before, on a thread of its own. It is called
    /// while all shards are held, and must not wait.
    ///
    /// # Errors
    ///
    /// If it can't begin; the snapshot is lost then.
    fn begin(&self, snapshot: Snapshot) -> io::Result<()>;
}

/// What is to happen when a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The process ends.
    Shutdown,
}

/// What is being saved, when, and what came of it.
pub(crate) struct Saving {
    archive: OnceLock<Box<dyn Archive>>,
    points: RwLock<Points>,
    state: Mutex<State>,
    /// `rdbcompression`.
    pub(crate) compresses: AtomicBool,
    /// `rdbchecksum`.
    pub(crate) sums: AtomicBool,
    /// `stop-writes-on-bgsave-error`.
    pub(crate) stops_writes: AtomicBool,
    /// Whether writes are refused, since nothing could be saved.
    refuses: AtomicBool,
    /// How often libraries of functions have changed.
    changes: AtomicU64,
}

/// Where saving stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    running: Option<Running>,
    /// How many snapshots there were.
    count: u64,
    /// How many of them have been kept.
    pub(crate) saves: u64,
    /// When the last one was kept, in seconds; 0 if none was.
    last_s: u64,
    /// When the last one was begun.
    tried_s: u64,
    /// How many seconds the last one took.
    pub(crate) took_s: Option<u64>,
    /// Whether the last one was lost.
    pub(crate) has_failed: bool,
    /// How many changes there had been at the last one.
    changes: u64,
    /// How many keys were loaded at the start, and how many had expired.
    pub(crate) loaded: (u64, u64),
}

#[derive(Clone, Debug)]
struct Running {
    aside: Arc<Aside>,
    number: u64,
    began_s: u64,
    changes: u64,
    then: Then,
}

impl Default for Saving {
    fn default() -> Saving {
        Saving {
            archive: OnceLock::new(),
            points: RwLock::default(),
            state: Mutex::default(),
            compresses: AtomicBool::new(true),
            sums: AtomicBool::new(true),
            stops_writes: AtomicBool::new(true),
            refuses: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saving").finish_non_exhaustive()
    }
}

impl Saving {
    /// Whether there is anybody who keeps snapshots.
    pub(crate) fn is_possible(&self) -> bool {
        self.archive.get().is_some()
    }

    /// Where saving stands now.
    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// `save`.
    pub(crate) fn points(&self) -> String {
        text_of(&self.points.read())
    }

    pub(crate) fn set_points(&self, points: Points) {
        *self.points.write() = points;
        self.look_again();
    }

    /// Whether a store is saved by itself, and so at its end.
    pub(crate) fn has_points(&self) -> bool {
        !self.points.read().is_empty()
    }

    /// Whether writes are refused, since nothing could be saved.
    #[inline]
    pub(crate) fn refuses_writes(&self) -> bool {
        self.refuses.load(Relaxed)
    }

    /// Something has changed that is no key.
    #[cfg_attr(
        not(feature = "lua"),
        expect(dead_code, reason = "it is a library of functions")
    )]
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Relaxed);
    }

    /// Finds out anew whether writes are refused.
    pub(crate) fn look_again(&self) {
        let has_failed = self.state.lock().has_failed;
        let refuses = has_failed && self.stops_writes.load(Relaxed) && self.has_points();
        self.refuses.store(refuses, Relaxed);
    }
}

impl State {
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// How many seconds the snapshot that is being made has taken.
    pub(crate) fn running_s(&self, now: Now) -> Option<u64> {
        let running = self.running.as_ref()?;
        Some(seconds(now).saturating_sub(running.began_s))
    }

    /// When the last snapshot was kept, or else the store was started.
    pub(crate) fn last_s(&self, started_s: u64) -> u64 {
        match self.last_s {
            0 => started_s,
            last_s => last_s,
        }
    }

    /// How many changes there were since the last snapshot that was kept.
    pub(crate) fn changes_since(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.changes)
    }
}

fn seconds(now: Now) -> u64 {
    now.unix_ms() / 1000
}

/// The refusal of whoever wants the data on disk where nothing keeps it.
pub(crate) fn refusal() -> Error {
    Error::text("ERR nothing is saved: this store keeps nothing on disk")
}

/// The refusal of whoever wants a snapshot while one is made.
pub(super) fn in_progress() -> Error {
    Error::text("ERR Background save already in progress")
}

impl Engine {
    /// Has snapshots kept by `archive`. The first one that is given stays.
    pub fn keep_snapshots(&self, archive: Box<dyn Archive>) {
        let _ = self.saving.archive.set(archive);
    }

    /// Begins a snapshot of what the store holds now. The keyspace is to hold every shard.
    ///
    /// # Errors
    ///
    /// If one is being made, or nobody can keep it.
    pub(crate) fn begin_snapshot(
        self: &Arc<Engine>,
        keyspace: &mut Keyspace<'_>,
        then: Then,
        now: Now,
    ) -> Result<()> {
        let archive = self.saving.archive.get().ok_or_else(refusal)?;
        let snapshot = self.cut(keyspace, then, now)?;
        let failed =
            |error: io::Error| Error::text(format!("ERR Can't save in background: {error}"));
        archive.begin(snapshot).map_err(failed)
    }

    fn cut(
        self: &Arc<Engine>,
        keyspace: &mut Keyspace<'_>,
        then: Then,
        now: Now,
    ) -> Result<Snapshot> {
        let mut state = self.saving.state.lock();
        if state.running.is_some() {
            return Err(in_progress());
        }
        state.count += 1;
        let (number, changes) = (state.count, self.changes());
        let aside = Arc::new(Aside::new(self.saving.compresses.load(Relaxed)));
        keyspace.cut(&aside)?;
        state.tried_s = seconds(now);
        state.running = Some(Running {
            aside: Arc::clone(&aside),
            number,
            began_s: seconds(now),
            changes,
            then,
        });
        drop(state);
        let (start, is_summed) = (self.start_of_file(now), self.saving.sums.load(Relaxed));
        let engine = Arc::clone(self);
        Ok(Snapshot::new(engine, aside, number, start, is_summed))
    }

    /// Gives up the snapshot that is being made. False if there is none.
    pub fn cancel_snapshot(&self) -> bool {
        let Some(running) = self.saving.state.lock().running.take() else {
            return false;
        };
        running.aside.end();
        self.answer_savers(&Value::Error(lost(running.then)));
        true
    }

    /// What a file begins with.
    fn start_of_file(&self, now: Now) -> Vec<u8> {
        let mut writer = Writer::default();
        let facts = [
            ("redis-ver", crate::admin::REDIS_VERSION.to_owned()),
            ("redis-bits", usize::BITS.to_string()),
            ("ctime", seconds(now).to_string()),
            ("used-mem", self.shards.bytes().to_string()),
            ("aof-base", "0".to_owned()),
        ];
        file::write_start(&facts, &mut writer);
        self.scripts.write_libraries(&mut writer);
        writer.into_bytes()
    }

    /// A snapshot for the end, when nobody changes the store any more: if there are save points, or SHUTDOWN has
    /// said so, and something has changed since the last one. One that is being made is given up.
    ///
    /// # Errors
    ///
    /// If somebody holds keys for the moment.
    pub fn last_snapshot(self: &Arc<Engine>, clock: &dyn TimeSource) -> Result<Option<Snapshot>> {
        let is_asked = self.config.outside.saves_at_end();
        let saves = is_asked.unwrap_or_else(|| self.saving.has_points());
        let state = self.saving.state();
        let is_new = state.changes_since(self.changes()) > 0;
        if !saves || !is_new && (is_asked.is_none() || state.saves > 0) {
            return Ok(None);
        }
        self.cancel_snapshot();
        let mut keyspace = Keyspace::new(&self.shards, 0, clock);
        keyspace.hold(Needs::Everything)?;
        let snapshot = self.cut(&mut keyspace, Then::Nothing, clock.now())?;
        Ok(Some(snapshot))
    }

    /// Begins a snapshot if one is due, unless somebody holds keys.
    pub(crate) fn save_if_due(self: &Arc<Engine>, clock: &dyn TimeSource) {
        if !self.saving.has_points() || !self.is_save_due(clock.now()) {
            return;
        }
        let mut keyspace = Keyspace::new(&self.shards, 0, clock);
        if keyspace.try_hold_all() {
            // One that has begun meanwhile will do.
            let _ = self.begin_snapshot(&mut keyspace, Then::Nothing, clock.now());
        }
    }

    fn is_save_due(&self, now: Now) -> bool {
        let state = self.saving.state.lock();
        if state.running.is_some() {
            return false;
        }
        let past_s = |then_s: u64| seconds(now).saturating_sub(then_s);
        let (since_s, changes) = (
            past_s(state.last_s(self.stats.started_s())),
            state.changes_since(self.changes()),
        );
        let may_try = !state.has_failed || past_s(state.tried_s) > TRIED_AGAIN_S;
        let points = self.saving.points.read();
        let mut points = points.iter();
        may_try && points.any(|point| changes >= point.changes && since_s > point.seconds)
    }

    /// A snapshot is kept since this time, or lost. Those who wait for it are answered.
    pub(super) fn end_snapshot(&self, number: u64, kept: Option<Now>) {
        let mut state = self.saving.state.lock();
        let is_it = |running: &mut Running| running.number == number;
        let Some(running) = state.running.take_if(is_it) else {
            return;
        };
        state.has_failed = kept.is_none();
        if let Some(now) = kept {
            state.took_s = Some(seconds(now).saturating_sub(running.began_s));
            state.saves += 1;
            state.last_s = seconds(now);
            state.changes = running.changes;
        }
        drop(state);
        self.saving.look_again();
        match (kept, running.then, self.config.outside.ending()) {
            (None, then, _) => self.answer_savers(&Value::Error(lost(then))),
            (Some(_), Then::Shutdown, Some(ending)) => ending(),
            (Some(_), ..) => self.answer_savers(&Value::Status("OK".into())),
        }
    }

    fn answer_savers(&self, answer: &Value) {
        for waiter in self.waiters_for(Nothing::Saved) {
            if waiter.claim() {
                waiter.answer(answer.clone());
                self.forget_wait(&waiter);
            }
        }
    }

    /// How many changes there have been.
    pub(crate) fn changes(&self) -> u64 {
        let of_keys: u64 = self.shards.sum(|all| &all.changes);
        of_keys + self.saving.changes.load(Relaxed)
    }

    /// What was loaded is no change.
    pub(super) fn note_loaded(&self, keys: u64, expired: u64) {
        let changes = self.changes();
        let mut state = self.saving.state.lock();
        state.loaded = (keys, expired);
        state.changes = changes;
    }
}

/// What is answered when a snapshot is lost.
fn lost(then: Then) -> Refusal {
    Refusal::new(match then {
        Then::Nothing => "ERR",
        Then::Shutdown => "ERR Errors trying to SHUTDOWN. Check logs.",
    })
}
