//! Eviction: keys are removed when the store holds more than `maxmemory`.
//!
//! What counts is the store's own account of bytes: keys, values, tables and expiries
//! ([`crate::keyspace`] keeps it exactly), and what connections and scripts hold: as of the last tick,
//! and of a connection at once if it is much. It is the store's and not the process's, since the
//! process belongs to the user.
//!
//! The policies are Redis's, and so is the way to approximate them: a few keys are sampled, the best
//! of them kept in a pool, and the best of the pool is removed
//! (<https://redis.io/docs/latest/develop/reference/eviction/>). No shard is waited for: one that
//! somebody holds is passed over.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize};
use std::time::Duration;

use crate::engine::{Engine, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::{DATABASES, Keyspace, Noted, SHARDS, Sampled};
use crate::per_thread::PerThread;
use crate::session::Client;
use crate::sync::Mutex;

/// How many candidates are kept from one sample to the next.
const POOL: usize = 16;

/// How far what a client holds may be from what the account has of it until the next tick: a few times
/// what a quiet one holds.
const UNACCOUNTED_MAX: usize = 64 * 1024;

/// How many shards are looked into for one that has a key to sample.
const TRIES: usize = 4 * SHARDS;

/// How long a call makes room, with `maxmemory-eviction-tenacity` at its default. If it has removed
/// something by then, its command may run, and the next call goes on.
const PATIENCE: Duration = Duration::from_micros(500);

/// After how many keys it is looked at the clock.
const LOOK_AT_CLOCK: usize = 16;

/// Which keys are evicted when a store holds more than it may: Redis's `maxmemory-policy`.
///
/// The names that it is read from and shown with are Redis's: `allkeys-lru`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Of those with an expiry, the one that has not been used for the longest time.
    VolatileLru,
    /// Of those with an expiry, the one that is used least often.
    VolatileLfu,
    /// Any with an expiry.
    VolatileRandom,
    /// The one that expires soonest.
    VolatileTtl,
    /// The one that has not been used for the longest time.
    AllKeysLru,
    /// The one that is used least often.
    AllKeysLfu,
    /// Any.
    AllKeysRandom,
    /// None: what would take more memory is refused.
    #[default]
    NoEviction,
}

/// Which keys may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidates {
    All,
    /// Those with an expiry.
    Volatile,
}

/// Which of the keys that may be evicted goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    LeastRecent,
    LeastFrequent,
    Random,
    Soonest,
}

impl EvictionPolicy {
    const ALL: [EvictionPolicy; 8] = [
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::VolatileRandom,
        EvictionPolicy::VolatileTtl,
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::AllKeysRandom,
        EvictionPolicy::NoEviction,
    ];

    /// The names of all policies, each at the place that its policy has as a number.
    pub(crate) const NAMES: &[&str] = &[
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ];

    /// The policy with this number: its place among [`EvictionPolicy::NAMES`].
    pub(crate) fn from_number(number: u64) -> EvictionPolicy {
        let policy = EvictionPolicy::ALL.get(number as usize);
        policy.copied().unwrap_or_default()
    }

    /// What is evicted, if anything is.
    fn parts(self) -> Option<(Candidates, Choice)> {
        Some(match self {
            EvictionPolicy::NoEviction => return None,
            EvictionPolicy::AllKeysLru => (Candidates::All, Choice::LeastRecent),
            EvictionPolicy::AllKeysLfu => (Candidates::All, Choice::LeastFrequent),
            EvictionPolicy::AllKeysRandom => (Candidates::All, Choice::Random),
            EvictionPolicy::VolatileLru => (Candidates::Volatile, Choice::LeastRecent),
            EvictionPolicy::VolatileLfu => (Candidates::Volatile, Choice::LeastFrequent),
            EvictionPolicy::VolatileRandom => (Candidates::Volatile, Choice::Random),
            EvictionPolicy::VolatileTtl => (Candidates::Volatile, Choice::Soonest),
        })
    }

    fn choice(self) -> Option<Choice> {
        self.parts().map(|(_, choice)| choice)
    }
}

impl fmt::Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EvictionPolicy::NAMES[*self as usize])
    }
}

impl FromStr for EvictionPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<EvictionPolicy, UnknownPolicy> {
        let mut names = EvictionPolicy::NAMES.iter();
        let place = names.position(|known| known.eq_ignore_ascii_case(name));
        let place = place.ok_or_else(|| UnknownPolicy {
            name: name.to_owned(),
        })?;
        Ok(EvictionPolicy::ALL[place])
    }
}

/// There is no eviction policy of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no eviction policy {name:?}: the policies are {}", EvictionPolicy::NAMES.join(", "))]
pub struct UnknownPolicy {
    name: String,
}

/// What the engine knows of its memory beside the keyspace.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `maxmemory`: how many bytes may be used, or 0 for any number.
    pub(crate) max: AtomicU64,
    /// `maxmemory-policy`, as a number.
    pub(crate) policy: AtomicU64,
    /// `maxmemory-samples`.
    pub(crate) samples: AtomicU64,
    /// `maxmemory-eviction-tenacity`.
    pub(crate) tenacity: AtomicU64,
    /// What connections and scripts hold, as far as they have been taken into account.
    beside: AtomicIsize,
    /// What of it is of scripts.
    scripts: AtomicUsize,
    peak: AtomicU64,
    pools: PerThread<Mutex<Pool>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            max: AtomicU64::new(0),
            policy: AtomicU64::new(EvictionPolicy::default() as u64),
            samples: AtomicU64::new(5),
            tenacity: AtomicU64::new(10),
            beside: AtomicIsize::new(0),
            scripts: AtomicUsize::new(0),
            peak: AtomicU64::new(0),
            pools: PerThread::default(),
        }
    }
}

impl Memory {
    /// Which keys are evicted.
    pub(crate) fn policy(&self) -> EvictionPolicy {
        EvictionPolicy::from_number(self.policy.load(Relaxed))
    }

    /// Whether values are held once for each key, so that each key has a last use of its own: as in
    /// Redis, if there is a limit and the policy goes by uses.
    pub(crate) fn shares_nothing(&self) -> bool {
        let choice = self.policy().choice();
        let goes_by_uses = matches!(choice, Some(Choice::LeastRecent | Choice::LeastFrequent));
        goes_by_uses && self.max.load(Relaxed) > 0
    }

    /// What the policy needs to know of each use of a key.
    pub(crate) fn noted_of_uses(&self) -> Noted {
        match self.policy().choice() {
            Some(Choice::LeastFrequent) => Noted::Count,
            Some(Choice::LeastRecent) if self.max.load(Relaxed) > 0 => Noted::Tenth,
            _ => Noted::Second,
        }
    }

    /// How many bytes are held beside the keyspace. Whoever has taken its own into account and has not
    /// added them yet may make it less than nothing for a moment.
    fn beside(&self) -> u64 {
        self.beside.load(Relaxed).max(0) as u64
    }

    /// How long one call makes room. For ever, at the tenacity of 100.
    fn patience(&self) -> Option<Duration> {
        match self.tenacity.load(Relaxed) {
            few @ 0..=10 => Some(PATIENCE * few as u32 / 10),
            // As in Redis: half a second at 40, two minutes at 99.
            many @ 11..=99 => Some(PATIENCE.mul_f64(1.15_f64.powi(many as i32 - 10))),
            _ => None,
        }
    }
}

/// A key that may be evicted.
#[derive(Clone, Debug)]
struct Candidate {
    db: usize,
    key: Box<[u8]>,
    /// The greater, the sooner it goes.
    weight: u64,
}

/// The best candidates that have been seen, the best last.
#[derive(Debug, Default)]
struct Pool(Vec<Candidate>);

impl Pool {
    fn put(&mut self, candidate: Candidate) {
        let is_known = |known: &Candidate| known.db == candidate.db && known.key == candidate.key;
        self.0.retain(|known| !is_known(known));
        let place = self
            .0
            .partition_point(|known| known.weight <= candidate.weight);
        self.0.insert(place, candidate);
        if self.0.len() > POOL {
            self.0.remove(0);
        }
    }
}

impl Engine {
    /// How many bytes the store holds: keys, values, tables and expiries exactly; connections and
    /// scripts as of the last tick. It is read without a lock.
    pub fn used_memory(&self) -> u64 {
        let used = self.shards.bytes() + self.memory.beside();
        self.memory.peak.fetch_max(used, Relaxed);
        used
    }

    /// How many bytes of it keys take.
    pub(crate) fn dataset_memory(&self) -> u64 {
        self.shards.bytes()
    }

    /// The most that [`Engine::used_memory`] has been seen to be.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.used_memory();
        self.memory.peak.load(Relaxed)
    }

    /// How many bytes the store may hold: `maxmemory`. 0 is any number.
    pub fn max_memory(&self) -> u64 {
        self.memory.max.load(Relaxed)
    }

    /// Has the store hold no more than this many bytes, or any number if it is 0. What is too much is
    /// evicted, if the policy has something evicted, at the next tick at the latest.
    ///
    /// What an engine takes before it has keys or connections is not counted. Keys that expire cost a
    /// shard of theirs five kilobytes once, as long as it has any, so a limit below a megabyte leaves
    /// room for fewer keys than their sizes suggest.
    pub fn set_max_memory(&self, bytes: u64) {
        self.memory.max.store(bytes, Relaxed);
        self.shards.set_accuracy(bytes);
        self.shards.access().note(self.memory.noted_of_uses());
    }

    /// Has keys evicted by this policy.
    pub fn set_eviction_policy(&self, policy: EvictionPolicy) {
        self.memory.policy.store(policy as u64, Relaxed);
        self.shards.access().note(self.memory.noted_of_uses());
    }

    /// Takes what is held beside the keyspace into account.
    pub(crate) fn measure_beside(&self) {
        let clients = self.clients.all();
        let clients: isize = clients.iter().map(|client| client.account()).sum();
        let scripts = self.scripts.bytes();
        let before = self.memory.scripts.swap(scripts, Relaxed);
        let change = clients
            .wrapping_add_unsigned(scripts)
            .wrapping_sub_unsigned(before);
        self.memory.beside.fetch_add(change, Relaxed);
    }

    /// Takes what a client holds into account: also when it has come, and when it has gone, so that
    /// nothing is evicted for it until the next tick.
    pub(crate) fn account(&self, client: &Client) {
        self.memory.beside.fetch_add(client.account(), Relaxed);
    }

    /// Takes the `bytes` that a client holds ([`Client::bytes`]) into account, if there is a limit and
    /// they have changed by much, and evicts keys if that is too much. No shard may be held.
    #[inline]
    pub fn account_for(self: &Arc<Engine>, client: &Client, bytes: usize, clock: &dyn TimeSource) {
        if client.unaccounted(bytes) >= UNACCOUNTED_MAX && self.max_memory() > 0 {
            self.account_for_much(client, clock);
        }
    }

    #[cold]
    fn account_for_much(self: &Arc<Engine>, client: &Client, clock: &dyn TimeSource) {
        self.account(client);
        if self.is_over_limit() {
            // Nobody waits for this answer: who writes next is told.
            let _ = self.make_room(clock);
        }
    }

    /// Whether the store holds more than it may. Without a limit this is one test.
    #[inline]
    pub(crate) fn is_over_limit(&self) -> bool {
        match self.memory.max.load(Relaxed) {
            0 => false,
            max => self.exceeds(max),
        }
    }

    #[inline(never)]
    fn exceeds(&self, max: u64) -> bool {
        self.shards.bytes_nearly() + self.memory.beside() > max
    }

    /// Evicts keys until the store holds no more than it may, or until that has taken so long that
    /// the caller should go on. No shard may be held.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if there is nothing that may be evicted.
    #[cold]
    pub(crate) fn make_room(self: &Arc<Engine>, clock: &dyn TimeSource) -> Result<()> {
        let Some((candidates, choice)) = self.memory.policy().parts() else {
            return Err(Error::OutOfMemory);
        };
        if self.keeps_expired(clock.ticks()) {
            // In import mode there is no room, and in a pause it may be short.
            return match self.shards.imports().load(Relaxed) {
                true => Err(Error::OutOfMemory),
                false => Ok(()),
            };
        }
        let patience = self.memory.patience();
        let (begun, mut evicted) = (clock.ticks(), 0);
        while self.is_over_limit() {
            if !self.evict_one(candidates, choice, clock) {
                // Others may hold what could go: if this call has made some room, it may go on.
                return match evicted {
                    0 => Err(Error::OutOfMemory),
                    _ => Ok(()),
                };
            }
            evicted += 1;
            let passed = || Duration::from_micros(clock.ticks().us_since(begun));
            if evicted % LOOK_AT_CLOCK == 0 && patience.is_some_and(|most| passed() >= most) {
                break;
            }
        }
        Ok(())
    }

    /// Removes the key that the policy wants to go first, as far as samples tell. Answers whether
    /// there was one.
    fn evict_one(
        self: &Arc<Engine>,
        candidates: Candidates,
        choice: Choice,
        clock: &dyn TimeSource,
    ) -> bool {
        let mut pool = self.memory.pools.own().lock();
        // What the pool has may be gone meanwhile, and then the next is tried, with a new sample.
        for _ in 0..POOL {
            self.sample_into(&mut pool, candidates, choice, clock);
            let Some(candidate) = pool.0.pop() else {
                return false;
            };
            if self.evict(&candidate, candidates, clock) {
                return true;
            }
        }
        false
    }

    /// Samples some keys of a shard that has any.
    fn sample_into(
        &self,
        pool: &mut Pool,
        candidates: Candidates,
        choice: Choice,
        clock: &dyn TimeSource,
    ) {
        if choice == Choice::Random {
            pool.0.clear();
        }
        let samples = match choice {
            Choice::Random => 1,
            _ => self.memory.samples.load(Relaxed) as usize,
        };
        let mut left = samples;
        for _ in 0..TRIES {
            if left == 0 {
                return;
            }
            // A shard and a database by one key of all that may go, so that each has the same chance.
            let Some((index, db)) = self.random_place(candidates) else {
                return;
            };
            let mut keyspace = Keyspace::new(&self.shards, db, clock);
            if !keyspace.try_hold(index) {
                continue;
            }
            let is_volatile = candidates == Candidates::Volatile;
            let is_soonest = choice == Choice::Soonest;
            keyspace.sample_held(index, is_volatile, is_soonest, self.random(), |sampled| {
                pool.put(Candidate {
                    db,
                    key: sampled.key.into(),
                    weight: weight(choice, &sampled),
                });
            });
            left -= 1;
        }
    }

    /// A shard and a database, each with the chance of its share in the keys that may go.
    fn random_place(&self, candidates: Candidates) -> Option<(usize, usize)> {
        let keys = |index: usize, db: usize| {
            let figures = self.shards.figures_of(index);
            match candidates {
                Candidates::All => figures.keys(db),
                Candidates::Volatile => figures.volatile(db),
            }
        };
        let random = self.random();
        let first = random as usize % SHARDS;
        let places = (0..SHARDS).map(|step| (first + step) % SHARDS);
        places.into_iter().find_map(|index| {
            let all: usize = (0..DATABASES).map(|db| keys(index, db)).sum();
            let mut nth = (random >> 32) as usize % all.max(1);
            (0..DATABASES).find_map(|db| match nth.checked_sub(keys(index, db)) {
                Some(rest) => {
                    nth = rest;
                    None
                }
                None => Some((index, db)),
            })
        })
    }

    /// Removes a candidate. Answers whether it was there, and could be had.
    fn evict(
        self: &Arc<Engine>,
        candidate: &Candidate,
        candidates: Candidates,
        clock: &dyn TimeSource,
    ) -> bool {
        let hash = self.shards.seed().hash(&candidate.key);
        let (is_evicted, leftover) = {
            let mut keyspace = Keyspace::new(&self.shards, candidate.db, clock);
            if !keyspace.try_hold(self.shards.index(hash)) {
                return false;
            }
            let is_volatile = candidates == Candidates::Volatile;
            let is_evicted = keyspace.evict(&candidate.key, is_volatile);
            self.serve_ready(&mut keyspace);
            (is_evicted, keyspace.take_leftover())
        };
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
        is_evicted
    }
}

fn weight(choice: Choice, sampled: &Sampled<'_>) -> u64 {
    match choice {
        Choice::LeastRecent => u64::from(sampled.idle),
        Choice::LeastFrequent => u64::from(u8::MAX - sampled.uses),
        Choice::Random => 0,
        Choice::Soonest => u64::MAX - sampled.expires_at.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests;
