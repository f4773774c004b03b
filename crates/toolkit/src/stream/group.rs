//! Groups of workers on a stream, and what they have not finished.

use std::fmt;
use std::time::Duration;

use larder_store::{Command, Error, FromValue, Key, Script, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::{self, Raw, count};
use super::trim::Start;
use super::{DeadLetter, Id, Stream, keys, script};
use crate::stream::twins;

pub(super) static CREATE: Script = script!("create.lua").with_twin(twins::create);
pub(super) static INFO: Script = script!(read_only "info.lua").with_twin(twins::info);
pub(super) static REDRIVE: Script = script!("redrive.lua").with_twin(twins::redrive);

/// A group of workers that share the entries of a stream. Cloning it is cheap and shares it.
pub struct Group<T> {
    stream: Stream<T>,
    name: String,
    start: Start,
}

/// Where a group stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Info {
    /// How many consumers the store knows, working or not.
    pub consumers: u64,
    /// How many entries were delivered and are not finished: at work, waiting for a retry, or left
    /// by a consumer that crashed.
    pub pending: u64,
    /// How many of them wait for a retry.
    pub waiting: u64,
    /// How many dead letters there are.
    pub dead: u64,
    /// The last entry that was delivered.
    pub last_delivered: Id,
    /// How many entries were not delivered yet; `None` if the store can't tell, as after entries
    /// were deleted in the middle.
    pub lag: Option<u64>,
    /// How long ago the first entry was added that is not finished; `None` if there is none.
    pub oldest: Option<Duration>,
}

/// What a group has not finished, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many entries.
    pub count: u64,
    /// The first and the last of them.
    pub ends: Option<(Id, Id)>,
    /// How many each consumer has that has any. Those that wait for a retry are with
    /// `larder:parked`.
    pub consumers: Vec<(String, u64)>,
}

/// An entry that was delivered and is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// The entry.
    pub id: Id,
    /// Who has it: `larder:parked` if it waits for a retry.
    pub consumer: String,
    /// How long ago it was delivered, or began to wait for its retry.
    pub idle: Duration,
    /// How often it was delivered.
    pub deliveries: u32,
}

impl<T> Stream<T> {
    /// A group of workers, each entry for one of them. A new group begins at `start`; it is made by
    /// [`Group::create`] or by its first worker.
    ///
    /// # Panics
    ///
    /// If the name begins with `larder:`, as those of our own do.
    pub fn group(&self, name: &str, start: Start) -> Group<T> {
        assert!(
            !name.starts_with(keys::OURS),
            "the name of a group does not begin with {}",
            keys::OURS
        );
        Group {
            stream: self.clone(),
            name: name.to_owned(),
            start,
        }
    }
}

impl<T> Group<T> {
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
    /// Those of the store.
    pub async fn create(&self) -> Result<bool, Error> {
        self.make("first").await
    }

    /// Makes a group that has gone: where it last was, or at the beginning if its stream has gone as
    /// well. `false` if it is there.
    pub(super) async fn create_anew(&self) -> Result<bool, Error> {
        self.make("anew").await
    }

    async fn make(&self, how: &str) -> Result<bool, Error> {
        CREATE
            .on(self.stream.store())
            .key(self.stream.key().clone())
            .key(self.part(keys::POSITION))
            .arg(&self.name)
            .arg(self.start.behind())
            .arg(how)
            .run()
            .await
    }

    /// Removes the group with all that it knows, its dead letters too. The entries stay. `false`
    /// if there was no such group. Its workers make it anew, so shut them down before.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn delete(&self) -> Result<bool, Error> {
        let destroy = Command::new("XGROUP")
            .arg("DESTROY")
            .arg(self.stream.key())
            .arg(&self.name);
        let parts = keys::GROUP_PARTS.map(|part| self.part(part));
        let forget = Command::new("UNLINK").args(parts);
        let answers = self.stream.store().call_all(vec![destroy, forget]).await?;
        let mut answers = answers.into_iter();
        let destroyed = match answers.next() {
            Some(Ok(destroyed)) => bool::from_value(destroyed)?,
            // There is not even a stream.
            Some(Err(error)) if error.is_refusal("ERR") => false,
            Some(Err(error)) => return Err(error),
            None => false,
        };
        answers.next().transpose()?;
        Ok(destroyed)
    }

    /// Where the group stands. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if there is no such group; those of the store.
    pub async fn info(&self) -> Result<Info, Error> {
        type Numbers = (u64, u64, u64, u64);
        type Answer = (Id, Option<u64>, Option<Id>, u64);
        let answer: Option<Vec<Value>> = INFO
            .on(self.stream.store())
            .key(self.stream.key().clone())
            .key(self.part(keys::RETRIES))
            .key(self.part(keys::DEAD))
            .arg(&self.name)
            .run()
            .await?;
        let mut numbers = answer.ok_or(Error::Gone)?;
        let others = numbers.split_off(numbers.len().min(4));
        let (consumers, pending, waiting, dead) = Numbers::from_value(Value::Array(numbers))?;
        let (last_delivered, lag, first, now_ms) = Answer::from_value(Value::Array(others))?;
        let age = |id: Id| Duration::from_millis(now_ms.saturating_sub(id.ms));
        Ok(Info {
            consumers,
            pending,
            waiting,
            dead,
            last_delivered,
            lag,
            oldest: first.map(age),
        })
    }

    /// What the group has not finished, in short.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if there is no such group; those of the store.
    pub async fn pending(&self) -> Result<Summary, Error> {
        type Answer = (u64, Option<Id>, Option<Id>, Option<Vec<(String, u64)>>);
        let command = Command::new("XPENDING")
            .arg(self.stream.key())
            .arg(&self.name);
        let answer: Result<Answer, _> = self.stream.store().run(command).await;
        let (count, first, last, consumers) = known(answer)?;
        Ok(Summary {
            count,
            ends: first.zip(last),
            consumers: consumers.unwrap_or_default(),
        })
    }

    /// Up to `most` entries that the group has not finished, after this one, in the order in which
    /// they were added; none for 0. To read on, ask for those after the last.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if there is no such group; those of the store.
    pub async fn pending_after(
        &self,
        after: Option<Id>,
        most: usize,
    ) -> Result<Vec<Pending>, Error> {
        let command = Command::new("XPENDING")
            .arg(self.stream.key())
            .arg(&self.name)
            .arg(after_or_first(after))
            .arg("+")
            .arg(count(most));
        let answer: Result<Vec<(Id, String, u64, u32)>, _> = self.stream.store().run(command).await;
        let pending = |(id, consumer, idle_ms, deliveries)| Pending {
            id,
            consumer,
            idle: Duration::from_millis(idle_ms),
            deliveries,
        };
        Ok(known(answer)?.into_iter().map(pending).collect())
    }

    /// Puts a dead letter back into the stream, as a new entry, which all groups of the stream
    /// see. `None` if there is no such letter, or its entry was deleted before it died.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn redrive(&self, letter: Id) -> Result<Option<Id>, Error> {
        let (trim, bound) = self.stream.trim().words();
        REDRIVE
            .on(self.stream.store())
            .key(self.stream.key().clone())
            .key(self.part(keys::DEAD))
            .arg(letter.to_string())
            .arg(trim)
            .arg(bound)
            .run()
            .await
    }

    /// Deletes a dead letter. `false` if there was none.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn discard(&self, letter: Id) -> Result<bool, Error> {
        let command = Command::new("XDEL")
            .arg(self.part(keys::DEAD))
            .arg(letter.to_string());
        self.stream.store().run(command).await
    }

    /// The same group, for those who do not look into its entries.
    pub(super) fn untyped(&self) -> Group<()> {
        Group {
            stream: self.stream.untyped(),
            name: self.name.clone(),
            start: self.start,
        }
    }

    /// The key of a part of the group.
    pub(super) fn part(&self, part: &str) -> Key {
        keys::of_group(self.stream.key(), part, &self.name)
    }
}

impl<T: DeserializeOwned> Group<T> {
    /// Up to `most` dead letters after this one, in the order in which they died; none for 0.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn dead_letters(
        &self,
        after: Option<Id>,
        most: usize,
    ) -> Result<Vec<DeadLetter<T>>, Error> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let command = Command::new("XRANGE")
            .arg(self.part(keys::DEAD))
            .arg(after_or_first(after))
            .arg("+")
            .arg("COUNT")
            .arg(count(most));
        let letters: Vec<Raw> = self.stream.store().run(command).await?;
        letters.into_iter().map(letter).collect()
    }
}

/// An answer about a group, which may not be there.
fn known<A>(answer: Result<A, Error>) -> Result<A, Error> {
    answer.map_err(|error| match error.is_refusal("NOGROUP") {
        true => Error::Gone,
        false => error,
    })
}

fn after_or_first(after: Option<Id>) -> String {
    after.map_or("-".to_owned(), |id| format!("({id}"))
}

fn letter<T: DeserializeOwned>(raw: Raw) -> Result<DeadLetter<T>, Error> {
    let body = entry::decode(raw.body());
    let field = |name: &str| Value::Bytes(raw.field(name).cloned().unwrap_or_default());
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
