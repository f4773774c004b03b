//! Reading a stream from a place on.

use std::time::Duration;

use larder_store::{Command, Error, Script};
use serde::de::DeserializeOwned;

use super::entry::{self, Entry, Raw, Read, count};
use super::{Id, Start, Stream, script};
use crate::Ttl;
use crate::stream::twins;

pub(super) static READ: Script = script!(read_only "read.lua").with_twin(twins::read);

/// A place in a stream, which moves on with each read. No entry is read twice, and none is left
/// out but those that were trimmed before they were read, which [`Cursor::missed`] counts.
///
/// It is the reader's own: nothing of it is kept in the store. To go on later, keep
/// [`Cursor::last`] and begin with [`Start::After`](super::Start::After).
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use std::time::Duration;
/// use larder_toolkit::stream::{Start, Stream, Trim};
///
/// let orders = Stream::<String>::new(&store, "shop", "orders", Trim::Never);
/// orders.add(&"a book".to_owned()).await?;
///
/// let mut cursor = orders.cursor(Start::Earliest).await?;
/// while let Some(order) = cursor.next(Duration::ZERO).await? {
///     println!("{}: {}", order.id, order.body?);
/// }
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Cursor<T> {
    stream: Stream<T>,
    last: Id,
    /// How many entries the stream ever had up to there, if that is known.
    seen: Option<u64>,
    missed: u64,
}

impl<T: DeserializeOwned> Stream<T> {
    /// Reads entries one after the other, from `start` on. One round trip for [`Start::Latest`],
    /// which asks what the latest entry is; none for the others.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn cursor(&self, start: Start) -> Result<Cursor<T>, Error> {
        let last = match start {
            Start::Earliest => Id::default(),
            Start::After(id) => id,
            Start::Latest => self.last().await?.unwrap_or_default(),
        };
        Ok(Cursor {
            stream: self.clone(),
            last,
            seen: None,
            missed: 0,
        })
    }
}

impl<T: DeserializeOwned> Cursor<T> {
    /// The entry behind which the next read begins.
    pub fn last(&self) -> Id {
        self.last
    }

    /// How many entries were trimmed, since this cursor was made, before it had read them: the reader
    /// is slower than the stream forgets.
    ///
    /// Redis counts what it needs for this since version 7. What was trimmed is not told from what was
    /// deleted by [`Stream::delete`], so while entries are missing in the middle nothing is counted;
    /// and it is known only from the first read on that has read all there is.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Reads up to `most` entries; none for 0. If there is none it waits up to `wait` for one, and
    /// then answers none. One round trip, and one more if it waits.
    ///
    /// If this is dropped before it is done, the cursor has not moved.
    ///
    /// # Errors
    ///
    /// Those of the store; the cursor has not moved.
    pub async fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry<T>>, Error> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let call = READ.on(self.stream.store());
        let call = call.key(self.stream.key().clone());
        let call = call.arg(self.last.to_string()).arg(count(most));
        let seen = self.seen.map(|seen| seen.to_string()).unwrap_or_default();
        let (mut entries, missed, mut seen): (Vec<Raw>, u64, Option<u64>) =
            call.arg(seen).run().await?;
        if entries.is_empty() && !wait.is_zero() {
            entries = self.wait_for(most, wait).await?;
            seen = seen.map(|seen| seen + entries.len() as u64);
        }
        if let Some(last) = entries.last() {
            self.last = last.id;
        }
        self.seen = seen;
        self.missed += missed;
        Ok(entries.iter().map(Raw::entry).collect())
    }

    async fn wait_for(&self, most: usize, wait: Duration) -> Result<Vec<Raw>, Error> {
        let command = Command::new("XREAD")
            .arg("COUNT")
            .arg(count(most))
            .arg("BLOCK")
            .arg(wait.min(Ttl::MAX))
            .arg("STREAMS")
            .arg(self.stream.key())
            .arg(self.last.to_string());
        let read: Read = self.stream.store().run(command).await?;
        Ok(entry::entries(read))
    }

    /// The next entry: [`Cursor::read`] of one. If there is none it waits up to `wait` for one, and
    /// then answers `None`.
    ///
    /// If this is dropped before it is done, the cursor has not moved.
    ///
    /// # Errors
    ///
    /// Those of the store; the cursor has not moved.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Entry<T>>, Error> {
        Ok(self.read(1, wait).await?.pop())
    }
}
