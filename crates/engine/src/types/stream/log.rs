//! The entries of a stream, in order of their ids, and the counters that outlive them.
//!
//! Entries are packed into [`Block`]s, found by the id that each block was made for. A block whose
//! last entry is removed goes; its key stays when its first one is.
//!
//! Invariants: the entries of a block have ids from its key up to, but not including, the next
//! block's key; `len` is the number of all entries; `first_id` is the first entry's id, or `0-0`;
//! `last_id` is not smaller than any entry's.

use std::collections::BTreeMap;

use super::block::{Block, Entry};
use super::id::{Id, NewId};
use crate::types::Limits;

/// A block is never larger than this, except for one entry that is.
const BLOCK_BYTES_MAX: usize = 1 << 30;

/// Entries and what is known of those that have gone.
#[derive(Debug, Default)]
pub(crate) struct Log {
    blocks: BTreeMap<Id, Block>,
    len: u64,
    first_id: Id,
    last_id: Id,
    max_removed_id: Id,
    entries_added: u64,
    /// What all blocks have allocated.
    block_bytes: usize,
}

/// Up to where a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trim {
    /// Until there are so many entries.
    MaxLen(u64),
    /// Until the first id is not smaller.
    MinId(Id),
}

/// How exactly a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Exact,
    /// Whole blocks only, and at most `limit` entries; 0 is no limit.
    Approximate {
        limit: u64,
    },
}

impl Precision {
    /// The most entries that are trimmed at once.
    pub(super) fn limit(self) -> u64 {
        match self {
            Precision::Approximate { limit } if limit > 0 => limit,
            Precision::Approximate { .. } | Precision::Exact => u64::MAX,
        }
    }
}

impl Log {
    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The first entry's id; `0-0` if there is none.
    pub(crate) fn first_id(&self) -> Id {
        self.first_id
    }

    /// The greatest id that an entry has had.
    pub(crate) fn last_id(&self) -> Id {
        self.last_id
    }

    /// The greatest id that was removed by itself, rather than trimmed; `0-0` if none was.
    pub(crate) fn max_removed_id(&self) -> Id {
        self.max_removed_id
    }

    /// How many entries were ever added.
    pub(crate) fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Bytes held on the heap. The nodes of the map count as what they hold. O(1).
    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.len() * size_of::<(Id, Block)>() + self.block_bytes
    }

    /// What [`Log::heap_bytes`] counts, by a walk.
    #[cfg(test)]
    pub(super) fn walked_bytes(&self) -> usize {
        let held =
            |(id, block): (&Id, &Block)| size_of_val(id) + size_of_val(block) + block.heap_bytes();
        self.blocks.iter().map(held).sum()
    }

    /// The ids that blocks were made for.
    pub(crate) fn block_ids(&self) -> impl ExactSizeIterator<Item = Id> {
        self.blocks.keys().copied()
    }

    // --- adding --------------------------------------------------------------------------------

    /// The id that the next entry gets, or `None` if it would not be greater than the last one.
    pub(crate) fn next_id(&self, wanted: NewId, now_ms: u64) -> Option<Id> {
        let last = self.last_id;
        let id = match wanted {
            NewId::Auto if now_ms > last.ms => Id { ms: now_ms, seq: 0 },
            NewId::Auto => last.next()?,
            NewId::AutoSeq(ms) if ms == last.ms => Id {
                ms,
                seq: last.seq.checked_add(1)?,
            },
            NewId::AutoSeq(ms) => Id { ms, seq: 0 },
            NewId::Given(id) => id,
        };
        (id > last).then_some(id)
    }

    /// Adds an entry with these fields: names and values in turn. `id` comes from
    /// [`Log::next_id`].
    pub(crate) fn append<'f>(
        &mut self,
        id: Id,
        fields: impl ExactSizeIterator<Item = &'f [u8]> + Clone,
        limits: &Limits,
    ) {
        debug_assert!(id > self.last_id && fields.len().is_multiple_of(2));
        let added: usize = fields.clone().map(<[u8]>::len).sum();
        match self.blocks.last_entry() {
            Some(mut last) if has_room(last.get(), added, limits) => {
                let block = last.get_mut();
                self.block_bytes -= block.heap_bytes();
                block.push(id, fields);
                self.block_bytes += block.heap_bytes();
            }
            last => {
                if let Some(mut last) = last {
                    let block = last.get_mut();
                    self.block_bytes -= block.heap_bytes();
                    block.seal();
                    self.block_bytes += block.heap_bytes();
                }
                let mut block = Block::new(id, fields.clone());
                block.push(id, fields);
                self.block_bytes += block.heap_bytes();
                self.blocks.insert(id, block);
            }
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.last_id = id;
        self.len += 1;
        self.entries_added += 1;
    }

    // --- reading -------------------------------------------------------------------------------

    /// The entries from `start` to `end`, both included.
    pub(crate) fn range(&self, start: Id, end: Id) -> impl Iterator<Item = Entry<'_>> {
        self.blocks_within(start, end)
            .flat_map(Block::entries)
            .skip_while(move |entry| entry.id < start)
            .take_while(move |entry| entry.id <= end)
    }

    /// The entries behind `id`.
    pub(crate) fn range_after(&self, id: Id) -> impl Iterator<Item = Entry<'_>> {
        let start = id.next();
        start
            .map(|start| self.range(start, Id::MAX))
            .into_iter()
            .flatten()
    }

    /// The entries from `end` back to `start`, both included.
    pub(crate) fn rev_range(&self, start: Id, end: Id) -> impl Iterator<Item = Entry<'_>> {
        self.blocks_within(start, end)
            .rev()
            .flat_map(|block| block.entries().rev())
            .skip_while(move |entry| entry.id > end)
            .take_while(move |entry| entry.id >= start)
    }

    /// The blocks that may have entries with these ids.
    fn blocks_within(&self, start: Id, end: Id) -> impl DoubleEndedIterator<Item = &Block> + Clone {
        let first = self
            .blocks
            .range(..=start)
            .next_back()
            .map_or(start, |(&id, _)| id);
        let blocks = (start <= end).then(|| self.blocks.range(first..=end));
        blocks.into_iter().flatten().map(|(_, block)| block)
    }

    /// The entry with this id.
    pub(crate) fn get(&self, id: Id) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The first entry.
    pub(crate) fn first(&self) -> Option<Entry<'_>> {
        self.blocks.first_key_value()?.1.entries().next()
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<Entry<'_>> {
        self.blocks.last_key_value()?.1.entries().next_back()
    }

    // --- removing ------------------------------------------------------------------------------

    /// Removes the entry with this id. Answers whether there was one.
    pub(crate) fn remove(&mut self, id: Id) -> bool {
        let Some((&base, block)) = self.blocks.range_mut(..=id).next_back() else {
            return false;
        };
        if !block.remove(id) {
            return false;
        }
        if block.len() == 0 {
            self.block_bytes -= block.heap_bytes();
            self.blocks.remove(&base);
        }
        self.len -= 1;
        self.max_removed_id = self.max_removed_id.max(id);
        if id == self.first_id {
            self.find_first_id();
        }
        true
    }

    /// How many entries are to be trimmed.
    pub(crate) fn excess(&self, until: Trim, precision: Precision) -> u64 {
        let limit = precision.limit();
        let mut sum = 0;
        for block in self.blocks.values() {
            let entries = block.len() as u64;
            let len = self.len - sum;
            if !is_excess(block, len, until) {
                if precision == Precision::Exact {
                    sum += excess(block, len, until);
                }
                break;
            }
            if sum + entries > limit {
                break;
            }
            sum += entries;
        }
        sum
    }

    /// Removes entries from the front. Answers how many.
    pub(crate) fn trim(&mut self, until: Trim, precision: Precision) -> u64 {
        let excess = self.excess(until, precision);
        let mut left = excess;
        while left > 0
            && let Some(block) = self.blocks.first_entry()
        {
            let entries = block.get().len() as u64;
            if left < entries {
                block.into_mut().remove_first(left as usize);
                break;
            }
            self.block_bytes -= block.remove().heap_bytes();
            left -= entries;
        }
        self.len -= excess;
        if excess > 0 {
            self.find_first_id();
        }
        excess
    }

    fn find_first_id(&mut self) {
        self.first_id = self.first().map_or(Id::MIN, |entry| entry.id);
    }

    /// Sets the counters, as `XSETID` does; `None` leaves one as it is.
    pub(crate) fn set_counters(
        &mut self,
        last_id: Id,
        entries_added: Option<u64>,
        max_removed_id: Option<Id>,
    ) {
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_removed_id = max_removed_id.unwrap_or(self.max_removed_id);
    }

    // --- how far a reader is -------------------------------------------------------------------

    /// Whether an entry behind `id` may have been removed, so that counting on is not exact.
    pub(crate) fn has_gaps_after(&self, id: Id) -> bool {
        self.len > 0 && self.first_id <= self.max_removed_id && id <= self.max_removed_id
    }

    /// How many of the entries ever added come up to and with `id`, where that can be told.
    pub(crate) fn entries_until(&self, id: Id) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != Id::MIN && id < self.max_removed_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        if self.max_removed_id != Id::MIN && self.max_removed_id >= self.first_id {
            return None;
        }
        let before_first = self.entries_added.saturating_sub(self.len);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first + 1),
            std::cmp::Ordering::Greater => None,
        }
    }
}

impl Clone for Log {
    fn clone(&self) -> Log {
        let blocks = self.blocks.clone();
        Log {
            // A copy has no room for more.
            block_bytes: blocks.values().map(Block::heap_bytes).sum(),
            blocks,
            ..*self
        }
    }
}

/// Whether `added` bytes more may join a block.
fn has_room(block: &Block, added: usize, limits: &Limits) -> bool {
    let bytes_max = match limits.stream_node_max_bytes.get() {
        0 => BLOCK_BYTES_MAX,
        bytes => bytes.min(BLOCK_BYTES_MAX),
    };
    let entries_max = limits.stream_node_max_entries.get();
    block.listpack_bytes() + added < bytes_max
        && (entries_max == 0 || block.len_ever() < entries_max)
}

/// Whether the first block is to go whole, of a stream with `len` entries. One whose last entry was removed
/// counts as if it were still there, as in Redis.
fn is_excess(block: &Block, len: u64, until: Trim) -> bool {
    match until {
        Trim::MaxLen(len_max) => len - block.len() as u64 >= len_max,
        Trim::MinId(id) => block.last_id() < id,
    }
}

/// How many entries of the first block are to go, of a stream with `len` entries.
fn excess(block: &Block, len: u64, until: Trim) -> u64 {
    match until {
        Trim::MaxLen(len_max) => (block.len() as u64).min(len.saturating_sub(len_max)),
        Trim::MinId(id) => block.entries().take_while(|entry| entry.id < id).count() as u64,
    }
}
