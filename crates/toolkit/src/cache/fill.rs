//! Loading what is not there.
//!
//! ```text
//! find ── fresh ──────────────────────────────────────────────► the value
//!   └── stale or missing: join the flight to this name
//!         ├── follow: a stale value at once, else wait, and look again
//!         └── lead: ask for the lease, again and again while another process has it
//!               └── granted: read the versions of the tags, load, put ──► the value
//! ```

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Key, Script, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::codec;

use super::access::{Found, lease_of};
use super::entry::Tag;
use super::flight::{Flight, Lead, Outcome, Role, Token};
use super::{Cache, Error, Keep};

static LOOKUP: Script = Script::new(include_str!("lookup.lua"));
static PUT: Script = Script::new(include_str!("put.lua"));
static EXTEND: Script = Script::new(include_str!("extend.lua"));

/// The pauses between two looks for a value that another process loads: the first, and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(100));

/// What [`Cache::get_or_set`] does while the store gives no answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStore {
    /// It loads each value, once for all who wait for it in this process, and keeps none.
    Load {
        /// How many loads run at once; further ones wait for their turn.
        at_once: NonZeroUsize,
    },
    /// It fails.
    Fail,
}

impl Default for WithoutStore {
    /// Loads up to 64 values at once: an outage of the cache is none of the application.
    fn default() -> WithoutStore {
        const AT_ONCE: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");
        WithoutStore::Load { at_once: AT_ONCE }
    }
}

/// Why there is no value, neither cached nor loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The load failed, for this caller or for the one that it waited for.
    #[error("the value was not loaded: {0}")]
    Load(Arc<E>),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] Error),
}

/// How a leader may go on.
enum Turn<T> {
    /// It has the lease.
    Load,
    /// Somebody else has put the value there.
    Found(T),
    /// Somebody else loads it, and has done so for too long.
    Waited,
    /// Somebody else loads it, and there is a stale value to go on with.
    Elsewhere,
}

impl Cache {
    /// The value called `name`, or else what `load` gives, which is then kept for the cache's time
    /// to live and without tags.
    ///
    /// See [`Cache::get_or_set_with`].
    ///
    /// # Errors
    ///
    /// Those of [`Cache::get_or_set_with`].
    pub async fn get_or_set<T, E, F>(
        &self,
        name: &str,
        load: impl FnOnce() -> F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: fmt::Debug + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        self.get_or_set_with(name, &Keep::default(), load).await
    }

    /// The value called `name`, or else what `load` gives, which is then kept.
    ///
    /// Among those who miss the same value at the same time, in all processes, one loads it and the
    /// others wait. An error of `load` is not kept; it goes to those who wait in this process too.
    /// Dropping this while it loads lets somebody else load.
    ///
    /// A hit is one round trip, a load two more; tags make it one more in each case. It needs a
    /// tokio runtime with time.
    ///
    /// # Errors
    ///
    /// [`LoadError::Load`] if `load` failed and there is no stale value, and [`LoadError::Cache`]
    /// if the value can't be encoded, has too many tags, or the store gave no answer and
    /// [`Cache::without_store`] says to fail then.
    pub async fn get_or_set_with<T, E, F>(
        &self,
        name: &str,
        keep: &Keep,
        load: impl FnOnce() -> F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: fmt::Debug + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let key = self.keys.of(name);
        let counters = &self.shared.counters;
        let mut found = self.find(&key).await;
        match &found {
            Ok(Found::Fresh(_)) => counters.hits.one(),
            Ok(Found::Stale { .. }) => counters.stale.one(),
            Ok(Found::Missing { .. }) => counters.misses.one(),
            Err(_) => {}
        }
        let mut give_up = None;
        let mut token = None;
        loop {
            if let Ok(Found::Fresh(value)) = found {
                return Ok(value);
            }
            let give_up = *give_up.get_or_insert_with(|| Instant::now() + self.wait);
            let mut flight = match self.shared.flights.join(name, token) {
                Role::Leader(lead) => {
                    let fill = Fill {
                        cache: self,
                        key: &key,
                        keep,
                        give_up,
                    };
                    return fill.lead(lead, found, load).await;
                }
                Role::Follower(flight) => flight,
            };
            if let Ok(Found::Stale { value, .. }) = found {
                return Ok(value);
            }
            counters.waits.one();
            match self.follow(&mut flight, give_up).await {
                Followed::LookAgain => {}
                Followed::TakeOver => token = Some(flight.token),
                Followed::Value(value) => return Ok(value),
                Followed::Failed(error) => return Err(LoadError::Load(error)),
                Followed::LoadAlone => return self.load_alone(load).await,
            }
            found = self.find(&key).await;
        }
    }

    /// Waits for what somebody else in this process loads.
    async fn follow<T: DeserializeOwned, E: Send + Sync + 'static>(
        &self,
        flight: &mut Flight,
        give_up: Instant,
    ) -> Followed<T, E> {
        let Ok(outcome) = tokio::time::timeout_at(give_up, flight.end()).await else {
            return Followed::LoadAlone;
        };
        match outcome {
            Outcome::Flying | Outcome::LookAgain => Followed::LookAgain,
            Outcome::Cancelled => Followed::TakeOver,
            // Whoever loads another type under the same name has to do so alone.
            Outcome::Value(bytes) => match codec::decode(&bytes) {
                Ok(value) => Followed::Value(value),
                Err(_) => Followed::LoadAlone,
            },
            Outcome::Failed(error) => match error.downcast() {
                Ok(error) => Followed::Failed(error),
                Err(_) => Followed::LoadAlone,
            },
        }
    }

    /// Loads a value for this caller only.
    async fn load_alone<T, E, F>(&self, load: impl FnOnce() -> F) -> Result<T, LoadError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let loaded = load().await;
        self.count_load(&loaded);
        loaded.map_err(|error| LoadError::Load(Arc::new(error)))
    }

    fn count_load<T, E>(&self, loaded: &Result<T, E>) {
        self.shared.counters.loads.one();
        if loaded.is_err() {
            self.shared.counters.load_failures.one();
        }
    }
}

/// What waiting for somebody else came to.
enum Followed<T, E> {
    LookAgain,
    TakeOver,
    LoadAlone,
    Value(T),
    Failed(Arc<E>),
}

/// One attempt to fill an entry, by the leader of this process.
struct Fill<'a> {
    cache: &'a Cache,
    key: &'a Key,
    keep: &'a Keep,
    give_up: Instant,
}

impl Fill<'_> {
    /// Gets the value one way or another. `found` is not fresh.
    async fn lead<T, E, F>(
        &self,
        lead: Lead<'_>,
        found: Result<Found<T>, Error>,
        load: impl FnOnce() -> F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: fmt::Debug + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let (stale, head) = match found {
            Ok(Found::Stale { value, head }) => (Some(value), head),
            Ok(Found::Missing { head }) => (None, head),
            Ok(Found::Fresh(value)) => return Ok(value),
            Err(error) => return self.without_store(lead, None, error, load).await,
        };
        let turn = self.turn(&lead.token, head, stale.is_some()).await;
        match (turn, stale) {
            (Ok(Turn::Load), stale) => self.load(lead, stale, load).await,
            (Ok(Turn::Found(value)), _) | (Ok(Turn::Elsewhere), Some(value)) => {
                lead.end(Outcome::LookAgain);
                Ok(value)
            }
            (Ok(Turn::Waited | Turn::Elsewhere), _) => {
                drop(lead);
                self.cache.load_alone(load).await
            }
            (Err(error), stale) => self.without_store(lead, stale, error, load).await,
        }
    }

    /// Asks for the lease until it is granted, or not needed any more.
    async fn turn<T: DeserializeOwned>(
        &self,
        token: &Token,
        mut head: Bytes,
        has_stale: bool,
    ) -> Result<Turn<T>, Error> {
        let (mut pause, longest) = POLL;
        let mut has_waited = false;
        loop {
            let lookup = LOOKUP.on(&self.cache.store).key(self.key.clone());
            let lookup = lookup.key(lease_of(self.key)).arg(token);
            let (answer, entry): (u32, Bytes) =
                lookup.arg(self.cache.lease).arg(&head).run().await?;
            match answer {
                2 => match self
                    .cache
                    .examine((self.key, Value::Bytes(entry)), None)
                    .await?
                {
                    Found::Fresh(value) => return Ok(Turn::Found(value)),
                    Found::Stale { head: other, .. } | Found::Missing { head: other } => {
                        head = other;
                        continue;
                    }
                },
                1 => return Ok(Turn::Load),
                _ if has_stale => return Ok(Turn::Elsewhere),
                _ if Instant::now() >= self.give_up => return Ok(Turn::Waited),
                _ => {}
            }
            if !std::mem::replace(&mut has_waited, true) {
                self.cache.shared.counters.waits.one();
            }
            let jittered = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::time::sleep(jittered).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Loads and puts, with the lease in hand.
    async fn load<T, E, F>(
        &self,
        lead: Lead<'_>,
        stale: Option<T>,
        load: impl FnOnce() -> F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: fmt::Debug + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        // Before the load: what changes from here on must make its result invalid.
        let tags = match self.cache.current_versions(self.keep).await {
            Ok(tags) => tags,
            Err(error) => return self.without_store(lead, stale, error.into(), load).await,
        };
        let loaded = self.while_extending(&lead.token, load()).await;
        self.cache.count_load(&loaded);
        let value = match loaded {
            Ok(value) => value,
            Err(error) => return self.load_failed(lead, stale, error).await,
        };
        match self.write(&lead.token, &value, tags).await {
            Ok(outcome) => {
                lead.end(outcome);
                Ok(value)
            }
            Err(error) => {
                self.give_back(&lead.token).await;
                Err(error.into())
            }
        }
    }

    /// Puts a value that was loaded, encoded. Answers what those who wait are told.
    async fn write<T: Serialize>(
        &self,
        token: &Token,
        value: &T,
        tags: Vec<Tag>,
    ) -> Result<Outcome, Error> {
        let counters = &self.cache.shared.counters;
        let encoded = codec::encode(value)?;
        let packed = match self.cache.pack(&encoded, tags, self.keep) {
            Err(Error::TooLarge { len, max }) => {
                tracing::warn!(key = %self.key, len, max, "a value is too large to be cached");
                counters.too_large.one();
                self.give_back(token).await;
                return Ok(Outcome::Value(encoded));
            }
            packed => packed?,
        };
        Ok(match self.put(token, packed.bytes, packed.ttl_ms).await {
            Ok(true) => Outcome::LookAgain,
            Ok(false) => {
                // The value may be older than what those who wait may be given.
                counters.refused.one();
                Outcome::LookAgain
            }
            Err(error) => {
                tracing::warn!(key = %self.key, %error, "a value was not cached");
                counters.without_store.one();
                Outcome::Value(encoded)
            }
        })
    }

    /// What a load that failed comes to. With a stale value the lease stays: nobody tries again
    /// before it is over.
    async fn load_failed<T, E: fmt::Debug + Send + Sync + 'static>(
        &self,
        lead: Lead<'_>,
        stale: Option<T>,
        error: E,
    ) -> Result<T, LoadError<E>> {
        let error = Arc::new(error);
        let Some(value) = stale else {
            self.give_back(&lead.token).await;
            lead.end(Outcome::Failed(error.clone()));
            return Err(LoadError::Load(error));
        };
        tracing::warn!(key = %self.key, ?error, "a stale value was given out");
        lead.end(Outcome::LookAgain);
        Ok(value)
    }

    /// Gets the value although the store gave no answer, if that is wanted.
    async fn without_store<T, E, F>(
        &self,
        lead: Lead<'_>,
        stale: Option<T>,
        error: Error,
        load: impl FnOnce() -> F,
    ) -> Result<T, LoadError<E>>
    where
        T: Serialize,
        E: fmt::Debug + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        if let Some(value) = stale {
            return Ok(value);
        }
        if self.cache.without_store == WithoutStore::Fail {
            return Err(error.into());
        }
        self.cache.shared.counters.without_store.one();
        tracing::warn!(key = %self.key, %error, "a value is loaded without the cache");
        let turn = self.cache.shared.loads.acquire().await;
        let loaded = load().await;
        drop(turn);
        self.cache.count_load(&loaded);
        match loaded {
            Ok(value) => {
                let encoded = codec::encode(&value).map_err(Error::from)?;
                lead.end(Outcome::Value(encoded));
                Ok(value)
            }
            Err(error) => {
                let error = Arc::new(error);
                lead.end(Outcome::Failed(error.clone()));
                Err(LoadError::Load(error))
            }
        }
    }

    /// Does `work`, and extends the lease meanwhile.
    async fn while_extending<R>(&self, token: &Token, work: impl Future<Output = R>) -> R {
        let extending = async {
            loop {
                tokio::time::sleep(self.cache.lease / 3).await;
                // If the lease is lost, or the store is, `put` will tell.
                let _ = self.extend(token, self.cache.lease).await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = extending => unreachable!("it has no end"),
        }
    }

    async fn give_back(&self, token: &Token) {
        // If no answer comes, the lease ends by itself.
        let _ = self.extend(token, Duration::ZERO).await;
    }

    async fn extend(&self, token: &Token, lease: Duration) -> Result<bool, larder_store::Error> {
        let extend = EXTEND.on(&self.cache.store).key(lease_of(self.key));
        extend.arg(token).arg(lease).run().await
    }

    async fn put(
        &self,
        token: &Token,
        entry: Bytes,
        ttl_ms: Option<u64>,
    ) -> Result<bool, larder_store::Error> {
        let put = PUT.on(&self.cache.store).key(self.key.clone());
        let put = put.key(lease_of(self.key)).arg(token).arg(entry);
        put.arg(ttl_ms.unwrap_or(0)).run().await
    }
}
