//! The stream.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use larder_store::{Command, FromValue, Key, Keys, Script, Store, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::{BODY, Entry, Raw, count};
use super::{Cursor, Group, Id};
use crate::codec::{self, EncodeError};

static ADD: Script = Script::new(include_str!("add.lua"));
static TRIM: Script = Script::new(include_str!("trim.lua"));

/// Why a stream did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value can't be encoded. Nothing was added.
    #[error(transparent)]
    Encode(#[from] EncodeError),

    /// The stream has no group of this name.
    #[error("the stream has no group {group:?}")]
    NoGroup {
        /// The name.
        group: String,
    },

    /// A worker can't work like this. Nothing was begun.
    #[error("{setting} may be {range}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it may be.
        range: &'static str,
    },

    /// The store gave no answer. What was asked of it may have happened.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first entry that is still there.
    Earliest,
    /// With what is added from now on.
    Latest,
    /// With the first entry after this one.
    After(Id),
}

/// Which entries a stream forgets. There is no default: one kind of stream fills the memory, and
/// the others lose what nobody has read; which of these is right only its owner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// None, until somebody deletes them.
    Never,
    /// Those that every group has handled. Workers do it now and then, and
    /// [`Stream::trim_handled`] does it at once. A stream without a group loses nothing.
    Handled,
    /// The oldest, when there are more than about this many, handled or not. There may be some
    /// more, never fewer.
    MaxLen(NonZeroU64),
    /// Those that are older than about this, handled or not, whenever an entry is added. Some may
    /// stay longer.
    MaxAge(Duration),
}

/// A log of values: added at the end, read by anyone, handled by groups of workers. Cloning it is
/// cheap and shares the stream.
pub struct Stream<T> {
    store: Store,
    key: Key,
    trim: Trim,
    bodies: PhantomData<fn() -> T>,
}

impl<T> Stream<T> {
    /// The stream of this name.
    pub fn new(store: &Store, namespace: &str, name: &str, trim: Trim) -> Stream<T> {
        Stream {
            store: store.clone(),
            key: Keys::new(namespace, "stream").of(name),
            trim,
            bodies: PhantomData,
        }
    }

    /// A group of workers, each entry for one of them. A new group begins at `start`; it is made by
    /// [`Group::create`] or by its first worker.
    pub fn group(&self, name: &str, start: Start) -> Group<T> {
        Group::new(self.clone(), name, start)
    }

    /// How many entries there are.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn len(&self) -> Result<u64, Error> {
        Ok(self.store.run(Command::new("XLEN").arg(&self.key)).await?)
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Deletes an entry. `false` if it was not there. A group that has it pending skips it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn delete(&self, id: Id) -> Result<bool, Error> {
        let command = Command::new("XDEL").arg(&self.key).arg(id.to_string());
        Ok(self.store.run(command).await?)
    }

    /// Drops the entries that every group has handled, whatever the stream's [`Trim`] is, and says
    /// how many. Without a group, none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn trim_handled(&self) -> Result<u64, Error> {
        Ok(TRIM.on(&self.store).key(self.key.clone()).run().await?)
    }

    /// The largest id that an entry ever had. `None` if there is no stream.
    pub(super) async fn last_generated(&self) -> Result<Option<Id>, Error> {
        let command = Command::new("XINFO").arg("STREAM").arg(&self.key);
        let answer: Result<HashMap<String, Value>, _> = self.store.run(command).await;
        match answer {
            Ok(mut info) => {
                let id = info.remove("last-generated-id").unwrap_or_default();
                Ok(Some(FromValue::from_value(id)?))
            }
            Err(error) if error.is_refusal("ERR") => Ok(None),
            Err(error) => Err(error.into()),
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
    /// [`Error::Encode`] and [`Error::Store`]. After [`larder_store::Error::Unanswered`] it may
    /// have been added, and a retry may add it twice.
    pub async fn add(&self, value: &T) -> Result<Id, Error> {
        let body = codec::encode(value)?;
        let add = Command::new("XADD").arg(&self.key);
        let add = match self.trim {
            // The age goes by the store's clock, which only a script can read in the same step.
            Trim::MaxAge(age) => {
                let call = ADD.on(&self.store).key(self.key.clone());
                return Ok(call.arg(age).arg(body).run().await?);
            }
            Trim::MaxLen(len) => add.arg("MAXLEN").arg("~").arg(count(len.get())),
            Trim::Never | Trim::Handled => add,
        };
        Ok(self.store.run(add.arg("*").arg(BODY).arg(body)).await?)
    }
}

impl<T: DeserializeOwned> Stream<T> {
    /// Reads entries one after the other, from `start` on. One round trip for [`Start::Latest`],
    /// which asks what the latest entry is; none for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn cursor(&self, start: Start) -> Result<Cursor<T>, Error> {
        let last = match start {
            Start::Earliest => Id::default(),
            Start::After(id) => id,
            Start::Latest => self.last().await?.unwrap_or_default(),
        };
        Ok(Cursor::new(self.clone(), last))
    }

    /// Up to `n` of the latest entries, latest first. None for `n` of 0.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn latest(&self, n: usize) -> Result<Vec<Entry<T>>, Error> {
        if n == 0 {
            return Ok(Vec::new());
        }
        Ok(self.latest_raw(n).await?.iter().map(Raw::entry).collect())
    }
}

impl<T> Stream<T> {
    async fn last(&self) -> Result<Option<Id>, Error> {
        Ok(self.latest_raw(1).await?.first().map(|raw| raw.id))
    }

    async fn latest_raw(&self, n: usize) -> Result<Vec<Raw>, Error> {
        let command = Command::new("XREVRANGE").arg(&self.key).arg("+").arg("-");
        Ok(self.store.run(command.arg("COUNT").arg(count(n))).await?)
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
