//! Writing and deleting values.

use std::borrow::Borrow;

use bytes::Bytes;
use larder_store::{Command, Error, FromValue, Key, Value};
use serde::Serialize;

use crate::{Ttl, codec, ttl};

use super::entry::{Entry, Tag, Version};
use super::keep::Keep;
use super::lease::{lease_of, ring};
use super::read::CHUNK;
use super::settings::Cache;

/// What MessagePack writes for nothing, behind the version of our layout.
const NOTHING: &[u8] = &[1, 0xc0];

/// An entry on its way to the store.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Bytes,
    /// `None` for no end.
    pub(super) ttl_ms: Option<u64>,
}

/// A value on its way to an entry, or what is wrong with it.
type Encoded = (Key, Result<Bytes, Error>);

impl<T: Serialize> Cache<T> {
    /// Keeps a value, in place of what there was, for the cache's time to live and without tags.
    ///
    /// One round trip; the first one of a process makes another.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::set_with`].
    pub async fn set(&self, name: &str, value: &T) -> Result<(), Error> {
        self.set_with(name, value, Keep::new()).await
    }

    /// Keeps a value, in place of what there was, with its tags too.
    ///
    /// One round trip, and another if it has tags. If a tag is invalidated after the value was
    /// found out and before this is called, this does not know: [`Cache::get_or_set_with`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the value can't be encoded, and [`Error::Invalid`] if it is larger than
    /// [`Cache::max_len`] allows or has too many tags: nothing was changed. Those of the store; if the
    /// command was not answered, the old value may still be there.
    pub async fn set_with(&self, name: &str, value: &T, keep: Keep) -> Result<(), Error> {
        let set = self.set_many([(name, value)], keep).await;
        set.into_iter().next().unwrap_or(Ok(()))
    }

    /// Keeps values, each in place of what there was, in that order and each for itself.
    ///
    /// One round trip for a thousand values, and another if `keep` has tags; none for no values.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::set_with`], in the places of those values that were not kept.
    pub async fn set_many<S: AsRef<str>, V: Borrow<T>>(
        &self,
        values: impl IntoIterator<Item = (S, V)>,
        keep: Keep,
    ) -> Vec<Result<(), Error>> {
        let mut values = values.into_iter().peekable();
        let mut kept = Vec::new();
        while values.peek().is_some() {
            let chunk: Vec<Encoded> = (values.by_ref().take(CHUNK))
                .map(|(name, value)| {
                    self.shared.flights.forget(name.as_ref());
                    (
                        self.shared.keys.of(name.as_ref()),
                        self.encode(value.borrow()),
                    )
                })
                .collect();
            match self.write(&chunk, &keep).await {
                Ok(answers) => kept.extend(answers),
                Err(error) => kept.extend(chunk.iter().map(|_| Err(error.clone()))),
            }
        }
        kept
    }

    fn encode(&self, value: &T) -> Result<Bytes, Error> {
        let encoded = codec::encode(value).map_err(Error::codec)?;
        let (len, max) = (encoded.len(), self.settings.max_len);
        match len <= max {
            true => Ok(encoded),
            false => Err(Error::invalid(format_args!(
                "the value takes {len} bytes, and at most {max} are kept"
            ))),
        }
    }
}

impl<T> Cache<T> {
    /// Forgets a value. `false` if there was none. Loads that are under way are not kept.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of the store; if the command was not answered, the value may be there or not.
    pub async fn delete(&self, name: &str) -> Result<bool, Error> {
        let deleted = self.delete_many([name]).await;
        deleted.into_iter().next().unwrap_or(Ok(false))
    }

    /// Forgets values, each for itself. `false` in the places of those that were not there. Loads
    /// that are under way are not kept.
    ///
    /// One round trip for a thousand names; none for no names.
    ///
    /// # Errors
    ///
    /// Those of the store, in the places of those values for which it gave no answer; they may then be
    /// there or not.
    pub async fn delete_many<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Vec<Result<bool, Error>> {
        let keys: Vec<Key> = (names.into_iter())
            .map(|name| {
                self.shared.flights.forget(name.as_ref());
                self.shared.keys.of(name.as_ref())
            })
            .collect();
        let mut deleted = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            // The lease goes first: whoever gets it after that loads what is true now.
            let unlinks = keys.iter().flat_map(|key| {
                [
                    Command::new("UNLINK").arg(lease_of(key)),
                    Command::new("UNLINK").arg(key),
                ]
            });
            let answers = self.shared.store.call_all(unlinks.collect()).await;
            keys.iter().for_each(ring);
            match answers {
                Ok(answers) => deleted.extend(pairs(answers).map(|(lease, entry)| {
                    lease?;
                    bool::from_value(entry?)
                })),
                Err(error) => deleted.extend(keys.iter().map(|_| Err(error.clone()))),
            }
        }
        deleted
    }

    /// Makes an entry of an encoded value.
    pub(super) fn pack(
        &self,
        value: &[u8],
        (era, tags): (Version, &[Tag]),
        keep: &Keep,
    ) -> Result<Packed, Error> {
        let ttl = match self.settings.negative_ttl {
            Some(ttl) if value == NOTHING => ttl,
            _ => keep.ttl.unwrap_or(self.settings.ttl),
        };
        let ttl_ms = ttl.draw_ms();
        let grace_ms = ttl::to_ms(self.settings.grace);
        let ahead_ms = |ttl_ms: u64| ttl_ms / 100 * u64::from(self.settings.ahead_percent);
        let entry = Entry {
            era,
            // What never ends is never past its time, nor near its end.
            grace_ms: ttl_ms.map_or(0, |_| grace_ms),
            ahead_ms: ttl_ms.map_or(0, ahead_ms),
            tags: tags.to_vec(),
            value,
        };
        let bytes = entry
            .to_bytes()
            .ok_or_else(|| Error::invalid("the entry has too many tags"))?;
        Ok(Packed {
            bytes,
            ttl_ms: ttl_ms.map(|ms| ms + grace_ms),
        })
    }

    /// The longest that an entry may be in the store, in milliseconds, or 0 for no end.
    pub(super) fn kept_ms(&self, keep: &Keep) -> u64 {
        let ttl = keep.ttl.unwrap_or(self.settings.ttl).max();
        let negative = self.settings.negative_ttl.map_or(ttl, Ttl::max);
        match (ttl, negative) {
            (Some(ttl), Some(negative)) => ttl::to_ms(ttl.max(negative) + self.settings.grace),
            _ => 0,
        }
    }

    /// Writes entries, whoever fills them.
    async fn write(
        &self,
        values: &[Encoded],
        keep: &Keep,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        keep.check()?;
        if values.iter().all(|(_, encoded)| encoded.is_err()) {
            return Ok(values
                .iter()
                .map(|(_, encoded)| encoded.clone().map(drop))
                .collect());
        }
        let kept_ms = self.kept_ms(keep);
        let known = self.known_era(kept_ms);
        let versions = self.versions(&keep.tags, kept_ms, known, false).await?;
        let (met, kept) = self
            .write_under((versions.era, &versions.tags), values, keep)
            .await?;
        if met == Some(versions.era) {
            return Ok(kept);
        }
        // The namespace was cleared since its version was met, perhaps long ago. If that happens once more,
        // it happens during this call, and what this wrote is cleared with the rest.
        let era = match met {
            Some(met) => met,
            None => self.renew_era(kept_ms).await?,
        };
        self.met_era(era);
        let (_, kept) = self
            .write_under((era, &versions.tags), values, keep)
            .await?;
        Ok(kept)
    }

    /// Writes entries of this version of the namespace. Says which version it has, too.
    async fn write_under(
        &self,
        versions: (Version, &[Tag]),
        values: &[Encoded],
        keep: &Keep,
    ) -> Result<(Option<Version>, Vec<Result<(), Error>>), Error> {
        let mut commands = vec![Command::new("GET").arg(&self.shared.era_key)];
        let packed: Vec<Result<(), Error>> = (values.iter())
            .map(|(key, encoded)| {
                let packed = self.pack(encoded.as_ref().map_err(Clone::clone)?, versions, keep)?;
                // The lease goes first: whoever gets it after that loads what is true now, and so may write
                // over this.
                commands.push(Command::new("UNLINK").arg(lease_of(key)));
                commands.push(set(key, &packed));
                Ok(())
            })
            .collect();
        let mut answers = self.shared.store.call_all(commands).await?;
        values.iter().for_each(|(key, _)| ring(key));
        let sets = answers.split_off(1.min(answers.len()));
        let era = answers
            .pop()
            .ok_or_else(|| Error::unanswered("no answer"))??;
        let era = Option::<Bytes>::from_value(era)?;
        let mut sets = pairs(sets);
        let kept = packed.into_iter().map(|packed| {
            packed?;
            match sets.next() {
                Some((lease_gone, set)) => lease_gone.and(set).map(drop),
                None => Err(Error::unanswered("fewer answers than commands")),
            }
        });
        Ok((era.and_then(|era| era[..].try_into().ok()), kept.collect()))
    }
}

fn set(key: &Key, packed: &Packed) -> Command {
    let set = Command::new("SET").arg(key).arg(&packed.bytes);
    match packed.ttl_ms {
        Some(ttl_ms) => set.arg("PX").arg(ttl_ms),
        None => set,
    }
}

type Answer = Result<Value, Error>;

/// Answers two by two.
fn pairs(answers: Vec<Answer>) -> impl Iterator<Item = (Answer, Answer)> {
    let mut answers = answers.into_iter();
    std::iter::from_fn(move || Some((answers.next()?, answers.next()?)))
}
