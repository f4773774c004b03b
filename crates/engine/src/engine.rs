//! The engine: everything a store holds, without sockets, files or a clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use larder_store::Value;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::admin::config::Config;
use crate::admin::stats::Stats;
use crate::hash::Seed;
use crate::keyspace::waiting::Waiter;
use crate::keyspace::{DATABASES, Garbage, Shard, Shards};
use crate::pubsub::PubSub;
use crate::scripting::Scripts;
use crate::session::client::Clients;

/// How many expired keys are removed under one lock.
const EXPIRE_STEP: usize = 64;

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

/// Where the time comes from. A [`Now`] is a clock that stands still.
pub trait TimeSource {
    /// The time.
    fn now(&self) -> Now;
}

impl TimeSource for Now {
    fn now(&self) -> Now {
        *self
    }
}

/// Everything a store holds. Commands run on their callers' threads.
pub struct Engine {
    pub(crate) shards: Shards,
    pub(crate) pubsub: PubSub,
    pub(crate) scripts: Scripts,
    pub(crate) clients: Clients,
    pub(crate) config: Config,
    pub(crate) stats: Stats,
    /// 40 hexadecimal digits that no other engine has.
    pub(crate) run_id: String,
    random: Mutex<SmallRng>,
    /// Waits that end by themselves, the next one first.
    deadlines: Mutex<BTreeMap<(u64, u64), Arc<Waiter>>>,
    alarm: Mutex<Option<Alarm>>,
    disposal: OnceLock<Disposal>,
    last_id: AtomicU64,
}

/// Called with the time, in Unix microseconds, at which [`Engine::tick`] is wanted earlier than
/// [`Engine::next_deadline`] said.
pub type Alarm = Box<dyn Fn(Now) + Send + Sync>;

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
        let mut random = SmallRng::from_seed(seed);
        let shards = Shards::new(Seed::new(random.next_u64(), random.next_u64()));
        shards.set_clock(now);
        let run_id: [u32; 5] = std::array::from_fn(|_| random.next_u32());
        Arc::new(Engine {
            shards,
            pubsub: PubSub::default(),
            scripts: Scripts::default(),
            clients: Clients::default(),
            config: Config::default(),
            stats: Stats::new(now),
            run_id: run_id.map(|part| format!("{part:08x}")).concat(),
            random: Mutex::new(random),
            deadlines: Mutex::default(),
            alarm: Mutex::default(),
            disposal: OnceLock::new(),
            last_id: AtomicU64::new(0),
        })
    }

    /// Lets the effects of time happen: expired keys leave memory, and waits that have lasted long
    /// enough end. To be called ten times a second, and at [`Engine::next_deadline`].
    pub fn tick(self: &Arc<Engine>, now: Now) {
        self.shards.set_clock(now);
        self.end_waits(now);
        let mut commands = 0;
        for shard in self.shards.iter() {
            commands += shard.lock().counts().commands;
            for db in 0..DATABASES {
                while self.expire_some(shard, db, now) {}
            }
        }
        self.stats.tick(now, commands);
    }

    /// Removes some expired keys under one lock. Answers whether there are more.
    fn expire_some(self: &Arc<Engine>, shard: &Mutex<Shard>, db: usize, now: Now) -> bool {
        let (removed, more, left) = shard.lock().expire(db, now.unix_ms(), EXPIRE_STEP);
        self.stats.expired(removed);
        self.clear_up(left, now);
        more
    }

    /// When the next wait ends, if one does.
    pub fn next_deadline(&self) -> Option<Now> {
        let deadlines = self.deadlines.lock();
        deadlines
            .first_key_value()
            .map(|((us, _), _)| Now::from_unix_us(*us))
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
    pub(crate) fn dispose(&self, garbage: Garbage) {
        if let Some(disposal) = self.disposal.get()
            && !garbage.is_empty()
        {
            disposal(garbage);
        }
    }

    /// A number that no other call has got.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A random number.
    pub(crate) fn random(&self) -> u64 {
        self.random.lock().next_u64()
    }

    // --- callers that wait -------------------------------------------------------------------

    /// Notes when a wait ends.
    pub(crate) fn note_deadline(&self, waiter: &Arc<Waiter>) {
        let Some(deadline_us) = waiter.deadline_us else {
            return;
        };
        let mut deadlines = self.deadlines.lock();
        deadlines.insert((deadline_us, waiter.id), Arc::clone(waiter));
        let is_next = deadlines
            .first_key_value()
            .is_some_and(|((_, id), _)| *id == waiter.id);
        drop(deadlines);
        if is_next && let Some(alarm) = &*self.alarm.lock() {
            alarm(Now::from_unix_us(deadline_us));
        }
    }

    /// Gives the claim on a waiter back: there is no answer yet. Its keys are to be held, so that no
    /// change of them finds it still claimed, and is lost to it.
    pub(crate) fn wait_on(&self, waiter: &Arc<Waiter>) {
        waiter.wait_on();
        // Its deadline may have come while it was claimed, and then it ended nothing.
        self.note_deadline(waiter);
    }

    /// Takes a waiter out of the queues of its keys.
    pub(crate) fn forget(&self, waiter: &Arc<Waiter>) {
        if let Some(deadline_us) = waiter.deadline_us {
            self.deadlines.lock().remove(&(deadline_us, waiter.id));
        }
        for key in &waiter.keys {
            let index = self.shards.index(self.shards.seed().hash(key));
            self.shards
                .shard(index)
                .lock()
                .stop_waiting(waiter.db, key, waiter);
        }
    }

    /// Ends all waits that have begun, as if their time were over: for a store that is closed.
    pub fn end_all_waits(&self) {
        for shard in self.shards.iter() {
            let waiters: Vec<_> = shard.lock().all_waiters().cloned().collect();
            for waiter in waiters {
                if waiter.claim() {
                    waiter.answer(Value::Null);
                    self.forget(&waiter);
                }
            }
        }
    }

    fn end_waits(&self, now: Now) {
        loop {
            let mut deadlines = self.deadlines.lock();
            let Some(due) = deadlines
                .first_entry()
                .filter(|next| next.key().0 <= now.unix_us())
            else {
                return;
            };
            let waiter = due.remove();
            drop(deadlines);
            if waiter.claim() {
                waiter.answer(Value::Null);
                self.forget(&waiter);
            }
        }
    }
}
