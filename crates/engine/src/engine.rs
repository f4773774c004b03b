//! The engine: everything a store holds, without sockets, files or a clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::acl::Acl;
use crate::admin::config::Config;
use crate::eviction::Memory;
use crate::hash::{Seed, derive};
use crate::keyspace::waiting::{Nothing, Waiter};
use crate::keyspace::{DATABASES, Garbage, Keyspace, Noted, Ready, SHARDS, Shards};
use crate::observe::stats::Stats;
use crate::persist::Saving;
use crate::pubsub::PubSub;
use crate::random::Random;
use crate::scripting::Scripts;
use crate::session::client::Clients;
use crate::session::pause::Pauses;
use crate::sync::Mutex;
use crate::wakes::Wakes;

/// How many expired keys are removed under one lock.
const EXPIRE_STEP: usize = 64;

/// How many keys that clients have read are forgotten under one lock.
const FORGET_STEP: usize = 256;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    us: u64,
}

impl Now {
    /// The time that is so many microseconds after the Unix epoch.
    pub const fn from_unix_us(us: u64) -> Now {
        Now { us }
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_us(self) -> u64 {
        self.us
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.us / 1000
    }
}

/// A point in time on a clock that nobody sets: for how long something takes. It begins anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks {
    us: u64,
}

impl Ticks {
    /// The point in time that is beyond all others.
    pub(crate) const NEVER: Ticks = Ticks { us: u64::MAX };

    /// So many microseconds after the beginning.
    pub const fn from_us(us: u64) -> Ticks {
        Ticks { us }
    }

    /// Microseconds since the beginning.
    pub const fn us(self) -> u64 {
        self.us
    }

    /// So many microseconds later.
    #[must_use]
    pub const fn after_us(self, us: u64) -> Ticks {
        Ticks {
            us: self.us.saturating_add(us),
        }
    }

    /// How many microseconds have passed since then.
    pub const fn us_since(self, then: Ticks) -> u64 {
        self.us.saturating_sub(then.us)
    }
}

/// Where the time comes from. A [`Now`] is a clock that stands still.
pub trait TimeSource {
    /// The time of day: for what expires at a time that somebody has said.
    fn now(&self) -> Now;

    /// The time of a clock that nobody sets: for how long a wait or a script may last.
    fn ticks(&self) -> Ticks;
}

impl TimeSource for Now {
    fn now(&self) -> Now {
        *self
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(self.us)
    }
}

/// Everything a store holds. Commands run on their callers' threads.
pub struct Engine {
    pub(crate) shards: Shards,
    pub(crate) pubsub: Arc<PubSub>,
    pub(crate) scripts: Scripts,
    pub(crate) clients: Clients,
    pub(crate) pauses: Pauses,
    pub(crate) config: Config,
    pub(crate) acl: Acl,
    pub(crate) stats: Stats,
    pub(crate) memory: Memory,
    pub(crate) saving: Saving,
    /// 40 hexadecimal digits that no other engine has.
    pub(crate) run_id: String,
    random: Random,
    /// All callers that wait for keys, in the order of their deadlines.
    waits: Mutex<BTreeMap<(Ticks, u64), Arc<Waiter>>>,
    /// Keys whose waiters could not be served, since others held shards that those need.
    unserved: Mutex<Vec<Ready>>,
    /// When callers that wait look again.
    pub(crate) wakes: Wakes,
    alarm: Mutex<Option<Alarm>>,
    disposal: OnceLock<Disposal>,
    last_id: AtomicU64,
}

/// Called with the time at which [`Engine::tick`] is wanted earlier than [`Engine::next_deadline`]
/// said. It is called while shards are held, and must not wait.
pub type Alarm = Box<dyn Fn(Ticks) + Send + Sync>;

/// Takes what takes long to free, to drop it where nobody waits for that.
pub type Disposal = Box<dyn Fn(Garbage) + Send + Sync>;

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An empty engine. All its randomness comes from `seed`: the order of scans, random members,
    /// ids.
    pub fn new(seed: [u8; 32], now: Now) -> Arc<Engine> {
        let pubsub = Arc::new(PubSub::default());
        let shards = Shards::new(Seed::derived(&seed), Arc::clone(&pubsub));
        shards.access().set(now, Noted::Second);
        Arc::new(Engine {
            shards,
            pubsub,
            scripts: Scripts::default(),
            clients: Clients::default(),
            pauses: Pauses::default(),
            config: Config::default(),
            acl: Acl::new(&seed),
            stats: Stats::new(now),
            memory: Memory::default(),
            saving: Saving::default(),
            run_id: hexadecimal(&derive::<20>(&seed, "run id")),
            random: Random::new(u64::from_le_bytes(derive(&seed, "random numbers"))),
            waits: Mutex::default(),
            unserved: Mutex::default(),
            wakes: Wakes::default(),
            alarm: Mutex::default(),
            disposal: OnceLock::new(),
            last_id: AtomicU64::new(0),
        })
    }

    /// Lets the effects of time happen: expired keys leave memory, and waits that have lasted long
    /// enough end. To be called ten times a second, and at [`Engine::next_deadline`].
    ///
    /// It waits for nobody: a shard that somebody holds is left to the next time.
    pub fn tick(self: &Arc<Engine>, clock: &dyn TimeSource) {
        let now = clock.now();
        self.shards.access().set(now, self.memory.noted_of_uses());
        self.end_waits(clock.ticks());
        self.end_pause(clock.ticks());
        self.wake(clock.ticks());
        self.note_overdue_scripts(clock.ticks());
        if self.config.cron_paused.load(Ordering::Relaxed) {
            return;
        }
        for index in 0..SHARDS {
            if let Some(mut shard) = self.shards.try_take(index) {
                self.shards.sweep(index, &mut shard);
                self.shards.report(index, &shard);
            }
        }
        self.bound_tracked();
        if self.config.expires_actively() && !self.keeps_expired(clock.ticks()) {
            let began = clock.ticks();
            self.expire_all(clock);
            let took_us = clock.ticks().us_since(began);
            self.stats.expiring_us.fetch_add(took_us, Ordering::Relaxed);
        }
        self.measure_beside();
        if self.is_over_limit() {
            // Nobody waits for this answer: who writes next is told.
            let _ = self.make_room(clock);
        }
        self.serve_unserved(clock);
        self.save_if_due(clock);
        self.shards.parking().wake_all();
        self.stats.tick(now);
    }

    /// Has keys forgotten that clients have read, if they are more than are to be remembered, as far as
    /// nobody holds their shards. If they are many more, it is a beginning.
    pub(crate) fn bound_tracked(&self) {
        let keys_max = self.config.tracked_keys_max();
        if keys_max == 0 || self.shards.tracking().keys_len() <= keys_max {
            return;
        }
        for index in 0..SHARDS {
            if let Some(mut shard) = self.shards.try_take(index) {
                self.shards.bound_tracked(&mut shard, keys_max, FORGET_STEP);
            }
        }
    }

    /// Removes all expired keys whose shards nobody holds.
    pub(crate) fn expire_all(self: &Arc<Engine>, clock: &dyn TimeSource) {
        for index in 0..SHARDS {
            for db in 0..DATABASES {
                while self.expire_some(index, db, clock) {}
            }
        }
    }

    /// Removes some expired keys under one lock, if nobody holds it. Answers whether there are more.
    fn expire_some(self: &Arc<Engine>, index: usize, db: usize, clock: &dyn TimeSource) -> bool {
        let (has_more, leftover) = {
            let mut keyspace = Keyspace::new(&self.shards, db, clock);
            if !keyspace.try_hold(index) {
                return false;
            }
            let has_more = keyspace.expire(index, EXPIRE_STEP);
            self.serve_ready(&mut keyspace);
            (has_more, keyspace.take_leftover())
        };
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
        has_more
    }

    /// When the next wait ends, somebody who waits looks again, or the pause of all clients ends.
    pub fn next_deadline(&self) -> Option<Ticks> {
        let waits = self.waits.lock();
        let first = waits.first_key_value().map(|((deadline, _), _)| *deadline);
        drop(waits);
        let deadlines = first.into_iter().chain(self.wakes.next());
        let deadlines = deadlines.chain(self.pauses.end());
        deadlines.min().filter(|deadline| *deadline < Ticks::NEVER)
    }

    /// Has the alarm called, since something is to happen then.
    pub(crate) fn expect_at(&self, deadline: Ticks) {
        if let Some(alarm) = &*self.alarm.lock() {
            alarm(deadline);
        }
    }

    /// Has `alarm` called whenever a wait begins that ends before all others.
    pub fn on_alarm(&self, alarm: Alarm) {
        *self.alarm.lock() = Some(alarm);
    }

    /// Has `disposal` called with what takes long to free. Without one, or before it, such things
    /// are freed by the call that lets go of them. There is one for the engine's life: the first.
    pub fn on_garbage(&self, disposal: Disposal) {
        let _ = self.disposal.set(disposal);
    }

    /// Has garbage freed. No shard may be held, since that may take long.
    pub(crate) fn dispose(&self, mut garbage: Garbage) {
        if let Some(disposal) = self.disposal.get()
            && !garbage.is_empty()
        {
            garbage.count_in(&self.stats.freed_aside);
            disposal(garbage);
        }
    }

    /// How many keys there are in a database. Expired keys count until they are removed.
    pub(crate) fn keys(&self, db: usize) -> usize {
        self.shards.figures().map(|figures| figures.keys(db)).sum()
    }

    /// How many keys of a database have an expiry.
    pub(crate) fn volatile_keys(&self, db: usize) -> usize {
        let figures = self.shards.figures();
        figures.map(|figures| figures.volatile(db)).sum()
    }

    /// How many keys of a database are hashes of which fields expire.
    pub(crate) fn timed_hashes(&self, db: usize) -> usize {
        self.shards.figures().map(|figures| figures.timed(db)).sum()
    }

    /// On how many keys somebody waits, and on how many of them for any change, even that they go.
    pub(crate) fn awaited_keys(&self) -> (usize, usize) {
        let waits = self.waits.lock();
        let mut keys: BTreeMap<(usize, &[u8]), bool> = BTreeMap::new();
        for waiter in waits.values() {
            for key in &waiter.keys {
                *keys.entry((waiter.db, key)).or_default() |= waiter.wants_any_change();
            }
        }
        let for_any_change = keys.values().filter(|wants_any_change| **wants_any_change);
        (keys.len(), for_any_change.count())
    }

    /// A number that no other call has got.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A random number.
    pub(crate) fn random(&self) -> u64 {
        self.random.next()
    }

    // --- callers that wait -------------------------------------------------------------------

    /// Notes a wait, so that it ends.
    pub(crate) fn note_wait(&self, waiter: &Arc<Waiter>) {
        let mut waits = self.waits.lock();
        waits.insert(waiter.place(), Arc::clone(waiter));
        let next = waits.first_key_value();
        let is_next = next.is_some_and(|((_, id), _)| *id == waiter.id);
        drop(waits);
        if is_next && let Some(deadline) = waiter.deadline {
            self.expect_at(deadline);
        }
    }

    /// Those whose wait ends in this way.
    pub(crate) fn waiters_for(&self, nothing: Nothing) -> Vec<Arc<Waiter>> {
        let waits = self.waits.lock();
        let waiters = waits.values().filter(|waiter| waiter.ends_with(nothing));
        waiters.cloned().collect()
    }

    /// How many wait that will not wait for ever.
    pub(crate) fn timed_waits(&self) -> usize {
        let waits = self.waits.lock();
        waits.range(..(Ticks::NEVER, 0)).count()
    }

    /// Gives the claim on a waiter back: there is no answer yet. Its keys are to be held, so that no
    /// change of them finds it still claimed, and is lost to it.
    pub(crate) fn wait_on(&self, waiter: &Arc<Waiter>) {
        waiter.wait_on();
        // Its deadline may have come while it was claimed, and then it ended nothing.
        self.note_wait(waiter);
    }

    /// Takes a note of [`Engine::note_wait`] away: the wait is over.
    pub(crate) fn forget_wait(&self, waiter: &Waiter) {
        self.waits.lock().remove(&waiter.place());
    }

    /// Takes a waiter that is over out of the queues of its keys, as far as nobody holds them.
    pub(crate) fn forget(&self, waiter: &Waiter) {
        self.forget_wait(waiter);
        for key in &waiter.keys {
            let index = self.shards.index(self.shards.seed().hash(key));
            match self.shards.try_take(index) {
                Some(mut shard) => shard.stop_waiting(waiter.db, key, waiter),
                None => self.shards.leave_behind(index),
            }
        }
    }

    /// Ends all waits that have begun, as if their time were over: for a store that is closed.
    pub fn end_all_waits(&self) {
        let waits = std::mem::take(&mut *self.waits.lock());
        waits.into_values().for_each(|waiter| self.end(&waiter));
        self.shards.parking().wake_all();
    }

    fn end_waits(&self, now: Ticks) {
        loop {
            let mut waits = self.waits.lock();
            let Some(due) = waits.first_entry().filter(|next| next.key().0 <= now) else {
                return;
            };
            let waiter = due.remove();
            drop(waits);
            self.end(&waiter);
        }
    }

    /// Ends a wait with nothing, unless somebody has its answer already.
    fn end(&self, waiter: &Waiter) {
        if waiter.claim() {
            self.note_vain_wait(waiter.request.arguments());
            waiter.answer_nothing();
            self.forget(waiter);
        }
    }

    /// Puts keys aside whose waiters could not be served.
    pub(crate) fn leave_unserved(&self, keys: Vec<Ready>) {
        if !keys.is_empty() {
            self.unserved.lock().extend(keys);
        }
    }

    /// The keys whose waiters could not be served.
    pub(crate) fn take_unserved(&self) -> Vec<Ready> {
        std::mem::take(&mut *self.unserved.lock())
    }
}

/// Bytes in hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
