//! Reading a stream from a place on.

use std::time::Duration;

use larder_store::{Command, Error};
use serde::de::DeserializeOwned;

use super::entry::{self, Entry, Raw, Read, count};
use super::{Id, Start, Stream};
use crate::Ttl;

/// A place in a stream, which moves on with each read. No entry is read twice, and none is left
/// out but those that were trimmed before they were read.
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
        })
    }
}

impl<T: DeserializeOwned> Cursor<T> {
    /// The entry behind which the next read begins.
    pub fn last(&self) -> Id {
        self.last
    }

    /// Reads up to `most` entries; none for 0. If there is none it waits up to `wait` for one, and then
    /// answers none. One round trip.
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
        let mut command = Command::new("XREAD").arg("COUNT").arg(count(most));
        if !wait.is_zero() {
            command = command.arg("BLOCK").arg(wait.min(Ttl::MAX));
        }
        let command = command
            .arg("STREAMS")
            .arg(self.stream.key())
            .arg(self.last.to_string());
        let read: Read = self.stream.store().run(command).await?;
        let entries = entry::entries(read);
        if let Some(last) = entries.last() {
            self.last = last.id;
        }
        Ok(entries.iter().map(Raw::entry).collect())
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
