//! Consumer groups: who reads a stream together, and what was delivered and not acknowledged.
//!
//! A delivered entry is *pending* until it is acknowledged. It is found in two views:
//!
//! - `Group::pending` finds it by id, and knows its consumer;
//! - `Consumer::pending` walks one consumer's.
//!
//! An entry that was given back is pending, and no consumer has it. Once somebody has asked who may
//! claim what, there is a third view: `Group::turns`, in the order in which entries may be claimed.
//!
//! Invariant: `consumers[c].pending` has `id` exactly when `pending[id].consumer` is `c`, and `turns`,
//! if there is one, has the turn of each pending entry. Only [`Group::keep`], [`Group::take`] and
//! [`Group::change`] write `pending` and `turns`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::id::Id;
use super::log::Log;

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    last_delivered_id: Id,
    /// How many of the stream's entries come up to `last_delivered_id`, where that is known.
    entries_read: Option<u64>,
    pending: BTreeMap<Id, Pending>,
    /// None until somebody asks for it.
    turns: Option<BTreeSet<Turn>>,
    /// How many entries were ever given back.
    released: u64,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
    /// How long the names of all consumers are together.
    name_bytes: usize,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Who has it; nobody if it was given back.
    pub(crate) consumer: Option<Arc<[u8]>>,
    /// When it was delivered; if nobody has it, how many were given back before it.
    at: u64,
    pub(crate) deliveries: u64,
}

/// When an entry may be claimed, in the order of turns: what was given back first, then what was
/// delivered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_had: bool,
    at: u64,
    id: Id,
}

/// One that reads as a member of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    /// When it last asked for something.
    pub(super) seen_ms: u64,
    /// When it last got something; `None` if it never did.
    pub(super) active_ms: Option<u64>,
    pending: BTreeSet<Id>,
}

impl Group {
    /// A group that begins behind `last_delivered_id`.
    pub(crate) fn new(last_delivered_id: Id, entries_read: Option<u64>) -> Group {
        Group {
            last_delivered_id,
            entries_read,
            ..Group::default()
        }
    }

    /// The id up to which entries have been delivered.
    pub(crate) fn last_delivered_id(&self) -> Id {
        self.last_delivered_id
    }

    /// How many of the stream's entries that is, where it is known.
    pub(crate) fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Moves the group to another place in the stream.
    pub(crate) fn set_position(&mut self, last_delivered_id: Id, entries_read: Option<u64>) {
        (self.last_delivered_id, self.entries_read) = (last_delivered_id, entries_read);
    }

    /// Notes that the entry with this id is being delivered, if it is a new one. Entries come in
    /// order.
    pub(crate) fn advance(&mut self, id: Id, log: &Log) {
        if id <= self.last_delivered_id {
            return;
        }
        let last = self.last_delivered_id;
        match self.entries_read {
            Some(read) if last >= log.first_id() && !log.has_gaps_after(last) => {
                self.entries_read = Some(read + 1);
            }
            _ if log.entries_added() > 0 => self.entries_read = log.entries_until(id),
            _ => {}
        }
        self.last_delivered_id = id;
    }

    /// How many entries of the stream have not been delivered yet, where that can be told. Below 0 if
    /// more were said to have been read than there have been.
    pub(crate) fn lag(&self, log: &Log) -> Option<i64> {
        if log.entries_added() == 0 || log.len() == 0 {
            return Some(0);
        }
        let last = self.last_delivered_id;
        if last.max(log.max_removed_id()) < log.first_id() {
            // All that there is lies ahead.
            return Some(log.len().cast_signed());
        }
        let read = match self.entries_read {
            Some(read) if !log.has_gaps_after(last) => read,
            _ => log.entries_until(last)?,
        };
        Some(log.entries_added().wrapping_sub(read).cast_signed())
    }

    // --- consumers -----------------------------------------------------------------------------

    /// The consumers, in order of their names.
    pub(crate) fn consumers(&self) -> impl ExactSizeIterator<Item = (&[u8], &Consumer)> {
        self.consumers
            .iter()
            .map(|(name, consumer)| (&**name, consumer))
    }

    /// The consumer with this name.
    pub(crate) fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// Adds a consumer. Answers whether there was none with this name.
    pub(crate) fn add_consumer(&mut self, name: &[u8], now_ms: u64) -> bool {
        if self.consumers.contains_key(name) {
            return false;
        }
        self.name_bytes += name.len();
        self.consumers.insert(
            name.into(),
            Consumer {
                seen_ms: now_ms,
                ..Consumer::default()
            },
        );
        true
    }

    /// Notes that a consumer asks for something.
    pub(crate) fn see(&mut self, name: &[u8], now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now_ms;
        }
    }

    /// Notes that a consumer got something.
    pub(crate) fn activate(&mut self, name: &[u8], now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.active_ms = Some(now_ms);
        }
    }

    /// Removes a consumer with all that is pending for it. Answers how much that was.
    pub(crate) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.name_bytes -= name.len();
        for id in &consumer.pending {
            self.take(*id);
        }
        Some(consumer.pending.len())
    }

    // --- pending entries -----------------------------------------------------------------------

    /// How many entries are pending.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry with this id.
    pub(crate) fn pending(&self, id: Id) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// The pending entries from `start` to `end`, both included.
    pub(crate) fn pending_range(
        &self,
        start: Id,
        end: Id,
    ) -> impl DoubleEndedIterator<Item = (Id, &Pending)> {
        let range = (start <= end).then(|| self.pending.range(start..=end));
        range
            .into_iter()
            .flatten()
            .map(|(&id, pending)| (id, pending))
    }

    /// The entries from `start` to `end` that are pending for one consumer.
    pub(crate) fn pending_range_of<'a>(
        &'a self,
        consumer: &'a Consumer,
        start: Id,
        end: Id,
    ) -> impl Iterator<Item = (Id, &'a Pending)> {
        let range = (start <= end).then(|| consumer.pending.range(start..=end));
        range
            .into_iter()
            .flatten()
            .filter_map(|&id| Some((id, self.pending.get(&id)?)))
    }

    /// The ids behind `after` that are pending for one consumer, at most `count`.
    pub(crate) fn pending_ids_of(&self, consumer: &[u8], after: Id, count: usize) -> Vec<Id> {
        let consumer = self.consumers.get(consumer);
        let (Some(consumer), Some(start)) = (consumer, after.next()) else {
            return Vec::new();
        };
        consumer
            .pending
            .range(start..)
            .copied()
            .take(count)
            .collect()
    }

    /// Notes that an entry is delivered to a consumer for the first time.
    pub(crate) fn deliver(&mut self, id: Id, consumer: &[u8], now_ms: u64) {
        self.assign(id, consumer, now_ms, 1);
        self.activate(consumer, now_ms);
    }

    /// Makes an entry pending for a consumer, whoever had it. Answers whether there is such a
    /// consumer; if not, nothing happens.
    pub(crate) fn assign(
        &mut self,
        id: Id,
        consumer: &[u8],
        delivered_at_ms: u64,
        deliveries: u64,
    ) -> bool {
        let Some((name, _)) = self.consumers.get_key_value(consumer) else {
            return false;
        };
        let pending = Pending {
            consumer: Some(name.clone()),
            at: delivered_at_ms,
            deliveries,
        };
        let previous = self
            .keep(id, pending)
            .and_then(|previous| previous.consumer);
        if let Some(previous) = previous.filter(|previous| &**previous != consumer) {
            self.unlist(&previous, id);
        }
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.pending.insert(id);
        }
        true
    }

    /// Notes that a pending entry was delivered once more to the consumer that has it.
    pub(crate) fn deliver_again(&mut self, id: Id, now_ms: u64) {
        self.change(id, |pending| {
            if pending.consumer.is_some() {
                pending.at = now_ms;
            }
            pending.deliveries = pending.deliveries.saturating_add(1);
        });
    }

    /// Takes an entry off the pending ones: it was acknowledged, or is no more. Answers whether
    /// it was pending.
    pub(crate) fn forget(&mut self, id: Id) -> bool {
        let Some(pending) = self.take(id) else {
            return false;
        };
        if let Some(consumer) = pending.consumer {
            self.unlist(&consumer, id);
        }
        true
    }

    // --- entries that may be claimed -----------------------------------------------------------

    /// Gives an entry back, whoever had it: it is pending and nobody has it, behind all others that
    /// were given back.
    pub(crate) fn release(&mut self, id: Id, deliveries: u64) {
        let pending = Pending {
            consumer: None,
            at: self.released,
            deliveries,
        };
        self.released += 1;
        let previous = self
            .keep(id, pending)
            .and_then(|previous| previous.consumer);
        if let Some(previous) = previous {
            self.unlist(&previous, id);
        }
    }

    /// How many pending entries nobody has. O(n).
    #[cfg(test)]
    fn released_len(&self) -> usize {
        { self.pending.values() }
            .filter(|pending| pending.consumer.is_none())
            .count()
    }

    /// The ids of up to `count` entries that have been pending for so long, in the order of their turns.
    pub(crate) fn claimable(&mut self, idle_min_ms: u64, now_ms: u64, count: usize) -> Vec<Id> {
        let turns = self.turns();
        let is_idle = |turn: &&Turn| !turn.is_had || is_idle(turn.at, idle_min_ms, now_ms);
        let idle = turns.iter().take_while(is_idle);
        idle.take(count).map(|turn| turn.id).collect()
    }

    /// When the entry was delivered whose turn is next, if anybody has one.
    pub(crate) fn first_delivered_at_ms(&mut self) -> Option<u64> {
        let first = self.turns().first()?;
        first.is_had.then_some(first.at)
    }

    fn turns(&mut self) -> &BTreeSet<Turn> {
        let pending = &self.pending;
        self.turns.get_or_insert_with(|| {
            let turns = pending.iter().map(|(id, pending)| pending.turn(*id));
            turns.collect()
        })
    }

    // --- the views -----------------------------------------------------------------------------

    fn keep(&mut self, id: Id, pending: Pending) -> Option<Pending> {
        let turn = pending.turn(id);
        let previous = self.pending.insert(id, pending);
        if let Some(turns) = &mut self.turns {
            if let Some(previous) = &previous {
                turns.remove(&previous.turn(id));
            }
            turns.insert(turn);
        }
        previous
    }

    fn take(&mut self, id: Id) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        if let Some(turns) = &mut self.turns {
            turns.remove(&pending.turn(id));
        }
        Some(pending)
    }

    fn change(&mut self, id: Id, change: impl FnOnce(&mut Pending)) {
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        let before = pending.turn(id);
        change(pending);
        if let Some(turns) = &mut self.turns {
            turns.remove(&before);
            turns.insert(pending.turn(id));
        }
    }

    fn unlist(&mut self, consumer: &[u8], id: Id) {
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.pending.remove(&id);
        }
    }

    /// Bytes held on the heap and in the group itself. The nodes of the maps count as what they
    /// hold. O(1).
    pub(crate) fn bytes(&self) -> usize {
        let consumer = size_of::<(Arc<[u8]>, Consumer)>() + 2 * size_of::<usize>();
        // What nobody has is in one view less; it counts as if it were not.
        let pending = size_of::<(Id, Pending)>() + size_of::<Id>();
        size_of::<Group>()
            + self.name_bytes
            + self.consumers.len() * consumer
            + self.pending.len() * pending
            + self
                .turns
                .as_ref()
                .map_or(0, |turns| turns.len() * size_of::<Turn>())
    }

    /// What [`Group::bytes`] counts, by a walk: of the pending ones, each view has its own.
    #[cfg(test)]
    pub(super) fn walked_bytes(&self) -> usize {
        let consumers = self.consumers.iter().map(|(name, consumer)| {
            let counts_of_name = 2 * size_of::<usize>();
            let pending = consumer.pending.iter().map(size_of_val).sum::<usize>();
            size_of_val(name) + counts_of_name + name.len() + size_of_val(consumer) + pending
        });
        let pending = self.pending.iter();
        let pending = pending.map(|(id, pending)| size_of_val(id) + size_of_val(pending));
        let turns = self.turns.iter().flat_map(|turns| turns.iter());
        let turns = turns.map(size_of_val).sum::<usize>();
        let missing = self.released_len() * size_of::<Id>();
        size_of::<Group>() + consumers.sum::<usize>() + pending.sum::<usize>() + turns + missing
    }
}

impl Pending {
    /// Whether it was delivered at least so long ago. A clock that went back makes nothing wait
    /// that need not.
    pub(crate) fn is_idle(&self, idle_min_ms: u64, now_ms: u64) -> bool {
        self.consumer.is_none() || is_idle(self.at, idle_min_ms, now_ms)
    }

    /// When it was delivered, if anybody has it.
    pub(crate) fn delivered_at_ms(&self) -> Option<u64> {
        self.consumer.is_some().then_some(self.at)
    }

    /// For how long it has been pending, in milliseconds, as Redis shows it: -1 if nobody has it.
    pub(crate) fn idle_ms(&self, now_ms: u64) -> i64 {
        let delivered_at_ms = self.delivered_at_ms();
        delivered_at_ms.map_or(-1, |at_ms| now_ms.saturating_sub(at_ms) as i64)
    }

    fn turn(&self, id: Id) -> Turn {
        Turn {
            is_had: self.consumer.is_some(),
            at: self.at,
            id,
        }
    }
}

fn is_idle(delivered_at_ms: u64, idle_min_ms: u64, now_ms: u64) -> bool {
    idle_min_ms == 0 || now_ms.saturating_sub(delivered_at_ms) >= idle_min_ms
}

impl Consumer {
    /// When it last asked for something.
    pub(crate) fn seen_ms(&self) -> u64 {
        self.seen_ms
    }

    /// How many entries are pending for it.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }
}
