//! Agenda: which keys of one table fall due when, at eight bytes a record.
//!
//! An expired key is never seen, but it also has to leave the memory when nobody asks for it. So
//! every key with an expiry has a record here: its hash, filed under the quarter of a second (256
//! milliseconds, a *slot*) in which it falls due. The key itself is found again by its hash.
//!
//! The rule that keeps this small:
//!
//! - An entry has at most one live record, in the slot that the entry itself remembers as *filed*.
//! - An expiry that is set later than the live record leaves the record where it is. When the
//!   record fires, the entry turns out not to be due and is filed again. A session that is
//!   refreshed a thousand times a second costs one record.
//! - An expiry that is set earlier adds a record, and the entry remembers the new slot. The old
//!   record is stale: when it fires, the entry says another slot, or is gone.
//! - So whoever takes a record looks for an entry with that hash *and* that filed slot, and ignores
//!   the record if there is none. Removing a key or its expiry touches nothing here.
//! - When stale records outnumber live ones, the agenda is built anew from the table.
//!
//! An agenda knows no keys and no clock.

use std::collections::BTreeMap;

/// How many bits of a time in milliseconds a slot covers: 256 ms.
const SLOT_BITS: u32 = 8;
/// So many stale records are no reason to build anew.
const STALE_MIN: usize = 1024;

/// The records of one table.
#[derive(Default)]
pub(crate) struct Agenda {
    /// The hashes filed under each slot. No list is empty.
    due: BTreeMap<u64, Vec<u64>>,
    records: usize,
}

impl Agenda {
    /// How many records there are, live and stale.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.records
    }

    /// Files an entry that falls due at `at_ms`, and answers the slot that the entry must remember.
    ///
    /// `filed` is the slot that it remembers now, if it has a live record.
    #[must_use = "the entry must remember the slot"]
    pub(crate) fn file(&mut self, hash: u64, at_ms: u64, filed: Option<u64>) -> u64 {
        let slot = at_ms >> SLOT_BITS;
        if let Some(filed) = filed.filter(|filed| *filed <= slot) {
            return filed;
        }
        self.due.entry(slot).or_default().push(hash);
        self.records += 1;
        slot
    }

    /// Takes up to `limit` records, as slot and hash, whose slot is wholly past at `now_ms`.
    ///
    /// For each, the entry with this hash and this filed slot has no live record any more: it is
    /// expired and to be removed, or to be filed again with `filed` as `None`.
    pub(crate) fn take_due(&mut self, now_ms: u64, limit: usize) -> Vec<(u64, u64)> {
        let now = now_ms >> SLOT_BITS;
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(mut slot) = self.due.first_entry().filter(|slot| *slot.key() < now) else {
                break;
            };
            let (time, hashes) = (*slot.key(), slot.get_mut());
            let rest = hashes.len().saturating_sub(limit - taken.len());
            taken.extend(hashes.drain(rest..).map(|hash| (time, hash)));
            if rest == 0 {
                slot.remove();
            }
        }
        self.records -= taken.len();
        taken
    }

    /// The time in milliseconds at which [`Agenda::take_due`] will have something, if it ever will.
    #[cfg(test)]
    fn next_due(&self) -> Option<u64> {
        let (slot, _) = self.due.first_key_value()?;
        Some((slot << SLOT_BITS).saturating_add(1 << SLOT_BITS))
    }

    /// Whether stale records outnumber live ones, of which there are `volatile_keys` at most.
    pub(crate) fn needs_rebuild(&self, volatile_keys: usize) -> bool {
        self.records > 2 * volatile_keys + STALE_MIN
    }

    /// Begins anew with one record for each entry that has an expiry.
    ///
    /// Each comes with its hash and its expiry, and must remember the slot of that expiry:
    /// [`Agenda::slot`] says which.
    pub(crate) fn rebuild(&mut self, volatile: impl IntoIterator<Item = (u64, u64)>) {
        *self = Self::default();
        for (hash, at_ms) in volatile {
            let _ = self.file(hash, at_ms, None);
        }
    }

    /// The slot under which [`Agenda::file`] files this time, if the entry has no live record.
    pub(crate) fn slot(at_ms: u64) -> u64 {
        at_ms >> SLOT_BITS
    }

    /// How many bytes the records take, about.
    pub(crate) fn bytes(&self) -> usize {
        // A list's header lies in the map beside its slot, in nodes that are two thirds full.
        let slot = (size_of::<u64>() + size_of::<Vec<u64>>()) * 3 / 2;
        self.due.len() * slot + self.records * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_taken_when_its_slot_is_wholly_past() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.file(7, 1_000, None), 3);

        assert_eq!(agenda.next_due(), Some(1_024));
        assert_eq!(agenda.take_due(1_023, 10), []);
        assert_eq!(agenda.take_due(1_024, 10), [(3, 7)]);

        assert_eq!((agenda.len(), agenda.next_due()), (0, None));
    }

    #[test]
    fn no_more_are_taken_than_asked_for_and_the_rest_stays() {
        let mut agenda = Agenda::default();
        for hash in 0..10 {
            let _ = agenda.file(hash, hash * 100, None);
        }

        let first = agenda.take_due(10_000, 4);
        let rest = agenda.take_due(10_000, 100);

        assert_eq!((first.len(), rest.len(), agenda.len()), (4, 6, 0));
        assert!(first.iter().map(|(slot, _)| slot).is_sorted());
        let mut hashes: Vec<u64> = first
            .into_iter()
            .chain(rest)
            .map(|(_, hash)| hash)
            .collect();
        hashes.sort_unstable();
        assert!(hashes.into_iter().eq(0..10));
    }

    #[test]
    fn an_expiry_that_moves_later_keeps_its_record() {
        let mut agenda = Agenda::default();
        let filed = agenda.file(7, 1_000, None);

        for at_ms in [1_001, 5_000, 3_000] {
            assert_eq!(agenda.file(7, at_ms, Some(filed)), filed);
        }

        assert_eq!(agenda.len(), 1);
    }

    #[test]
    fn an_expiry_that_moves_earlier_leaves_a_stale_record() {
        let mut agenda = Agenda::default();
        let filed = agenda.file(7, 5_000, None);

        assert_eq!(agenda.file(7, 1_000, Some(filed)), 3);

        assert_eq!(agenda.take_due(9_000, 10), [(3, 7), (filed, 7)]);
    }

    #[test]
    fn an_agenda_full_of_stale_records_is_built_anew() {
        let mut agenda = Agenda::default();
        let mut filed = None;
        for at_ms in (0..2_000u64).rev() {
            filed = Some(agenda.file(7, at_ms << SLOT_BITS, filed));
        }
        assert!(agenda.needs_rebuild(1));

        agenda.rebuild([(7, 0)]);

        assert!(!agenda.needs_rebuild(1));
        assert_eq!(agenda.take_due(u64::MAX, 10), [(Agenda::slot(0), 7)]);
    }

    proptest! {
        /// Entries are given expiries at random while time passes; each is removed as soon as its
        /// slot is past, and none before it is due.
        #[test]
        fn every_key_leaves_when_it_is_due(
            steps in prop::collection::vec((0..20u64, 1..5_000u64, 0..600u64), 1..200),
        ) {
            let mut agenda = Agenda::default();
            let mut entries: HashMap<u64, (u64, u64)> = HashMap::new();
            let mut now_ms = 0;
            for (hash, ttl_ms, pass_ms) in steps {
                let filed = entries.get(&hash).map(|(_, filed)| *filed);
                let filed = agenda.file(hash, now_ms + ttl_ms, filed);
                entries.insert(hash, (now_ms + ttl_ms, filed));
                now_ms += pass_ms;
                for (slot, hash) in agenda.take_due(now_ms, usize::MAX) {
                    let Some(entry) = entries.get_mut(&hash).filter(|entry| entry.1 == slot) else {
                        continue;
                    };
                    if entry.0 <= now_ms {
                        entries.remove(&hash);
                    } else {
                        entry.1 = agenda.file(hash, entry.0, None);
                    }
                }
                let slot = Agenda::slot(now_ms);
                prop_assert!(entries.values().all(|(at_ms, _)| Agenda::slot(*at_ms) >= slot));
            }
        }
    }
}
