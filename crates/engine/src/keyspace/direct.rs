//! Reading one key without a keyspace.
//!
//! A [`Keyspace`] is room for whatever a command may need: several shards, a second database, what is
//! left to do. To read one string takes none of it, and setting it up takes as long as the search.
//! What counts as read, and what has expired, is as in [`Keyspace::read_string`].
//!
//! [`Keyspace`]: super::Keyspace
//! [`Keyspace::read_string`]: super::Keyspace::read_string

use larder_store::ByName;

use super::Shards;
use crate::engine::TimeSource;

impl Shards {
    /// Has `read` read the string of a key. `None` if there is no such key.
    ///
    /// # Errors
    ///
    /// [`ByName`] if others hold the key, if it holds something else, if it has expired and is to go, or if
    /// somebody wants to hear of keys that are not there. Then nothing is read or counted.
    #[inline]
    pub(crate) fn read_string<T>(
        &self,
        db: usize,
        key: &[u8],
        clock: &dyn TimeSource,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, ByName> {
        if !self.interest().is_none() {
            return Err(ByName);
        }
        let hash = self.seed().hash(key);
        let shard = self.take(self.index(hash)).map_err(|_| ByName)?;
        let figures = shard.figures();
        let Some(entry) = shard.dbs[db].table.find(hash, key) else {
            figures.misses.add(1);
            return Ok(None);
        };
        let is_past = |at: u64| at <= clock.now().unix_ms();
        if entry.expires_at().is_some_and(is_past) {
            return Err(ByName);
        }
        let string = entry.str().ok_or(ByName)?;
        figures.hits.add(1);
        self.access().touch(entry);
        Ok(Some(string.with_bytes(read)))
    }
}
