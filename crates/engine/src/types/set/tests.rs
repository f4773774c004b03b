//! The set against a set of the standard library.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    let limits = Limits::new(Seed::new(1, 2));
    limits.set_max_intset_entries.set(6);
    limits.set_max_listpack_entries.set(4);
    limits.set_max_listpack_value.set(8);
    limits
}

fn to_vec(member: Str<'_>) -> Vec<u8> {
    match member {
        Str::Bytes(bytes) => bytes.to_vec(),
        Str::Int(number) => number.to_string().into_bytes(),
    }
}

fn contents(set: &Set) -> BTreeSet<Vec<u8>> {
    set.iter().map(to_vec).collect()
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (-9i64..9).prop_map(|number| number.to_string().into_bytes()),
        1 => (0u32..64, any::<i64>()).prop_map(|(by, number)| (number >> by).to_string().into()),
        1 => vec(b'a'..b'd', 0..10),
        1 => Just(b"-0".to_vec()),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_set_would_hold(steps in vec((any::<bool>(), member()), 0..60)) {
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        for (adds, member) in steps {
            if adds {
                prop_assert_eq!(set.insert(&member, &limits()), model.insert(member.clone()));
            } else {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            }

            prop_assert_eq!(contents(&set), model.clone());
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.contains(&member), model.contains(&member));
        }
    }

    #[test]
    fn integers_come_in_ascending_order(numbers in vec(any::<i64>(), 0..6), by in 0u32..64) {
        let mut set = Set::default();
        let numbers: BTreeSet<i64> = numbers.into_iter().map(|number| number >> by).collect();
        for number in numbers.iter().rev() {
            set.insert(number.to_string().as_bytes(), &limits());
        }

        prop_assert_eq!(set.encoding(), "intset");
        let wanted = numbers.iter().map(|number| number.to_string().into_bytes());
        prop_assert!(set.iter().map(to_vec).eq(wanted));
    }

    #[test]
    fn a_scan_visits_every_member(len in 0u32..3000) {
        let mut set = Set::default();
        for number in 0..len {
            set.insert(&number.to_be_bytes(), &limits());
        }

        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = set.scan(cursor, &mut |member| assert!(seen.insert(to_vec(member))));
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen.len(), len as usize);
    }
}

#[test]
fn its_encoding_follows_its_members() {
    let with = |members: &[&str]| {
        let mut set = Set::default();
        members.iter().for_each(|member| {
            set.insert(member.as_bytes(), &limits());
        });
        assert_eq!(set.len(), members.len());
        set.encoding()
    };

    assert_eq!(with(&["1", "2", "3", "4", "5", "6"]), "intset");
    assert_eq!(with(&["1", "2", "3", "4", "5", "6", "7"]), "hashtable");
    assert_eq!(with(&["1", "2", "3", "a"]), "listpack");
    assert_eq!(with(&["1", "2", "3", "4", "a"]), "hashtable");
    assert_eq!(with(&["a", "b", "c", "d"]), "listpack");
    assert_eq!(with(&["a", "b", "c", "d", "5"]), "hashtable");
    assert_eq!(with(&["12345678"]), "intset");
    assert_eq!(with(&["a2345678"]), "listpack");
    assert_eq!(with(&["a23456789"]), "hashtable");
}

#[test]
fn every_member_is_sampled() {
    let mut set = Set::default();
    assert!(set.sample(7).is_none());
    for len in 1..=20u64 {
        set.insert(len.to_string().as_bytes(), &limits());
        let randoms = (0..2000u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let seen: BTreeSet<_> = randoms
            .map(|random| to_vec(set.sample(random).unwrap()))
            .collect();
        assert_eq!(seen.len() as u64, len);
    }
}
