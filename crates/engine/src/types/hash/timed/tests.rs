//! The timed hash against a map of fields to values and times.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hash::Seed;

fn limits() -> Limits {
    let limits = Limits::new(Seed::new(1, 2));
    limits.hash_max_listpack_entries.set(4);
    limits
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<u8>, Vec<u8>),
    Update(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    /// In so many milliseconds.
    Expire(Vec<u8>, Option<u64>),
    Pass {
        ms: u64,
        limit: usize,
    },
    Copy,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let field = || vec(b'a'..b'd', 0..3);
    let value = || vec(any::<u8>(), 0..4);
    let change = prop_oneof![
        3 => (field(), value()).prop_map(|(field, value)| Change::Set(field, value)),
        2 => (field(), value()).prop_map(|(field, value)| Change::Update(field, value)),
        2 => field().prop_map(Change::Remove),
        6 => (field(), prop::option::of(1..100u64)).prop_map(|(field, in_ms)| Change::Expire(field, in_ms)),
        2 => (0..40u64, 0..3usize).prop_map(|(ms, limit)| Change::Pass { ms, limit }),
        1 => Just(Change::Copy),
    ];
    vec(change, 0..120)
}

fn run(timed: &mut TimedHash, model: &mut Model, now_ms: &mut u64, change: Change) {
    match change {
        Change::Set(field, value) => {
            timed.set(&field, &value, &limits());
            model.insert(field, (value, None));
        }
        Change::Update(field, value) => {
            timed.update(&field, &value, &limits());
            model.entry(field).or_default().0 = value;
        }
        Change::Remove(field) => {
            let was_there = model.remove(&field).is_some();
            assert_eq!(timed.remove(&field), was_there);
        }
        Change::Expire(field, in_ms) => {
            let at_ms = in_ms.map(|ms| *now_ms + ms);
            if let Some((_, deadline)) = model.get_mut(&field) {
                timed.set_deadline(&field, at_ms, &limits());
                *deadline = at_ms;
            }
        }
        Change::Pass { ms, limit } => {
            *now_ms += ms;
            let before = timed.len();
            let removed = timed.expire(*now_ms, limit);
            assert!(removed <= limit && timed.len() == before - removed);
            model.retain(|_, (_, at_ms)| at_ms.is_none_or(|at_ms| at_ms > *now_ms));
        }
        Change::Copy => *timed = timed.copy(&limits()),
    }
}

/// How many fields a scan visits.
fn scanned(timed: &TimedHash) -> usize {
    let (mut fields, mut cursor) = (0, 0);
    loop {
        cursor = timed.scan(cursor, &mut |_, _| fields += 1);
        if cursor == 0 {
            return fields;
        }
    }
}

proptest! {
    #[test]
    fn it_holds_what_a_map_with_times_would_hold(changes in changes()) {
        let (mut timed, mut model, mut now_ms) = (TimedHash::default(), Model::new(), 1000);
        for change in changes {
            run(&mut timed, &mut model, &mut now_ms, change);

            let seen: Model = timed
                .iter()
                .map(|(field, value)| {
                    let at_ms = field.with_bytes(|field| timed.deadline(field));
                    (field.to_vec(), (value.to_vec(), at_ms.flatten()))
                })
                .collect();
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(timed.count(), model.len());
            let next = model.values().filter_map(|(_, at_ms)| *at_ms).min();
            prop_assert!(timed.hidden_ms.is_some() || timed.next_deadline() == next);
            prop_assert_eq!(scanned(&timed), model.len());
            let sampled = timed.sample(now_ms.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            prop_assert_eq!(sampled.is_some(), !model.is_empty());
            if let Some((field, _)) = sampled {
                prop_assert!(model.contains_key(&field.to_vec()));
            }
        }
    }
}

/// A field whose time is changed again and again has one place that counts.
#[test]
fn times_that_are_changed_take_no_more_memory() {
    let mut timed = TimedHash::default();
    timed.set(b"field", b"value", &limits());
    timed.set_deadline(b"field", Some(1), &limits());
    let once = timed.heap_bytes();
    for at_ms in 0..100_000 {
        timed.set_deadline(b"field", Some(at_ms % 977), &limits());
        assert!(timed.heap_bytes() < once + 1500, "{}", timed.heap_bytes());
    }
}
