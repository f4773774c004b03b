//! The table against a map of the standard library, and its promises about scans and samples.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// An entry of the simplest kind: a number as its key, and a value.
#[derive(Debug)]
struct Pair {
    key: [u8; 4],
    value: u32,
}

impl Keyed for Pair {
    fn key(&self) -> &[u8] {
        &self.key
    }
}

/// The table and its model, changed together.
struct Both {
    table: Table<Pair>,
    model: HashMap<u32, u32>,
}

impl Both {
    fn new(seed: u64) -> Self {
        Self {
            table: Table::new(Seed::new(seed, !seed)),
            model: HashMap::new(),
        }
    }

    fn hash(&self, key: u32) -> u64 {
        self.table.seed().hash(&key.to_be_bytes())
    }

    fn insert(&mut self, key: u32, value: u32) {
        let hash = self.hash(key);
        match self.table.find_mut(hash, &key.to_be_bytes()) {
            Some(pair) => pair.value = value,
            None => self.table.insert(
                hash,
                Pair {
                    key: key.to_be_bytes(),
                    value,
                },
            ),
        }
        self.model.insert(key, value);
    }

    fn remove(&mut self, key: u32) {
        let removed = self.table.remove(self.hash(key), &key.to_be_bytes());
        assert_eq!(removed.map(|pair| pair.value), self.model.remove(&key));
    }

    fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let keys: Vec<u32> = self.model.keys().copied().collect();
        { keys.into_iter() }
            .filter(|key| !keep(*key))
            .for_each(|key| self.remove(key));
    }

    fn check(&self) {
        self.table.check_invariants();
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.table.is_empty(), self.model.is_empty());
        let held: HashMap<u32, u32> = self
            .table
            .iter()
            .map(|pair| (number(pair), pair.value))
            .collect();
        assert_eq!(held, self.model);
        for (key, value) in &self.model {
            let found = self.table.find(self.hash(*key), &key.to_be_bytes());
            assert_eq!(found.map(|pair| pair.value), Some(*value));
        }
    }
}

fn number(pair: &Pair) -> u32 {
    u32::from_be_bytes(pair.key)
}

/// Every key of a scan from the beginning to the end, with `between` called after each step.
fn scanned(both: &mut Both, mut between: impl FnMut(&mut Both)) -> Vec<u32> {
    let mut keys = Vec::new();
    let mut position = Some(0);
    while let Some(at) = position {
        assert_eq!(at & BELOW_POSITION, 0);
        position = both.table.scan(at, &mut |pair| keys.push(number(pair)));
        assert!(position.is_none_or(|next| next > at));
        between(both);
    }
    keys
}

/// What one step of a random run does.
#[derive(Clone, Debug)]
enum Step {
    Insert { from: u32, count: u32 },
    Remove { from: u32, count: u32 },
    RetainMultiplesOf(u32),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert = (0..20_000u32, 0..6_000u32).prop_map(|(from, count)| Step::Insert { from, count });
    let remove = (0..20_000u32, 0..9_000u32).prop_map(|(from, count)| Step::Remove { from, count });
    let step = prop_oneof![
        6 => insert,
        5 => remove,
        1 => (1..20u32).prop_map(Step::RetainMultiplesOf),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..12)
}

fn run(both: &mut Both, step: &Step) {
    match *step {
        Step::Insert { from, count } => (from..from + count).for_each(|key| both.insert(key, key)),
        Step::Remove { from, count } => (from..from + count).for_each(|key| both.remove(key)),
        Step::RetainMultiplesOf(number) => both.retain(|key| key % number == 0),
        Step::Clear => {
            both.table.clear();
            both.model.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_does_what_a_map_does(seed: u64, steps in steps()) {
        let mut both = Both::new(seed);
        for step in &steps {
            run(&mut both, step);
            both.check();
        }
    }

    #[test]
    fn small_tables_do_what_a_map_does(
        seed: u64,
        steps in prop::collection::vec((any::<bool>(), 0..60u32), 0..400),
    ) {
        let mut both = Both::new(seed);
        for (inserts, key) in steps {
            if inserts { both.insert(key, key + 1) } else { both.remove(key) }
            both.check();
        }
    }

    #[test]
    fn a_scan_visits_once_what_is_there_throughout(
        seed: u64,
        before in 1..12_000u32,
        steps in prop::collection::vec((0..40_000u32, 0..4_000u32, any::<bool>()), 0..30),
    ) {
        let mut both = Both::new(seed);
        (0..before).for_each(|key| both.insert(key, 0));
        let mut removed = HashSet::new();
        let mut steps = steps.into_iter();
        let mut call = 0;

        let keys = scanned(&mut both, |both| {
            call += 1;
            if call % 7 != 0 {
                return;
            }
            let Some((from, count, inserts)) = steps.next() else { return };
            if inserts {
                let absent = (from..from + count).filter(|key| !removed.contains(key));
                absent.for_each(|key| both.insert(key, 1));
            } else {
                (from..from + count).for_each(|key| both.remove(key));
                removed.extend(from..from + count);
            }
        });

        let once: HashSet<u32> = keys.iter().copied().collect();
        prop_assert_eq!(once.len(), keys.len(), "nothing twice");
        for key in (0..before).filter(|key| !removed.contains(key)) {
            prop_assert!(once.contains(&key), "{} was there throughout", key);
        }
        both.check();
    }
}

#[test]
fn a_scan_survives_that_the_table_shrinks_to_almost_nothing_and_grows_again() {
    let mut both = Both::new(7);
    (0..50_000).for_each(|key| both.insert(key, 0));
    let mut call = 0;

    let keys = scanned(&mut both, |both| {
        call += 1;
        match call {
            100 => both.retain(|key| key % 1_000 == 0),
            120 => (100_000..150_000).for_each(|key| both.insert(key, 0)),
            140 => (100_000..150_000).for_each(|key| both.remove(key)),
            _ => {}
        }
    });

    let throughout = (0..50_000).step_by(1_000);
    assert!(throughout.into_iter().all(|key| keys.contains(&key)));
}

#[test]
fn a_scan_of_a_sparse_table_does_not_call_for_every_empty_bucket() {
    let mut both = Both::new(3);
    (0..100_000).for_each(|key| both.insert(key, 0));
    both.retain(|key| key == 77);
    let mut calls = 0;

    assert_eq!(scanned(&mut both, |_| calls += 1), [77]);

    assert!(calls < 10, "{calls} calls");
}

#[test]
fn any_number_is_a_position() {
    let mut both = Both::new(3);
    (0..5_000).for_each(|key| both.insert(key, 0));

    for position in [1, 0xff_ffff, 1 << 40, u64::MAX, u64::MAX << 24] {
        let next = both.table.scan(position, &mut |_| {});
        assert!(next.is_none_or(|next| next > position));
    }
}

#[test]
fn an_empty_table_holds_no_memory() {
    let mut both = Both::new(1);
    assert_eq!(both.table.bytes(), 0);
    assert_eq!(both.table.scan(0, &mut |_| {}), None);
    assert!(both.table.sample(5).is_none());
    assert_eq!(both.table.drain().count(), 0);

    (0..10_000).for_each(|key| both.insert(key, 0));
    assert!(both.table.bytes() > 0);
    (0..10_000).for_each(|key| both.remove(key));

    assert_eq!(both.table.bytes(), 0);
}

#[test]
fn a_growing_table_holds_at_most_15_bytes_an_entry() {
    let mut table: Table<Box<Pair>> = Table::new(Seed::new(3, 4));
    for key in 0..200_000u32 {
        let pair = Box::new(Pair {
            key: key.to_be_bytes(),
            value: 0,
        });
        table.insert(table.seed().hash(&pair.key), pair);
        if key > 1_000 && key % 10_000 == 0 {
            assert!(
                table.bytes() / table.len() <= 15,
                "{} for {key}",
                table.bytes()
            );
        }
    }
    assert_eq!(size_of::<Bucket<Box<Pair>>>(), 64);
}

impl Keyed for Box<Pair> {
    fn key(&self) -> &[u8] {
        &self.key
    }
}

#[test]
fn a_table_gives_memory_back_when_entries_leave() {
    let mut both = Both::new(9);
    (0..100_000).for_each(|key| both.insert(key, 0));
    let full = both.table.bytes();

    (0..99_000).for_each(|key| both.remove(key));

    both.check();
    assert!(
        both.table.bytes() < full / 20,
        "{} of {full}",
        both.table.bytes()
    );
}

#[test]
fn a_drained_table_is_empty_and_has_given_everything() {
    let mut both = Both::new(4);
    (0..3_000).for_each(|key| both.insert(key, 0));

    let drained: HashSet<u32> = both.table.drain().map(|pair| number(&pair)).collect();

    assert_eq!(drained.len(), 3_000);
    assert!(both.table.is_empty());
    both.table.check_invariants();
}

#[test]
fn an_entry_is_found_and_taken_by_hash_and_condition_alone() {
    let mut both = Both::new(6);
    (0..3_000).for_each(|key| both.insert(key, key));
    let hash = both.hash(42);

    let none = both.table.remove_where(hash, |pair| pair.value != 42);
    let found = both
        .table
        .find_where(hash, |pair| pair.value == 42)
        .map(|pair| pair.value);
    let removed = both.table.remove_where(hash, |pair| pair.value == 42);

    assert!(none.is_none());
    assert_eq!(found, Some(42));
    assert_eq!(removed.map(|pair| number(&pair)), Some(42));
    assert!(both.table.find(hash, &42u32.to_be_bytes()).is_none());
}

#[test]
fn a_sample_is_a_member_and_every_member_has_its_chance() {
    for len in [1u32, 5, 100, 5_000] {
        let mut both = Both::new(u64::from(len));
        (0..len).for_each(|key| both.insert(key, 0));
        let mut times = vec![0u32; len as usize];

        for random in 0..u64::from(len) * 40 {
            let pair = both
                .table
                .sample(random.wrapping_mul(0x9e37_79b9))
                .expect("not empty");
            times[number(pair) as usize] += 1;
        }

        // 40 expected each; a Poisson variable leaves 8..90 less than once in ten million.
        assert!(
            times.iter().all(|times| (8..90).contains(times)),
            "{len}: {times:?}"
        );
    }
}

#[test]
fn a_sample_is_found_where_entries_are_sparse() {
    let mut both = Both::new(2);
    (0..20_000).for_each(|key| both.insert(key, 0));
    both.retain(|key| key < 3);

    let seen: HashSet<u32> = (0..200)
        .filter_map(|random| both.table.sample(random))
        .map(number)
        .collect();

    assert_eq!(seen, HashSet::from([0, 1, 2]));
}

/// So many keys with the same leading bits cannot come up by chance. If they did, the segment would
/// grow beyond its limit, and nothing would be lost.
#[test]
fn a_segment_at_the_last_depth_grows_on() {
    let mut segment: Segment<Pair> = Segment::with_room(0, DEPTH_MAX, 0);
    for value in 0..40_000u32 {
        if segment.is_full() {
            let mut larger = Segment::with_room(0, DEPTH_MAX, segment.len as usize + 1);
            for pair in std::mem::replace(&mut segment, Segment::with_room(0, 0, 0)).into_entries()
            {
                larger.insert(u64::from(pair.value), pair);
            }
            segment = larger;
        }
        segment.insert(
            u64::from(value),
            Pair {
                key: value.to_be_bytes(),
                value,
            },
        );
    }

    for value in 0..40_000u32 {
        let place = segment.place(u64::from(value), |pair| pair.value == value);
        assert!(place.is_some());
    }
}

#[test]
fn hints_are_harmless() {
    let mut both = Both::new(2);
    both.table.prefetch(1);
    both.table.prefetch_entry(1);
    (0..3_000).for_each(|key| both.insert(key, 0));

    for key in 0..6_000 {
        both.table.prefetch(both.hash(key));
        both.table.prefetch_entry(both.hash(key));
    }
}

#[test]
fn searches_stay_short_while_entries_come_and_go() {
    let mut both = Both::new(8);
    (0..3_000).for_each(|key| both.insert(key, 0));

    for key in 0..100_000 {
        both.remove(key);
        both.insert(key + 3_000, 0);
    }

    both.check();
    let segments = &both.table.segments;
    let passed: u32 = segments
        .iter()
        .flat_map(|segment| &segment.buckets)
        .map(|bucket| bucket.tags[PASSED].count_ones())
        .sum();
    let buckets: usize = segments.iter().map(|segment| segment.buckets.len()).sum();
    assert!(
        passed as usize <= buckets * 4,
        "{passed} bits in {buckets} buckets"
    );
}
