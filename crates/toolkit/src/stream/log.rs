//! The stream.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use larder_store::{Command, Error, FromValue, Key, Keys, Script, Store, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::{BODY, Entry, Raw, count};
use super::trim::{Trim, Trimmed};
use super::{Id, keys, script};
use crate::codec;
use crate::stream::twins;

pub(super) static ADD: Script = script!("add.lua").with_twin(twins::add);
pub(super) static ADD_UNIQUE: Script = script!("unique.lua").with_twin(twins::unique);
pub(super) static TRIM: Script = script!("trim.lua").with_twin(twins::trim);

/// A log of values: added at the end, read by anyone, handled by groups of workers. Cloning it is
/// cheap and shares the stream.
pub struct Stream<T> {
    store: Store,
    key: Key,
    trim: Trim,
    bodies: PhantomData<fn() -> T>,
}

/// What [`Stream::add_unique`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Added {
    /// It was added, as this entry.
    New(Id),
    /// What was added under the same name before is still there, and nothing was added.
    Before(Id),
}

impl<T> Stream<T> {
    /// The stream of this name.
    ///
    /// # Panics
    ///
    /// If `trim` is [`Trim::MaxLen`] of zero: such a stream could keep nothing.
    pub fn new(store: &Store, namespace: &str, name: &str, trim: Trim) -> Stream<T> {
        assert!(
            trim != Trim::MaxLen(0),
            "a stream is to keep one entry or more"
        );
        Stream {
            store: store.clone(),
            key: Keys::new(namespace, "stream").of(name),
            trim,
            bodies: PhantomData,
        }
    }

    /// How many entries there are.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn len(&self) -> Result<u64, Error> {
        self.store.run(Command::new("XLEN").arg(&self.key)).await
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Deletes an entry. `false` if it was not there. A group that has it pending skips it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn delete(&self, id: Id) -> Result<bool, Error> {
        let command = Command::new("XDEL").arg(&self.key).arg(id.to_string());
        self.store.run(command).await
    }

    /// Drops the entries that every group has handled, whatever the stream's [`Trim`] is, and says
    /// for whom it kept the rest. Without a group it drops none.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn trim_handled(&self) -> Result<Trimmed, Error> {
        let trimmed = TRIM.on(&self.store).key(self.key.clone()).run().await?;
        let (dropped, kept_for, silence_ms): (u64, String, i64) = trimmed;
        Ok(Trimmed {
            dropped,
            kept_for: (!kept_for.is_empty()).then_some(kept_for),
            silence: u64::try_from(silence_ms).ok().map(Duration::from_millis),
        })
    }

    /// Removes the stream with all that belongs to it: its entries and groups, retries and dead
    /// letters, what is to be added later, and its schedules. Workers that run make their groups
    /// anew, so shut them down before. Two round trips.
    ///
    /// # Errors
    ///
    /// Those of the store. Some of it may be gone then: destroy it again.
    pub async fn destroy(&self) -> Result<(), Error> {
        let ask = |what: &str| Command::new("XINFO").arg(what).arg(&self.key);
        let asked = vec![ask("GROUPS"), ask("CONSUMERS").arg(keys::MARKS)];
        let mut groups = BTreeSet::new();
        for answer in self.store.call_all(asked).await? {
            match answer.and_then(Vec::<HashMap<String, Value>>::from_value) {
                Ok(named) => {
                    for mut one in named {
                        let name = one.remove("name").unwrap_or_default();
                        groups.insert(String::from_value(name)?);
                    }
                }
                // There is no stream, or none that ever had a group.
                Err(error) if error.is_refused() => {}
                Err(error) => return Err(error),
            }
        }
        let of_groups = groups
            .iter()
            .flat_map(|group| keys::GROUP_PARTS.map(|part| keys::of_group(&self.key, part, group)));
        let of_stream = keys::STREAM_PARTS.map(|part| self.key.part(part));
        let unlink = Command::new("UNLINK")
            .arg(&self.key)
            .args(of_stream)
            .args(of_groups);
        self.store.run(unlink).await
    }

    /// The same stream, for those who do not look into its entries.
    pub(super) fn untyped(&self) -> Stream<()> {
        Stream {
            store: self.store.clone(),
            key: self.key.clone(),
            trim: self.trim,
            bodies: PhantomData,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn trim(&self) -> Trim {
        self.trim
    }
}

impl<T: Serialize> Stream<T> {
    /// Adds a value at the end, and says its id. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the value can't be encoded, and then nothing was added; those of the
    /// store. After [`Error::Unanswered`] it may have been added, and adding it again may add it
    /// twice: [`Stream::add_unique`] does not.
    pub async fn add(&self, value: &T) -> Result<Id, Error> {
        let body = codec::encode(value)?;
        let add = Command::new("XADD").arg(&self.key);
        let add = match self.trim {
            // The age goes by the store's clock, which only a script can read in the same step.
            Trim::MaxAge(_) => {
                let call = ADD.on(&self.store).key(self.key.clone()).arg(body);
                let (trim, bound) = self.trim.words();
                return call.arg(trim).arg(bound).run().await;
            }
            Trim::MaxLen(len) => add.arg("MAXLEN").arg("~").arg(count(len)),
            Trim::Never | Trim::Handled => add,
        };
        self.store.run(add.arg("*").arg(BODY).arg(body)).await
    }

    /// Adds a value, unless what was added under this name is still in the stream: not deleted, and
    /// not trimmed, which with [`Trim::Handled`] means not handled. One round trip.
    ///
    /// Adding again what may have been added before, as after [`Error::Unanswered`], is harmless.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the value can't be encoded, and then nothing was added; those of the
    /// store.
    pub async fn add_unique(&self, name: &str, value: &T) -> Result<Added, Error> {
        let (trim, bound) = self.trim.words();
        let call = ADD_UNIQUE
            .on(&self.store)
            .key(self.key.clone())
            .key(self.key.part(keys::UNIQUE))
            .arg(name)
            .arg(codec::encode(value)?);
        let (id, is_new) = call.arg(trim).arg(bound).run().await?;
        Ok(match is_new {
            true => Added::New(id),
            false => Added::Before(id),
        })
    }
}

impl<T: DeserializeOwned> Stream<T> {
    /// Up to `n` of the latest entries, latest first. None for `n` of 0.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn latest(&self, n: usize) -> Result<Vec<Entry<T>>, Error> {
        if n == 0 {
            return Ok(Vec::new());
        }
        Ok(self.latest_raw(n).await?.iter().map(Raw::entry).collect())
    }
}

impl<T> Stream<T> {
    /// The id of the last entry, if there is one.
    pub(super) async fn last(&self) -> Result<Option<Id>, Error> {
        Ok(self.latest_raw(1).await?.first().map(|raw| raw.id))
    }

    async fn latest_raw(&self, n: usize) -> Result<Vec<Raw>, Error> {
        let command = Command::new("XREVRANGE").arg(&self.key).arg("+").arg("-");
        self.store.run(command.arg("COUNT").arg(count(n))).await
    }
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Stream<T> {
        Stream {
            store: self.store.clone(),
            key: self.key.clone(),
            trim: self.trim,
            bodies: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("key", &self.key)
            .field("trim", &self.trim)
            .finish_non_exhaustive()
    }
}
