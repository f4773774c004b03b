//! A database's keys and their records, against a model that knows only times.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::keyspace::table::Keyed;

const START_MS: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;
/// Stale records that are allowed however few keys there are.
const STALE_MAX: usize = 300;

/// A database, its clock, and what should be in it.
struct Both {
    db: Db,
    now_ms: u64,
    model: HashMap<u32, Option<u64>>,
}

impl Both {
    fn new() -> Both {
        let mut both = Both {
            db: Db::new(Seed::new(1, 2)),
            now_ms: START_MS,
            model: HashMap::new(),
        };
        both.tick(64);
        both
    }

    fn hash(&self, key: u32) -> u64 {
        self.db.table.seed().hash(&key.to_be_bytes())
    }

    fn set(&mut self, key: u32, at: Option<u64>) {
        let (hash, bytes) = (self.hash(key), key.to_be_bytes());
        self.db.put(
            hash,
            &bytes,
            |_| at,
            |entry, at| entry.set_string_until(b"value", at),
            |at| Entry::string_until(&bytes, b"value", at),
        );
        self.model.insert(key, at);
    }

    fn set_expiry(&mut self, key: u32, at: Option<u64>) {
        self.db.set_expiry(self.hash(key), &key.to_be_bytes(), at);
        self.model.entry(key).and_modify(|old| *old = at);
    }

    fn remove(&mut self, key: u32) {
        let removed = self.db.remove(self.hash(key), &key.to_be_bytes());
        assert_eq!(
            removed.map(|entry| entry.expires_at()),
            self.model.remove(&key)
        );
    }

    fn rename(&mut self, key: u32, new: u32) {
        self.remove_quietly(new);
        if let Some(entry) = self.db.remove(self.hash(key), &key.to_be_bytes()) {
            self.db
                .insert(self.hash(new), entry.with_key(&new.to_be_bytes()));
        }
        if let Some(at) = self.model.remove(&key) {
            self.model.insert(new, at);
        }
    }

    fn remove_quietly(&mut self, key: u32) {
        if self.model.contains_key(&key) {
            self.remove(key);
        }
    }

    /// Lets the time pass, in steps of so many records.
    fn tick(&mut self, limit: usize) {
        let mut expired = Vec::new();
        let mut steps = 0;
        while self.db.expire(self.now_ms, limit, &mut expired) {
            steps += 1;
            assert!(steps < 100_000, "it comes to an end");
        }
    }

    /// What is past by more than a slot is gone, and all that is ahead is there.
    fn check(&mut self) {
        let (now_ms, slot) = (self.now_ms, self.now_ms >> 8);
        self.check_bounds();
        let table = &self.db.table;
        self.model.retain(|key, at| {
            let hash = table.seed().hash(&key.to_be_bytes());
            let found = table.find(hash, &key.to_be_bytes());
            if found.is_none() {
                assert!(at.is_some_and(|at| at <= now_ms), "{key} is lost, {at:?}");
                return false;
            }
            assert_eq!(found.and_then(Entry::expires_at), *at);
            assert!(at.is_none_or(|at| at >> 8 >= slot), "{key} is late, {at:?}");
            true
        });
    }

    fn check_bounds(&self) {
        self.db.expiries.check_invariants();
        let (records, volatile) = (self.db.expiries.records(), self.db.volatile);
        let counted = { self.db.table.iter() }.filter(|entry| entry.expires_at().is_some());
        assert_eq!(volatile, counted.count());
        let max = 2 * volatile + STALE_MAX;
        assert!(records <= max, "{records} records, {volatile} keys");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, Option<u64>),
    SetExpiry(u32, Option<u64>),
    Remove(u32),
    Rename(u32, u32),
    /// A lock is taken and released.
    Lock(u32),
    Forward(u64),
    Back(u64),
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        3 => (1..2_000u64).prop_map(Some),
        3 => (1..100_000u64).prop_map(Some),
        2 => (1..10 * HOUR).prop_map(Some),
        2 => (1..2_000 * HOUR).prop_map(Some),
        1 => (1..100_000 * HOUR).prop_map(Some),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..40u32;
    prop_oneof![
        6 => (key(), ttl()).prop_map(|(key, ttl)| Step::Set(key, ttl)),
        4 => (key(), ttl()).prop_map(|(key, ttl)| Step::SetExpiry(key, ttl)),
        3 => key().prop_map(Step::Remove),
        1 => (key(), 0..40u32).prop_map(|(key, new)| Step::Rename(key, new)),
        2 => key().prop_map(Step::Lock),
        4 => (0..2_000u64).prop_map(Step::Forward),
        2 => (0..200_000u64).prop_map(Step::Forward),
        2 => (0..100 * HOUR).prop_map(Step::Forward),
        1 => (0..20_000 * HOUR).prop_map(Step::Forward),
        1 => (0..5_000u64).prop_map(Step::Back),
        1 => (0..1_000 * HOUR).prop_map(Step::Back),
    ]
}

fn run(both: &mut Both, step: Step, limit: usize) {
    let at = |ttl: Option<u64>| ttl.map(|ttl| both.now_ms + ttl);
    match step {
        Step::Set(key, ttl) => both.set(key, at(ttl)),
        Step::SetExpiry(key, ttl) => both.set_expiry(key, at(ttl)),
        Step::Remove(key) => both.remove(key),
        Step::Rename(key, new) if key != new => both.rename(key, new),
        Step::Rename(..) => {}
        Step::Lock(key) => {
            both.set(key, at(Some(30_000)));
            both.remove(key);
        }
        Step::Forward(ms) => {
            both.now_ms += ms;
            both.tick(limit);
        }
        Step::Back(ms) => {
            both.now_ms -= ms;
            both.tick(limit);
        }
    }
}

proptest! {
    #[test]
    fn every_key_leaves_when_it_is_due_and_none_before(
        limit in 1..10usize,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut both = Both::new();
        for step in steps {
            let passes = matches!(step, Step::Forward(_) | Step::Back(_));
            run(&mut both, step, limit);
            if passes {
                both.check();
            }
        }
        both.tick(limit);
        both.check();
    }
}

#[test]
fn the_records_stay_below_twice_the_keys_whatever_is_set_and_removed() {
    let mut both = Both::new();
    // A slot that is busy: no record is among its last when its key is removed.
    let at = Some(START_MS + 30_000);
    for round in 0..40u32 {
        (0..2_000).for_each(|key| both.set(key, at));
        both.check_bounds();
        for key in 0..2_000 {
            both.remove(key * 7 % 2_000);
            if key % 100 == 0 {
                both.check_bounds();
            }
        }
        assert_eq!(both.db.volatile, 0, "round {round}");
        both.check_bounds();
    }
}

#[test]
fn an_expiry_that_moves_to_and_fro_leaves_no_heap_of_records() {
    let mut both = Both::new();
    (0..100).for_each(|key| both.set(key, Some(START_MS + HOUR)));

    for round in 0..20_000u32 {
        let ttl = [20 * HOUR, 10_000, HOUR, 100][round as usize % 4];
        both.set_expiry(round * 13 % 100, Some(START_MS + ttl));
        both.check_bounds();
    }
}

#[test]
fn a_key_that_comes_and_goes_in_one_slot_is_filed_once_after_all() {
    let mut both = Both::new();
    let at = Some(START_MS + 30_000);
    for round in 0..500 {
        both.set(0, at);
        // They are filed after it, so it is not taken back.
        (1..=16).for_each(|nth| both.set(round * 16 + nth, at));
        both.remove(0);
    }
    both.set(0, at);

    for key in 1..=8_000 {
        both.remove(key);
        if key % 100 == 0 {
            both.check_bounds();
        }
    }

    both.now_ms += 31_000;
    both.tick(64);
    both.check();
    assert_eq!((both.db.table.len(), both.db.expiries.bytes()), (0, 0));
}

#[test]
fn the_soonest_key_is_found_among_all() {
    let mut both = Both::new();
    for key in 0..1_000 {
        both.set(
            key,
            Some(START_MS + HOUR + u64::from(key * 7 % 1_000) * 1_000),
        );
    }
    // What was refreshed or removed is not the soonest any more.
    both.set_expiry(0, Some(START_MS + 100 * HOUR));
    (1_000..1_100).for_each(|key| both.set(key, Some(START_MS + 5_000)));
    (1_000..1_100).for_each(|key| both.remove(key));

    let mut last = 0;
    for _ in 0..999 {
        let entry = (0..100).find_map(|_| {
            both.db
                .soonest()
                .map(|entry| (entry.key().to_vec(), entry.expires_at()))
        });
        let (key, at) = entry.expect("there are keys");
        let at = at.expect("it has an expiry");
        assert!(at + (1 << 22) >= last, "within the width of a slot");
        last = last.max(at);
        let key = u32::from_be_bytes(key.try_into().expect("four bytes"));
        assert_ne!(key, 0, "it is last");
        both.remove(key);
    }
    assert_eq!(both.db.table.len(), 1);
}

#[test]
fn a_key_with_an_expiry_is_drawn_even_where_most_records_are_stale() {
    let mut both = Both::new();
    (0..1_000).for_each(|key| both.set(key, None));
    (1_000..1_250).for_each(|key| both.set(key, Some(START_MS + 5_000)));
    (1_000..1_250).for_each(|key| both.remove(key));
    both.set(7, Some(START_MS + HOUR));

    let drawn = (0..20).find_map(|_| both.db.sample_volatile(1).map(|entry| entry.key().to_vec()));

    assert_eq!(drawn, Some(7u32.to_be_bytes().to_vec()));
}
