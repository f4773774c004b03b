//! A handle on near reads of a store.

use std::fmt;
use std::sync::Arc;

use super::mark::Freshness;
use super::read_near::{Keep, NearStats, ReadNear};
use crate::{Answer, Command, Error, FromValue, Store, Value, shape};

/// Reads of a store that are answered in this process as long as nothing has changed. Cloning it is cheap
/// and shares what is kept. When the last clone is dropped it is forgotten, and nothing is fresh any more that
/// was read through it.
///
/// A read is never older than the last write through the same store, whoever made it in this process. What
/// others write is told by the store: a near read may be older than such a write by as long as the news
/// takes, and by as long as it takes to notice that the connection on which it would come is dead. A store
/// that cannot tell is asked each time, and what it answers is never fresh.
///
/// # Examples
///
/// ```no_run
/// # async fn example(store: larder_store::Store) -> Result<(), larder_store::Error> {
/// use larder_store::Command;
///
/// let near = store.near(64 << 20);
/// let name: Option<String> = near.run(Command::new("HGET").arg("user:1").arg("name")).await?;
/// let again: Option<String> = near.run(Command::new("HGET").arg("user:1").arg("name")).await?; // no round trip
///
/// // What is made of an answer may be kept as long as that is fresh.
/// let (answer, freshness) = near.fresh(Command::new("GET").arg("settings")).await?;
/// if freshness.is_fresh() { /* what was made of it still holds */ }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Near {
    store: Store,
    reads: Option<Arc<dyn ReadNear>>,
}

impl Store {
    /// Near reads of this store, which take this many bytes at most. With 0, nothing is kept.
    pub fn near(&self, bytes: usize) -> Near {
        Near {
            store: self.clone(),
            reads: self.read_near(bytes),
        }
    }
}

impl Near {
    /// The answer of a command: the one that is kept if there is one, else that of the store, which is
    /// kept. On a store inside the process the command is run, since the data is near.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::Invalid`] if the command is none whose answer is a function of the
    /// value of one key: see [`is_pure`](shape::is_pure).
    pub fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some((value, _)) = self.reads.as_ref().and_then(|reads| reads.kept(&command)) {
            return Answer::ready(Ok(value));
        }
        if let Err(error) = pure_key(&command) {
            return Answer::ready(Err(error));
        }
        match &self.reads {
            Some(reads) if !self.store.is_in_process() => {
                Answer::later(async move { Ok(reads.read(command, Keep::Answer).await?.0) })
            }
            _ => self.store.call(command),
        }
    }

    /// The same, read as a `T`.
    ///
    /// # Errors
    ///
    /// Those of [`Near::call`], and [`Error::Unexpected`] if the answer is not a `T`.
    pub async fn run<T: FromValue>(&self, command: Command) -> Result<T, Error> {
        T::from_value(self.call(command).await?)
    }

    /// The answer of a command, and whether it still holds, for whoever keeps what he makes of it. The
    /// answer itself is not kept here, and what is noted of its key is counted as bytes all the same: when
    /// there is no room for it any more, the freshness ends.
    ///
    /// # Errors
    ///
    /// Those of [`Near::call`].
    pub fn fresh(&self, command: Command) -> Answer<'_, (Value, Freshness)> {
        if let Some(kept) = self.reads.as_ref().and_then(|reads| reads.kept(&command)) {
            return Answer::ready(Ok(kept));
        }
        if let Err(error) = pure_key(&command) {
            return Answer::ready(Err(error));
        }
        match &self.reads {
            Some(reads) => reads.read(command, Keep::Freshness),
            None => Answer::later(async move {
                let value = self.store.call(command).await?;
                Ok((value, Freshness::NEVER))
            }),
        }
    }

    /// Whether the store tells of changes at all. If not, everything is asked each time.
    pub fn is_told(&self) -> bool {
        self.reads.is_some()
    }

    /// How it went so far, over all clones.
    pub fn stats(&self) -> NearStats {
        let reads = self.reads.as_ref();
        reads.map_or_else(NearStats::default, |reads| reads.stats())
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The key of a command whose answer may be kept.
fn pure_key(command: &Command) -> Result<&[u8], Error> {
    match command.arguments().get(shape::PURE_KEY) {
        Some(key) if shape::is_pure(command) => Ok(key),
        _ => Err(Error::invalid(format_args!(
            "{} can't be read near: what is kept until a key is changed has to be a function of the value \
             of this one key, and not of others, of time, of chance or of a cursor",
            String::from_utf8_lossy(command.name())
        ))),
    }
}
