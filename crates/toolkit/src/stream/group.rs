//! Groups of workers on a stream, and what they have not finished.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use larder_store::{Command, FromValue, Key, Script, Value};
use serde::de::DeserializeOwned;

use super::entry::{self, Raw, count};
use super::{Builder, DeadLetter, Error, Id, Start, Stream};

static REDRIVE: Script = Script::new(include_str!("redrive.lua"));

/// A group of workers that share the entries of a stream. Cloning it is cheap and shares it.
pub struct Group<T> {
    stream: Stream<T>,
    name: String,
    start: Start,
}

/// Where a group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// How many consumers the store knows, working or not.
    pub consumers: u64,
    /// How many entries were delivered and are not finished: at work, waiting for a retry, or left
    /// by a consumer that crashed.
    pub pending: u64,
    /// The last entry that was delivered.
    pub last_delivered: Id,
    /// How many entries were not delivered yet; `None` if the store can't tell, as after entries
    /// were deleted in the middle.
    pub lag: Option<u64>,
}

/// What a group has not finished, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many entries.
    pub count: u64,
    /// The first and the last of them.
    pub ends: Option<(Id, Id)>,
    /// How many each consumer has that has any.
    pub consumers: Vec<(String, u64)>,
}

/// An entry that was delivered and is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The entry.
    pub id: Id,
    /// Who has it.
    pub consumer: String,
    /// How long ago it was delivered, or its consumer last showed that it is at work.
    pub idle: Duration,
    /// How often it was delivered.
    pub deliveries: u32,
}

impl<T> Group<T> {
    pub(super) fn new(stream: Stream<T>, name: &str, start: Start) -> Group<T> {
        Group {
            stream,
            name: name.to_owned(),
            start,
        }
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream.
    pub fn stream(&self) -> &Stream<T> {
        &self.stream
    }

    /// Makes the group, and the stream if there is none. `false` if there was such a group, which
    /// then stays where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn create(&self) -> Result<bool, Error> {
        self.create_at(self.start).await
    }

    pub(super) async fn create_at(&self, start: Start) -> Result<bool, Error> {
        let start = match start {
            Start::Earliest => "0".to_owned(),
            Start::Latest => "$".to_owned(),
            Start::After(id) => id.to_string(),
        };
        let command = Command::new("XGROUP")
            .arg("CREATE")
            .arg(self.stream.key())
            .arg(&self.name)
            .arg(start)
            .arg("MKSTREAM");
        match self.stream.store().run(command).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_refusal("BUSYGROUP") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the group with all that it knows, its dead letters too. The entries stay. `false`
    /// if there was no such group.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn delete(&self) -> Result<bool, Error> {
        let destroy = Command::new("XGROUP")
            .arg("DESTROY")
            .arg(self.stream.key())
            .arg(&self.name);
        let forget = Command::new("UNLINK").arg(self.retries()).arg(self.dead());
        let answers = self.stream.store().call_all(vec![destroy, forget]).await?;
        let mut answers = answers.into_iter();
        let destroyed = match answers.next() {
            Some(Ok(destroyed)) => bool::from_value(destroyed)?,
            // There is not even a stream.
            Some(Err(error)) if error.is_refusal("ERR") => false,
            Some(Err(error)) => return Err(error.into()),
            None => false,
        };
        answers.next().transpose()?;
        Ok(destroyed)
    }

    /// Where the group stands.
    ///
    /// # Errors
    ///
    /// [`Error::NoGroup`] and [`Error::Store`].
    pub async fn info(&self) -> Result<Info, Error> {
        let command = Command::new("XINFO").arg("GROUPS").arg(self.stream.key());
        let groups: Vec<HashMap<String, Value>> = match self.stream.store().run(command).await {
            Ok(groups) => groups,
            // There is not even a stream.
            Err(error) if error.is_refusal("ERR") => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for mut group in groups {
            let mut field = |name: &str| group.remove(name).unwrap_or_default();
            if String::from_value(field("name"))? == self.name {
                return Ok(Info {
                    consumers: FromValue::from_value(field("consumers"))?,
                    pending: FromValue::from_value(field("pending"))?,
                    last_delivered: FromValue::from_value(field("last-delivered-id"))?,
                    lag: FromValue::from_value(field("lag"))?,
                });
            }
        }
        Err(self.no_group())
    }

    /// What the group has not finished, in short.
    ///
    /// # Errors
    ///
    /// [`Error::NoGroup`] and [`Error::Store`].
    pub async fn pending(&self) -> Result<Summary, Error> {
        type Answer = (u64, Option<Id>, Option<Id>, Option<Vec<(String, u64)>>);
        let command = Command::new("XPENDING")
            .arg(self.stream.key())
            .arg(&self.name);
        let answer: Result<Answer, _> = self.stream.store().run(command).await;
        let (count, first, last, consumers) = self.known(answer)?;
        Ok(Summary {
            count,
            ends: first.zip(last),
            consumers: consumers.unwrap_or_default(),
        })
    }

    /// Up to `most` entries that the group has not finished, after this one, in the order in which
    /// they were added. To read on, ask for those after the last.
    ///
    /// # Errors
    ///
    /// [`Error::NoGroup`] and [`Error::Store`].
    pub async fn pending_after(
        &self,
        after: Option<Id>,
        most: NonZeroUsize,
    ) -> Result<Vec<Pending>, Error> {
        let command = Command::new("XPENDING")
            .arg(self.stream.key())
            .arg(&self.name)
            .arg(from(after))
            .arg("+")
            .arg(count(most.get()));
        let answer: Result<Vec<(Id, String, u64, u32)>, _> = self.stream.store().run(command).await;
        let pending = |(id, consumer, idle_ms, deliveries)| Pending {
            id,
            consumer,
            idle: Duration::from_millis(idle_ms),
            deliveries,
        };
        Ok(self.known(answer)?.into_iter().map(pending).collect())
    }

    /// Puts a dead letter back into the stream, as a new entry, which all groups of the stream
    /// see. `None` if there is no such letter, or its entry was deleted before it died.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn redrive(&self, letter: Id) -> Result<Option<Id>, Error> {
        let call = REDRIVE.on(self.stream.store());
        let call = call.key(self.stream.key().clone()).key(self.dead());
        Ok(call.arg(letter.to_string()).run().await?)
    }

    /// Deletes a dead letter. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn discard(&self, letter: Id) -> Result<bool, Error> {
        let command = Command::new("XDEL")
            .arg(self.dead())
            .arg(letter.to_string());
        Ok(self.stream.store().run(command).await?)
    }

    /// Entries that wait for their retry.
    pub(super) fn retries(&self) -> Key {
        self.stream.key().part(&format!("retries:{}", self.name))
    }

    /// Where dead letters go.
    pub(super) fn dead(&self) -> Key {
        self.stream.key().part(&format!("dead:{}", self.name))
    }

    pub(super) fn known<A>(&self, answer: Result<A, larder_store::Error>) -> Result<A, Error> {
        answer.map_err(|error| match error.is_refusal("NOGROUP") {
            true => self.no_group(),
            false => Error::Store(error),
        })
    }

    fn no_group(&self) -> Error {
        Error::NoGroup {
            group: self.name.clone(),
        }
    }
}

impl<T: DeserializeOwned> Group<T> {
    /// Begins to describe a worker of this group.
    pub fn worker(&self) -> Builder<T> {
        Builder::new(self.clone())
    }

    /// Up to `most` dead letters after this one, in the order in which they died.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn dead_letters(
        &self,
        after: Option<Id>,
        most: NonZeroUsize,
    ) -> Result<Vec<DeadLetter<T>>, Error> {
        let command = Command::new("XRANGE")
            .arg(self.dead())
            .arg(from(after))
            .arg("+")
            .arg("COUNT")
            .arg(count(most.get()));
        let letters: Vec<Raw> = self.stream.store().run(command).await?;
        letters.into_iter().map(letter).collect()
    }
}

fn from(after: Option<Id>) -> String {
    after.map_or("-".to_owned(), |id| format!("({id}"))
}

fn letter<T: DeserializeOwned>(mut raw: Raw) -> Result<DeadLetter<T>, Error> {
    let body = entry::decode(raw.body());
    let mut field = |name: &str| Value::Bytes(raw.fields.remove(name).unwrap_or_default());
    Ok(DeadLetter {
        original: FromValue::from_value(field("id"))?,
        deliveries: FromValue::from_value(field("deliveries"))?,
        error: FromValue::from_value(field("error"))?,
        id: raw.id,
        body,
    })
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Group<T> {
        Group {
            stream: self.stream.clone(),
            name: self.name.clone(),
            start: self.start,
        }
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("stream", &self.stream)
            .field("name", &self.name)
            .field("start", &self.start)
            .finish()
    }
}
