//! Stream: entries that are only ever added at the end, and groups of consumers that read them.
//!
//! ```text
//! Stream ── Log ── Block (up to 100 entries, packed) ── Entry: id and fields
//!       ├── groups ── Group ── pending: delivered and not acknowledged
//!       │                  └── consumers
//!       └── producers: who has added which entries under which names
//! ```
//!
//! Log and groups do not know of each other: an entry that is removed stays pending, as in Redis, unless
//! it is said otherwise (`references.rs`).
//!
//! Nothing here knows of keys, replies or time; a time is given in. Those are the business of
//! `commands.rs`.

mod block;
pub(crate) mod commands;
mod group;
mod id;
mod log;
mod producers;
mod references;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::block::Entry;
pub(crate) use self::group::{Consumer, Group, Pending};
pub(crate) use self::id::{Bound, Id, NewId, NoBound};
pub(crate) use self::log::{Log, Precision, Trim};
pub(crate) use self::producers::{Name, Producers};
pub(crate) use self::references::{References, Removal};
use crate::keyspace::entry::Object;
use crate::types::Limits;

/// Entries and the groups that read them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// The entries.
    pub(crate) log: Log,
    /// The consumer groups, in order of their names.
    pub(crate) groups: BTreeMap<Box<[u8]>, Group>,
    /// What is remembered of producers, once there was one.
    pub(crate) producers: Option<Box<Producers>>,
}

impl Object for Stream {
    const TYPE_NAME: &'static str = "stream";

    /// How many entries there are, and notes about them in the groups.
    fn len(&self) -> usize {
        let pending = self.groups.values().map(Group::pending_len);
        self.log.len() as usize + pending.sum::<usize>()
    }

    /// A stream is never removed for having no entries.
    fn is_empty(&self) -> bool {
        false
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }

    /// O(1) but for the groups, of which a stream has few.
    fn heap_bytes(&self) -> usize {
        let groups = self
            .groups
            .iter()
            .map(|(name, group)| name.len() + group.bytes());
        let producers = self.producers.as_ref();
        let producers = producers.map_or(0, |producers| producers.bytes());
        self.log.heap_bytes() + groups.sum::<usize>() + producers
    }

    fn copy(&self, _: &Limits) -> Stream {
        self.clone()
    }
}
