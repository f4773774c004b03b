//! Looking for values.

use bytes::Bytes;
use larder_store::{Command, Error, FromValue, Key, Value};
use serde::de::DeserializeOwned;

use crate::codec;

use super::entry::{Entry, Tag, Version};
use super::found::{Found, Seen};
use super::settings::Cache;
use super::versions::{Current, are_current};

/// How many names go to the store at once: a longer list would hold up everyone who shares it.
pub(super) const CHUNK: usize = 1000;

/// What a look brings from the store.
#[derive(Debug)]
struct Read {
    era: Option<Version>,
    /// Empty if there is no entry.
    bytes: Bytes,
    /// The time that is left to the entry, if it was asked for: -1 for no end, -2 if it is gone.
    left_ms: Option<i64>,
}

/// How much of its time an entry has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Due,
    Stale,
}

impl<T: DeserializeOwned> Cache<T> {
    /// The value called `name`, if there is one.
    ///
    /// One round trip, and another if the entry has tags.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn get(&self, name: &str) -> Result<Option<T>, Error> {
        Ok(self.counted(self.look(&self.shared.keys.of(name)).await?))
    }

    /// The values called `names`, in that order, each for itself.
    ///
    /// One round trip for a thousand names, and another if there are entries with tags; none for no names.
    ///
    /// # Errors
    ///
    /// Those of the store, in the places of those values for which it gave no answer.
    pub async fn get_many<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Vec<Result<Option<T>, Error>> {
        let keys: Vec<Key> = (names.into_iter())
            .map(|name| self.shared.keys.of(name.as_ref()))
            .collect();
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            match self.look_at_many(keys).await {
                Ok(found) => values.extend(found.into_iter().map(|found| Ok(self.counted(found?)))),
                Err(error) => values.extend(keys.iter().map(|_| Err(error.clone()))),
            }
        }
        values
    }

    /// What there is under a key.
    pub(super) async fn look(&self, key: &Key) -> Result<Found<T>, Error> {
        let read = match self.asks_for_time() {
            true => match self.read(std::slice::from_ref(key)).await?.pop() {
                Some(read) => read?,
                None => return Err(Error::unanswered("fewer answers than commands")),
            },
            false => {
                // Two questions side by side, in one round trip: in the process each has a short road.
                let store = &self.shared.store;
                let (era, bytes) = tokio::join!(store.get(&self.shared.era_key), store.get(key));
                Read {
                    era: to_era(era?.as_deref()),
                    bytes: bytes?.unwrap_or_default(),
                    left_ms: None,
                }
            }
        };
        let current = match Entry::from_bytes(&read.bytes) {
            Some(entry) if !entry.tags.is_empty() => self.current(entry.tags.iter()).await?,
            _ => Current::new(),
        };
        self.examine(key, read, &current).await
    }

    /// [`Cache::look`] at each of these keys. A tag that several entries have is asked for once.
    pub(super) async fn look_at_many(
        &self,
        keys: &[Key],
    ) -> Result<Vec<Result<Found<T>, Error>>, Error> {
        let read = self.read(keys).await?;
        let tags: Vec<Tag> = (read.iter())
            .filter_map(|read| Entry::from_bytes(&read.as_ref().ok()?.bytes))
            .flat_map(|entry| entry.tags)
            .collect();
        let current = self.current(tags.iter()).await?;
        let mut found = Vec::with_capacity(keys.len());
        for (key, read) in keys.iter().zip(read) {
            found.push(match read {
                Ok(read) => self.examine(key, read, &current).await,
                Err(error) => Err(error),
            });
        }
        Ok(found)
    }

    /// Reads entries in one round trip, with the time that is left to them where that is wanted.
    async fn read(&self, keys: &[Key]) -> Result<Vec<Result<Read, Error>>, Error> {
        let names: &[&str] = match self.asks_for_time() {
            true => &["GET", "PTTL"],
            false => &["GET"],
        };
        let era = Command::new("GET").arg(&self.shared.era_key);
        let entries =
            (keys.iter()).flat_map(|key| names.iter().map(move |name| Command::new(name).arg(key)));
        let commands = std::iter::once(era).chain(entries).collect();
        let mut answers = self.shared.store.call_all(commands).await?.into_iter();
        let mut answer = || answers.next().unwrap_or(Ok(Value::Null));
        let era = to_era(Option::<Bytes>::from_value(answer()?)?.as_deref());
        let read = keys.iter().map(|_| {
            let (entry, left) = (answer(), (names.len() > 1).then(&mut answer));
            Ok(Read {
                era,
                bytes: Option::from_value(entry?)?.unwrap_or_default(),
                left_ms: left.map(|left| i64::from_value(left?)).transpose()?,
            })
        });
        Ok(read.collect())
    }

    /// Says what an entry is good for.
    async fn examine(&self, key: &Key, read: Read, current: &Current) -> Result<Found<T>, Error> {
        let Read {
            era,
            bytes,
            left_ms,
        } = read;
        let no = |bytes| {
            Found::No(Seen {
                stale: None,
                bytes,
                era,
            })
        };
        if bytes.is_empty() {
            return Ok(no(bytes));
        }
        let Some(entry) = Entry::from_bytes(&bytes) else {
            self.shared.counters.undecodable.one();
            return Ok(no(bytes));
        };
        if era != Some(entry.era) || !are_current(&entry.tags, current) {
            return Ok(no(bytes));
        }
        let age = self.age(key, &entry, left_ms).await?;
        let Ok(value) = codec::decode(entry.value) else {
            self.shared.counters.undecodable.one();
            return Ok(no(bytes));
        };
        Ok(match age {
            Age::Fresh => Found::Fresh(value),
            Age::Due => Found::Due(
                value,
                Seen {
                    stale: None,
                    bytes,
                    era,
                },
            ),
            Age::Stale => Found::No(Seen {
                stale: Some(value),
                bytes,
                era,
            }),
        })
    }

    /// How far an entry has come.
    async fn age(&self, key: &Key, entry: &Entry<'_>, left_ms: Option<i64>) -> Result<Age, Error> {
        let left_ms = match left_ms {
            Some(left_ms) => left_ms,
            None if entry.grace_ms == 0 => return Ok(Age::Fresh),
            // A cache without a grace meets the entry of one that has it.
            None => self.shared.store.run(Command::new("PTTL").arg(key)).await?,
        };
        // An entry that is gone meanwhile is as old as can be, and one without an end never ages.
        let left_ms = match left_ms {
            -1 => u64::MAX,
            left_ms => u64::try_from(left_ms).unwrap_or(0),
        };
        Ok(match left_ms {
            left_ms if entry.grace_ms > 0 && left_ms <= entry.grace_ms => Age::Stale,
            left_ms if left_ms <= entry.grace_ms.saturating_add(entry.ahead_ms) => Age::Due,
            _ => Age::Fresh,
        })
    }

    fn asks_for_time(&self) -> bool {
        !self.settings.grace.is_zero() || self.settings.ahead_percent > 0
    }

    fn counted(&self, found: Found<T>) -> Option<T> {
        let counters = &self.shared.counters;
        match found {
            Found::Fresh(value) | Found::Due(value, _) => {
                counters.hits.one();
                Some(value)
            }
            Found::No(_) => {
                counters.misses.one();
                None
            }
        }
    }
}

/// The version of the namespace. One that is none is taken for another than any entry has.
fn to_era(bytes: Option<&[u8]>) -> Option<Version> {
    bytes?.try_into().ok()
}

/// The value in an entry that was found good before.
pub(super) fn value_of<T: DeserializeOwned>(entry: &[u8]) -> Option<T> {
    codec::decode(Entry::from_bytes(entry)?.value).ok()
}
