//! A cache, and everything but loading.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use larder_store::{Command, FromValue, Key, Keys, Script, Store, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::codec::{self, EncodeError};
use crate::{Ttl, ttl};

use super::entry::{Entry, Tag, head};
use super::fill::WithoutStore;
use super::flight::Flights;
use super::stats::Counters;
use super::{Keep, Stats};

static TAG: Script = Script::new(include_str!("tag.lua"));
static BUMP: Script = Script::new(include_str!("bump.lua"));

/// How many loads run at once while the store gives no answers, if nobody says otherwise.
const LOADS_WITHOUT_STORE: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// Why a value was not cached, or not looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value can't be written as bytes. Nothing was changed.
    #[error(transparent)]
    Encode(#[from] EncodeError),

    /// The value is larger than [`Cache::max_len`] allows. Nothing was changed.
    #[error("the value takes {len} bytes, and at most {max} are kept")]
    TooLarge {
        /// The length of the value, encoded.
        len: usize,
        /// The most that is allowed.
        max: usize,
    },

    /// An entry has at most 255 tags of at most 65,535 bytes. Nothing was changed.
    #[error("an entry has at most 255 tags of at most 65,535 bytes")]
    Tags,

    /// The store gave no answer. What was asked of it may have happened.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// Values of a namespace that can be had again, kept for a time. Cloning it is cheap and shares it.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(super) store: Store,
    pub(super) keys: Keys,
    tag_keys: Keys,
    ttl: Ttl,
    grace: Duration,
    pub(super) lease: Duration,
    pub(super) wait: Duration,
    max_len: usize,
    pub(super) without_store: WithoutStore,
    pub(super) shared: Arc<Shared>,
}

/// What the clones of a cache share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) flights: Flights,
    pub(super) counters: Counters,
    /// The loads that may run at once while the store gives no answers.
    pub(super) loads: Semaphore,
}

/// What was found under a name.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// A value in its time.
    Fresh(T),
    /// A value past its time. `head` tells its entry from others.
    Stale { value: T, head: Bytes },
    /// Nothing that can be used; `head` is empty if there was nothing at all.
    Missing { head: Bytes },
}

/// An entry on its way to the store.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Bytes,
    /// `None` for no end.
    pub(super) ttl_ms: Option<u64>,
}

impl Cache {
    /// The size of a value above which it is not kept, unless [`Cache::max_len`] says otherwise:
    /// a large value holds up everyone who shares the store.
    pub const MAX_LEN: usize = 100 * 1024;

    /// A cache in this namespace, whose entries are kept for `ttl` where nothing else is said.
    pub fn new(store: &Store, namespace: &str, ttl: Ttl) -> Cache {
        Cache {
            store: store.clone(),
            keys: Keys::new(namespace, "cache"),
            tag_keys: Keys::new(namespace, "cache-tag"),
            ttl,
            grace: Duration::ZERO,
            lease: Duration::from_secs(3),
            wait: Duration::from_secs(30),
            max_len: Cache::MAX_LEN,
            without_store: WithoutStore::default(),
            shared: Arc::new(Shared {
                flights: Flights::default(),
                counters: Counters::default(),
                loads: Semaphore::new(LOADS_WITHOUT_STORE.get()),
            }),
        }
    }

    /// Keeps values for this long past their time. [`Cache::get_or_set`] gives such a stale value
    /// to everyone but the one who loads a new one, and to that one too if it can't be loaded; the
    /// next attempt is made a lease later. [`Cache::get`] does not see it. None by default.
    ///
    /// Deleted and invalidated values are gone, and never given out as stale.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Cache {
        self.grace = grace.min(Ttl::MAX);
        self
    }

    /// How long other processes take a loader for alive that is not heard of, 3 seconds by default
    /// and at least 10 milliseconds. Loading may take longer: the lease is extended meanwhile.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Cache {
        self.lease = lease.clamp(Duration::from_millis(10), Duration::from_secs(3600));
        self
    }

    /// How long a caller waits for a value that somebody else loads, 30 seconds by default. After
    /// that it loads the value for itself, and does not cache it.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Cache {
        // More than can be added to an instant would be a panic.
        self.wait = wait.min(Ttl::MAX);
        self
    }

    /// The largest value that is kept, in bytes as encoded: [`Cache::MAX_LEN`] by default. A value
    /// that was loaded and is larger is given to those who wait for it, and counted.
    #[must_use]
    pub fn max_len(mut self, bytes: usize) -> Cache {
        self.max_len = bytes;
        self
    }

    /// What [`Cache::get_or_set`] does while the store gives no answers: load by default.
    ///
    /// This begins the counters anew, and is shared with clones that are made after it.
    #[must_use]
    pub fn without_store(mut self, policy: WithoutStore) -> Cache {
        let loads = match policy {
            WithoutStore::Load { at_once } => at_once.get().min(Semaphore::MAX_PERMITS),
            WithoutStore::Fail => 0,
        };
        self.without_store = policy;
        self.shared = Arc::new(Shared {
            flights: Flights::default(),
            counters: Counters::default(),
            loads: Semaphore::new(loads),
        });
        self
    }

    /// The value called `name`, if there is one that is a `T`.
    ///
    /// One round trip, and another if the entry has tags.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer.
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let found = self.find(&self.keys.of(name)).await?;
        Ok(self.counted(found))
    }

    /// Keeps a value, in place of what there was, for the cache's time to live and without tags.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] and [`Error::TooLarge`]; [`Error::Store`] if the store gave no answer, in
    /// which case the old value may still be there.
    pub async fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        self.set_with(name, value, &Keep::default()).await
    }

    /// Keeps a value, in place of what there was, with its tags too.
    ///
    /// One round trip, and another if it has tags. If a tag is invalidated after the value was
    /// found out and before this is called, this does not know: [`Cache::get_or_set_with`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::set`], and [`Error::Tags`].
    pub async fn set_with<T: Serialize + ?Sized>(
        &self,
        name: &str,
        value: &T,
        keep: &Keep,
    ) -> Result<(), Error> {
        let value = codec::encode(value)?;
        let tags = self.current_versions(keep).await?;
        let packed = self.pack(&value, tags, keep)?;
        self.shared.flights.forget(name);
        let commands = self.set_commands(&self.keys.of(name), &packed);
        for answer in self.store.call_all(commands.into()).await? {
            answer?;
        }
        Ok(())
    }

    /// Forgets a value. `false` if there was none. Loads that are under way are not kept.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer; the value may then be there or not.
    pub async fn delete(&self, name: &str) -> Result<bool, Error> {
        let deleted = self.delete_many([name]).await;
        deleted.into_iter().next().unwrap_or(Ok(false))
    }

    /// Forgets values, each for itself. `false` in the places of those that were not there. Loads
    /// that are under way are not kept.
    ///
    /// One round trip; none for no names.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] in the places of those values for which the store gave no answer; they may
    /// then be there or not.
    pub async fn delete_many<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Vec<Result<bool, Error>> {
        let mut commands = Vec::new();
        for name in names {
            self.shared.flights.forget(name.as_ref());
            let key = self.keys.of(name.as_ref());
            // The lease goes first: whoever gets it after that loads what is true now.
            commands.push(Command::new("UNLINK").arg(lease_of(&key)));
            commands.push(Command::new("UNLINK").arg(&key));
        }
        let count = commands.len() / 2;
        let answers = match self.store.call_all(commands).await {
            Ok(answers) => answers,
            Err(error) => return (0..count).map(|_| Err(error.clone().into())).collect(),
        };
        { answers.into_iter().skip(1).step_by(2) }
            .map(|answer| Ok(bool::from_value(answer?)?))
            .collect()
    }

    /// The values called `names`, in that order, each for itself.
    ///
    /// One round trip, and another if there are entries with tags; none for no names.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] in the places of those values for which the store gave no answer.
    pub async fn get_many<T: DeserializeOwned, S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Vec<Result<Option<T>, Error>> {
        let keys: Vec<Key> = { names.into_iter() }
            .map(|name| self.keys.of(name.as_ref()))
            .collect();
        let entries = match self.read_many(&keys).await {
            Ok(entries) => entries,
            Err(error) => return keys.iter().map(|_| Err(error.clone().into())).collect(),
        };
        // Those with tags wait for theirs at the same time.
        join_all(entries.into_iter().map(async |answer| {
            let (entry, left_ms) = answer?;
            Ok(self.counted(self.examine(entry, left_ms).await?))
        }))
        .await
    }

    /// Keeps values, each in place of what there was, in that order and each for itself.
    ///
    /// One round trip, and another if `keep` has tags; none for no values.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::set_with`], in the places of those values that were not kept.
    pub async fn set_many<T: Serialize, S: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = (S, T)>,
        keep: &Keep,
    ) -> Vec<Result<(), Error>> {
        let values: Vec<(S, T)> = values.into_iter().collect();
        if values.is_empty() {
            return Vec::new();
        }
        let tags = match self.current_versions(keep).await {
            Ok(tags) => tags,
            Err(error) => return values.iter().map(|_| Err(error.clone().into())).collect(),
        };
        let packed: Vec<Result<Packed, Error>> = { values.iter() }
            .map(|(_, value)| self.pack(&codec::encode(value)?, tags.clone(), keep))
            .collect();
        let commands = { values.iter().zip(&packed) }
            .filter_map(|((name, _), packed)| Some((name.as_ref(), packed.as_ref().ok()?)))
            .flat_map(|(name, packed)| {
                self.shared.flights.forget(name);
                self.set_commands(&self.keys.of(name), packed)
            })
            .collect();
        let answers = self.store.call_all(commands).await;
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                return packed
                    .into_iter()
                    .map(|_| Err(error.clone().into()))
                    .collect();
            }
        };
        let mut answer = || match answers.next() {
            Some(answer) => answer.map(drop).map_err(Error::from),
            None => Err(larder_store::Error::unanswered("fewer answers than commands").into()),
        };
        { packed.into_iter() }
            .map(|packed| {
                packed?;
                let (lease_gone, set) = (answer(), answer());
                lease_gone.and(set)
            })
            .collect()
    }

    /// Forgets every value that has one of these tags. Loads that are under way are not kept
    /// under a tag that they began with.
    ///
    /// One round trip, however many values there are: the tags change their versions, and what was
    /// made under the old ones is not used and expires.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer; each of the tags may then be invalidated or
    /// not. It is safe to do it again.
    pub async fn invalidate_tags<S: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = S>,
    ) -> Result<(), Error> {
        // Loads that began before this may serve only those who were waiting before it.
        self.shared.flights.forget_all();
        let bumps = tags.into_iter().map(|tag| {
            let bump = BUMP.on(&self.store).key(self.tag_keys.of(tag.as_ref()));
            bump.run::<bool>()
        });
        for bumped in join_all(bumps).await {
            bumped?;
        }
        Ok(())
    }

    /// What this cache and its clones have done.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// What there is under a key.
    pub(super) async fn find<T: DeserializeOwned>(&self, key: &Key) -> Result<Found<T>, Error> {
        if self.grace.is_zero() {
            let entry = self.store.call(Command::new("GET").arg(key)).await?;
            return self.examine((key, entry), None).await;
        }
        let keys = std::slice::from_ref(key);
        let Some(answer) = self.read_many(keys).await?.pop() else {
            return Ok(Found::Missing { head: Bytes::new() });
        };
        let (entry, left_ms) = answer?;
        self.examine(entry, left_ms).await
    }

    /// Reads entries, with the time that is left to them where this cache has a grace.
    async fn read_many<'k>(
        &self,
        keys: &'k [Key],
    ) -> Result<Vec<Result<((&'k Key, Value), Option<i64>), Error>>, larder_store::Error> {
        let with_grace = !self.grace.is_zero();
        let names: &[&str] = if with_grace {
            &["GET", "PTTL"]
        } else {
            &["GET"]
        };
        let commands = { keys.iter() }
            .flat_map(|key| names.iter().map(move |name| Command::new(name).arg(key)))
            .collect();
        let mut answers = self.store.call_all(commands).await?.into_iter();
        let mut answer = || answers.next().unwrap_or(Ok(Value::Null));
        Ok({ keys.iter() }
            .map(|key| {
                let entry = answer();
                let left_ms = with_grace.then(&mut answer);
                let left_ms = left_ms.transpose()?.map(i64::from_value).transpose()?;
                Ok(((key, entry?), left_ms))
            })
            .collect())
    }

    /// Says what an entry is good for.
    pub(super) async fn examine<T: DeserializeOwned>(
        &self,
        (key, entry): (&Key, Value),
        left_ms: Option<i64>,
    ) -> Result<Found<T>, Error> {
        let Some(bytes) = Option::<Bytes>::from_value(entry)? else {
            return Ok(Found::Missing { head: Bytes::new() });
        };
        let parsed = Entry::from_bytes(&bytes)
            .and_then(|entry| Some((codec::decode(entry.value).ok()?, entry)));
        let Some((value, entry)) = parsed else {
            self.shared.counters.undecodable.one();
            return Ok(Found::Missing { head: head(&bytes) });
        };
        if !entry.tags.is_empty() && !self.are_current(&entry.tags).await? {
            return Ok(Found::Missing { head: head(&bytes) });
        }
        Ok(match self.is_stale(key, &entry, left_ms).await? {
            true => Found::Stale {
                value,
                head: head(&bytes),
            },
            false => Found::Fresh(value),
        })
    }

    /// Whether no tag has changed since the entry was made.
    async fn are_current(&self, tags: &[Tag]) -> Result<bool, Error> {
        let commands = { tags.iter() }
            .map(|tag| Command::new("GET").arg(self.tag_keys.of(&tag.name)))
            .collect();
        let versions = self.store.call_all(commands).await?;
        for (tag, version) in tags.iter().zip(versions) {
            if Option::<u64>::from_value(version?)? != Some(tag.version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the entry has come to its grace, which is the end of its time in the store.
    async fn is_stale(
        &self,
        key: &Key,
        entry: &Entry<'_>,
        left_ms: Option<i64>,
    ) -> Result<bool, Error> {
        if entry.grace_ms == 0 {
            return Ok(false);
        }
        let left_ms = match left_ms {
            Some(left_ms) => left_ms,
            // A cache without a grace meets the entry of one that has it.
            None => self.store.run(Command::new("PTTL").arg(key)).await?,
        };
        // -1 is no end, -2 is gone meanwhile.
        Ok(left_ms != -1 && left_ms <= i64::try_from(entry.grace_ms).unwrap_or(i64::MAX))
    }

    /// The versions of the tags that an entry is going to have.
    pub(super) async fn current_versions(
        &self,
        keep: &Keep,
    ) -> Result<Vec<Tag>, larder_store::Error> {
        let kept_ms = self.kept_ms(keep).unwrap_or(0);
        let versions = keep.tags.iter().map(async |name| {
            let version = TAG.on(&self.store).key(self.tag_keys.of(name)).arg(kept_ms);
            Ok(Tag {
                name: name.clone(),
                version: version.run().await?,
            })
        });
        join_all(versions).await.into_iter().collect()
    }

    /// Makes an entry of an encoded value.
    pub(super) fn pack(&self, value: &[u8], tags: Vec<Tag>, keep: &Keep) -> Result<Packed, Error> {
        if value.len() > self.max_len {
            return Err(Error::TooLarge {
                len: value.len(),
                max: self.max_len,
            });
        }
        let ttl_ms = keep.ttl.unwrap_or(self.ttl).draw_ms();
        let grace_ms = ttl::to_ms(self.grace);
        let entry = Entry {
            // What never ends is never past its time.
            grace_ms: if ttl_ms.is_some() { grace_ms } else { 0 },
            tags,
            value,
        };
        Ok(Packed {
            bytes: entry.to_bytes().ok_or(Error::Tags)?,
            ttl_ms: ttl_ms.map(|ms| ms + grace_ms),
        })
    }

    /// The longest that an entry may be in the store, in milliseconds, or `None` for no end.
    fn kept_ms(&self, keep: &Keep) -> Option<u64> {
        let ttl = keep.ttl.unwrap_or(self.ttl).max()?;
        Some(ttl::to_ms(ttl) + ttl::to_ms(self.grace))
    }

    /// Writes an entry, whoever fills it. The lease goes first: whoever gets it after that loads
    /// what is true now, and so may write over this.
    fn set_commands(&self, key: &Key, packed: &Packed) -> [Command; 2] {
        let mut set = Command::new("SET").arg(key).arg(&packed.bytes);
        if let Some(ttl_ms) = packed.ttl_ms {
            set = set.arg("PX").arg(ttl_ms);
        }
        [Command::new("UNLINK").arg(lease_of(key)), set]
    }

    fn counted<T>(&self, found: Found<T>) -> Option<T> {
        match found {
            Found::Fresh(value) => {
                self.shared.counters.hits.one();
                Some(value)
            }
            Found::Stale { .. } | Found::Missing { .. } => {
                self.shared.counters.misses.one();
                None
            }
        }
    }
}

/// The key that says who loads the value of an entry.
pub(super) fn lease_of(key: &Key) -> Key {
    key.part("lease")
}
