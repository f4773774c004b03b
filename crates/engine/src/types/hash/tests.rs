//! The hash against a map of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hash::Seed;

fn limits() -> Limits {
    let limits = Limits::new(Seed::new(1, 2));
    limits.hash_max_listpack_entries.set(4);
    limits.hash_max_listpack_value.set(8);
    limits
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let field = || vec(b'a'..b'c', 0..5);
    let step = prop_oneof![
        2 => (field(), vec(any::<u8>(), 0..10)).prop_map(|(field, value)| Step::Set(field, value)),
        1 => field().prop_map(Step::Remove),
    ];
    vec(step, 0..80)
}

fn run(hash: &mut Hash, model: &mut Model, step: Step) {
    match step {
        Step::Set(field, value) => {
            let wanted = match model.insert(field.clone(), value.clone()) {
                Some(_) => Written::Updated,
                None => Written::Added,
            };
            assert_eq!(hash.set(&field, &value, &limits()), wanted);
        }
        Step::Remove(field) => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
    }
}

fn contents(hash: &Hash) -> Model {
    hash.iter()
        .map(|(field, value)| (field.to_vec(), value.to_vec()))
        .collect()
}

proptest! {
    #[test]
    fn it_holds_what_a_map_would_hold(steps in steps()) {
        let (mut hash, mut model) = (Hash::default(), Model::new());
        for step in steps {
            run(&mut hash, &mut model, step);

            prop_assert_eq!(contents(&hash), model.clone());
            prop_assert_eq!(hash.len(), model.len());
        }
        for (field, value) in &model {
            prop_assert_eq!(hash.get(field).map(Str::to_vec), Some(value.clone()));
        }
        prop_assert_eq!(hash.get(b"nothing"), None);
    }

    #[test]
    fn a_scan_visits_every_field(len in 0u32..3000) {
        let mut hash = Hash::default();
        for number in 0..len {
            hash.set(&number.to_be_bytes(), b"value", &limits());
        }

        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = hash.scan(cursor, &mut |field, _| assert!(seen.insert(field.to_vec())));
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen.len(), len as usize);
    }
}

#[test]
fn it_becomes_a_table_when_a_field_is_too_many_or_too_long() {
    let (mut many, mut long) = (Hash::default(), Hash::default());
    for field in [b"1", b"2", b"3", b"4"] {
        many.set(field, b"12345678", &limits());
    }
    assert_eq!(many.encoding(), "listpack");

    many.set(b"5", b"", &limits());
    long.set(b"1", b"", &limits());
    long.set(b"1", b"123456789", &limits());
    assert_eq!((many.encoding(), many.len()), ("hashtable", 5));
    assert_eq!(
        (long.encoding(), long.get(b"1")),
        ("hashtable", Some(Str::Bytes(b"123456789")))
    );
}

#[test]
fn every_field_is_sampled() {
    let mut hash = Hash::default();
    assert_eq!(hash.sample(7), None);
    for len in 1..=20u64 {
        hash.set(&len.to_be_bytes(), b"", &limits());
        let randoms = (0..2000u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let seen: BTreeSet<_> = randoms
            .map(|random| hash.sample(random).unwrap().0.to_vec())
            .collect();
        assert_eq!(seen.len() as u64, len);
    }
}

/// As in Redis, which looks at the length behind each change.
#[test]
fn a_hash_that_is_longer_than_a_lowered_limit_becomes_large_with_its_next_change() {
    let (mut hash, limits) = (Hash::default(), limits());
    for field in ["a", "b", "c"] {
        hash.set(field.as_bytes(), b"1", &limits);
    }
    limits.hash_max_listpack_entries.set(3);
    hash.set(b"a", b"2", &limits);
    assert_eq!(hash.encoding(), "listpack");
    limits.hash_max_listpack_entries.set(2);
    hash.set(b"a", b"3", &limits);
    assert_eq!(hash.encoding(), "hashtable");
    assert_eq!(hash.get(b"a").map(Str::to_vec), Some(b"3".to_vec()));
}
