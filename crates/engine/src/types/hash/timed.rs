//! Timed hash: a hash of which fields may expire.
//!
//! It holds a hash as it would be without that, small or large, and beside it the [`Deadlines`] of
//! those fields that have one:
//!
//! ```text
//!   entry ── TimedHash ── hash: its listpack or its table
//!                      └─ deadlines: none, or a table and a heap
//! ```
//!
//! It knows no clock. [`TimedHash::expire`] is told the time and removes what is due, as much of it as
//! is allowed at once. What stays is hidden from then on, so that nobody sees a field whose time has
//! come, however many there are.
//!
//! Invariant: a field that has a deadline is in the hash.

use super::deadlines::Deadlines;
use super::{FieldMap, Hash, Written};
use crate::keyspace::Slot;
use crate::keyspace::entry::{Object, Str};
use crate::keyspace::prefetch::Step;
use crate::keyspace::table::Keyed;
use crate::types::{Limits, scaled};

/// A hash of which fields may expire. See the module's documentation.
#[derive(Default)]
pub(crate) struct TimedHash {
    hash: Hash,
    /// None while no field has one.
    deadlines: Option<Box<Deadlines>>,
    /// Fields whose deadline is not later than this are hidden, if there are any.
    hidden_ms: Option<u64>,
    /// The slot under which the keyspace has filed the soonest deadline.
    filed: Option<Slot>,
}

/// How often a hidden field is drawn until the fields are counted.
const SAMPLES_MAX: u32 = 16;

impl TimedHash {
    /// A hash of which no field expires yet.
    pub(crate) fn new(hash: Hash) -> TimedHash {
        TimedHash {
            hash,
            ..TimedHash::default()
        }
    }

    /// Has a field that is there expire at this time, in Unix milliseconds, or not at all.
    pub(crate) fn set_deadline(&mut self, field: &[u8], at_ms: Option<u64>, limits: &Limits) {
        match at_ms {
            None => self.forget(field),
            Some(at_ms) => {
                let new = || Box::new(Deadlines::new(limits.seed));
                self.deadlines.get_or_insert_with(new).set(field, at_ms);
            }
        }
    }

    /// When the next field expires, if one does.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        self.deadlines.as_mut()?.next()
    }

    /// Removes up to `limit` fields whose time has come, and hides the others. Answers how many it has
    /// removed.
    pub(crate) fn expire(&mut self, now_ms: u64, limit: usize) -> usize {
        self.hidden_ms = None;
        let Some(deadlines) = &mut self.deadlines else {
            return 0;
        };
        let mut removed = 0;
        while removed < limit
            && let Some(due) = deadlines.take_due(now_ms)
        {
            self.hash.remove(due.key());
            removed += 1;
        }
        let is_due = |at_ms: u64| at_ms <= now_ms;
        self.hidden_ms = deadlines.next().is_some_and(is_due).then_some(now_ms);
        if deadlines.is_empty() {
            self.deadlines = None;
        }
        removed
    }

    /// The value of a field that has not expired at this time.
    pub(crate) fn get_at(&self, field: &[u8], now_ms: u64) -> Option<Str<'_>> {
        let at_ms = self.deadline_of(field);
        let is_due = at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        self.hash.get(field).filter(|_| !is_due)
    }

    /// The slot of the record that the keyspace has of it.
    pub(crate) fn filed(&self) -> Option<Slot> {
        self.filed
    }

    /// Remembers the slot of the record that the keyspace has of it.
    pub(crate) fn set_filed(&mut self, filed: Option<Slot>) {
        self.filed = filed;
    }

    fn deadline_of(&self, field: &[u8]) -> Option<u64> {
        self.deadlines.as_ref()?.get(field)
    }

    /// Whether the time of a field has come that is still there.
    fn is_hidden(&self, field: &[u8]) -> bool {
        self.hidden_ms.is_some_and(|hidden_ms| {
            let at_ms = self.deadline_of(field);
            at_ms.is_some_and(|at_ms| at_ms <= hidden_ms)
        })
    }

    fn is_shown(&self, (field, _): &(Str<'_>, Str<'_>)) -> bool {
        self.hidden_ms.is_none() || !field.with_bytes(|field| self.is_hidden(field))
    }

    /// Takes the deadline of a field away, if it has one.
    fn forget(&mut self, field: &[u8]) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.remove(field);
            if deadlines.is_empty() {
                self.deadlines = None;
            }
        }
    }

    /// Removes a field whose time has come.
    fn drop_hidden(&mut self, field: &[u8]) {
        if self.is_hidden(field) {
            self.forget(field);
            self.hash.remove(field);
        }
    }
}

impl Object for TimedHash {
    const TYPE_NAME: &'static str = Hash::TYPE_NAME;
    const HAS_DEADLINES: bool = true;

    fn len(&self) -> usize {
        self.hash.len()
    }

    fn encoding(&self) -> &'static str {
        match self.hash.encoding() {
            "listpack" => "listpackex",
            encoding => encoding,
        }
    }

    fn heap_bytes(&self) -> usize {
        let deadlines = self.deadlines.as_ref();
        let deadlines = deadlines.map_or(0, |some| size_of::<Deadlines>() + some.bytes());
        self.hash.bytes() + deadlines
    }

    fn copy(&self, limits: &Limits) -> TimedHash {
        let mut copy = TimedHash::new(self.hash.copy(limits));
        let deadlines = self.deadlines.iter().flat_map(|some| some.iter());
        deadlines.for_each(|(field, at_ms)| copy.set_deadline(field, Some(at_ms), limits));
        copy.hidden_ms = self.hidden_ms;
        copy
    }

    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step) {
        Object::look_ahead(&self.hash, hash, step);
    }
}

impl FieldMap for TimedHash {
    fn count(&self) -> usize {
        match self.hidden_ms {
            None => self.hash.len(),
            Some(_) => self.iter().count(),
        }
    }

    fn get(&self, field: &[u8]) -> Option<Str<'_>> {
        self.hash.get(field).filter(|_| !self.is_hidden(field))
    }

    fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written {
        self.drop_hidden(field);
        self.forget(field);
        self.hash.set(field, value, limits)
    }

    fn update(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written {
        self.drop_hidden(field);
        self.hash.set(field, value, limits)
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        self.drop_hidden(field);
        self.forget(field);
        self.hash.remove(field)
    }

    fn deadline(&self, field: &[u8]) -> Option<Option<u64>> {
        self.contains(field).then(|| self.deadline_of(field))
    }

    fn iter(&self) -> impl Iterator<Item = (Str<'_>, Str<'_>)> {
        self.hash.iter().filter(|pair| self.is_shown(pair))
    }

    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Str<'_>, Str<'_>)) -> u64 {
        self.hash.scan(cursor, &mut |field, value| {
            if self.is_shown(&(field, value)) {
                visit(field, value);
            }
        })
    }

    fn sample(&self, random: u64) -> Option<(Str<'_>, Str<'_>)> {
        if self.hidden_ms.is_none() {
            return self.hash.sample(random);
        }
        let drawn = (0..SAMPLES_MAX).find_map(|nth| {
            let pair = self.hash.sample(random.rotate_left(4 * nth))?;
            self.is_shown(&pair).then_some(pair)
        });
        drawn.or_else(|| match self.count() {
            0 => None,
            count => self.iter().nth(scaled(random, count)),
        })
    }
}

#[cfg(test)]
mod tests;
