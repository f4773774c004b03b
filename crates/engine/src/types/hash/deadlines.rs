//! Deadlines: which fields of a hash expire when.
//!
//! The same deadlines are held in two views:
//!
//! - `fields` finds the deadline of a field, in O(1);
//! - `order` is a heap of the deadlines, the soonest on top, each with the hash of its field.
//!
//! Invariant: a field of `fields` has its deadline in `order`. What else is in `order` is stale: its
//! field is gone, or has another deadline. It is dropped when it comes to the top, and when there is
//! more of it than of the rest, `order` is made anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::hash::Seed;
use crate::keyspace::table::{Keyed, Table};
use crate::types::thin::Thin;

/// The deadlines of the fields of one hash.
pub(super) struct Deadlines {
    fields: Table<Deadline>,
    /// How many bytes the fields have allocated.
    field_bytes: usize,
    order: BinaryHeap<Reverse<Place>>,
}

/// A deadline in Unix milliseconds, and the hash of the field that has it.
type Place = (u64, u64);

/// So many stale places are no reason to make the order anew.
const STALE_MIN: usize = 16;

impl Deadlines {
    /// No deadlines.
    pub(super) fn new(seed: Seed) -> Deadlines {
        Deadlines {
            fields: Table::new(seed),
            field_bytes: 0,
            order: BinaryHeap::new(),
        }
    }

    /// Whether no field has a deadline.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The deadline of a field.
    pub(super) fn get(&self, field: &[u8]) -> Option<u64> {
        let found = self.fields.find(self.fields.seed().hash(field), field)?;
        Some(found.at_ms())
    }

    /// Gives a field this deadline.
    pub(super) fn set(&mut self, field: &[u8], at_ms: u64) {
        let hash = self.fields.seed().hash(field);
        match self.fields.find_mut(hash, field) {
            Some(found) if found.at_ms() == at_ms => return,
            Some(found) => *found = Deadline::new(field, at_ms),
            None => {
                let deadline = Deadline::new(field, at_ms);
                self.field_bytes += deadline.0.heap_bytes();
                self.fields.insert(hash, deadline);
            }
        }
        self.order.push(Reverse((at_ms, hash)));
        self.settle();
    }

    /// Takes the deadline of a field away.
    pub(super) fn remove(&mut self, field: &[u8]) {
        let hash = self.fields.seed().hash(field);
        if let Some(removed) = self.fields.remove(hash, field) {
            self.field_bytes -= removed.0.heap_bytes();
            self.settle();
        }
    }

    /// The soonest deadline.
    pub(super) fn next(&mut self) -> Option<u64> {
        while let Some(&Reverse((at_ms, hash))) = self.order.peek() {
            let is_it = |deadline: &Deadline| deadline.at_ms() == at_ms;
            if self.fields.find_where(hash, is_it).is_some() {
                return Some(at_ms);
            }
            self.order.pop();
        }
        None
    }

    /// Takes the soonest deadline away, if it is not later than this, and answers its field.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Deadline> {
        let at_ms = self.next().filter(|at_ms| *at_ms <= now_ms)?;
        let hash = self.order.peek()?.0.1;
        let is_it = |deadline: &Deadline| deadline.at_ms() == at_ms;
        // Its place stays for now: another field may have the same one.
        let due = self.fields.remove_where(hash, is_it)?;
        self.field_bytes -= due.0.heap_bytes();
        Some(due)
    }

    /// All fields with their deadlines.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.fields.iter().map(|one| (one.key(), one.at_ms()))
    }

    /// How many bytes are allocated.
    pub(super) fn bytes(&self) -> usize {
        self.fields.bytes() + self.field_bytes + self.order.capacity() * size_of::<Place>()
    }

    /// Makes the order anew if most of it is stale.
    fn settle(&mut self) {
        if self.order.len() > 2 * self.fields.len() + STALE_MIN {
            let seed = self.fields.seed();
            let places = self.fields.iter();
            let places = places.map(|one| Reverse((one.at_ms(), seed.hash(one.key()))));
            self.order = places.collect::<Vec<_>>().into();
        }
    }
}

/// A field that has a deadline, in one allocation: the deadline, the field.
pub(super) struct Deadline(Thin);

const TIME_BYTES: usize = size_of::<u64>();

impl Deadline {
    fn new(field: &[u8], at_ms: u64) -> Deadline {
        Deadline(Thin::new(&[&at_ms.to_le_bytes(), field]))
    }

    fn at_ms(&self) -> u64 {
        let time = self.0.content().first_chunk().copied();
        u64::from_le_bytes(time.unwrap_or_default())
    }
}

impl Keyed for Deadline {
    fn key(&self) -> &[u8] {
        self.0.content().get(TIME_BYTES..).unwrap_or_default()
    }

    fn prefetch(&self) {
        self.0.prefetch();
    }
}
