//! The sorted set against maps of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    let limits = Limits::new(Seed::new(1, 2));
    limits.zset_max_listpack_entries.set(6);
    limits.zset_max_listpack_value.set(8);
    limits
}

fn score(value: f64) -> Score {
    Score::new(value).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, Score),
    Remove(Vec<u8>),
    RemoveRanks(usize, usize),
}

fn any_score() -> impl Strategy<Value = Score> {
    prop_oneof![
        8 => (-4i32..4).prop_map(|value| score(f64::from(value))),
        1 => Just(score(f64::INFINITY)),
        1 => Just(score(f64::NEG_INFINITY)),
        2 => any::<f64>().prop_filter_map("not a number", Score::new),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let member = || vec(b'a'..b'd', 0..4);
    prop_oneof![
        6 => (member(), any_score()).prop_map(|(member, score)| Step::Insert(member, score)),
        2 => member().prop_map(Step::Remove),
        1 => (any::<usize>(), 0usize..4).prop_map(|(at, count)| Step::RemoveRanks(at, count)),
    ]
}

type Model = BTreeMap<Vec<u8>, Score>;

fn in_order(model: &Model) -> Vec<(Score, Vec<u8>)> {
    let mut all: Vec<_> = model
        .iter()
        .map(|(member, score)| (*score, member.clone()))
        .collect();
    all.sort();
    all
}

fn run(set: &mut SortedSet, model: &mut Model, step: Step) {
    match step {
        Step::Insert(member, score) => {
            let wanted = match model.insert(member.clone(), score) {
                None => Inserted::Added,
                Some(old) if old == score => Inserted::Unchanged,
                Some(_) => Inserted::Moved,
            };
            assert_eq!(set.insert(&member, score, &limits()), wanted);
        }
        Step::Remove(member) => assert_eq!(set.remove(&member), model.remove(&member)),
        Step::RemoveRanks(at, count) => {
            let start = at % (model.len() + 1);
            let end = (start + count).min(model.len());
            for (_, member) in &in_order(model)[start..end] {
                model.remove(member);
            }
            set.remove_ranks(start..end);
        }
    }
}

proptest! {
    #[test]
    fn it_holds_what_a_map_would_hold(steps in vec(step(), 0..100)) {
        let (mut set, mut model) = (SortedSet::default(), Model::new());
        for step in steps {
            run(&mut set, &mut model, step);

            let wanted = in_order(&model);
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(set.iter().map(|(member, score)| (score, member.to_vec())).eq(wanted));
        }
        for (rank, (score, member)) in in_order(&model).into_iter().enumerate() {
            prop_assert_eq!(set.rank(&member), Some((rank, score)));
        }
        prop_assert_eq!(set.rank(b"nobody"), None);
    }

    #[test]
    fn a_score_is_what_it_was_when_it_was_packed(value: f64) {
        if let Some(score) = Score::new(value) {
            prop_assert_eq!(score.with_string(Score::of_string), score);
        }
    }

    #[test]
    fn a_fraction_is_what_it_was_when_it_was_packed(number in -1_000_000i64..1_000_000, by in 0u32..9) {
        let value = number as f64 / 10f64.powi(by as i32);
        prop_assert_eq!(score(value).with_string(Score::of_string), score(value));
        prop_assert_eq!(score(value / 3.0).with_string(Score::of_string), score(value / 3.0));
    }

    #[test]
    fn a_scan_visits_every_member(len in 0u32..3000) {
        let mut set = SortedSet::default();
        for number in 0..len {
            set.insert(&number.to_be_bytes(), score(0.5), &limits());
        }

        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = set.scan(cursor, &mut |member, _| assert!(seen.insert(member.to_vec())));
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen.len(), len as usize);
    }
}

#[test]
fn ranges_lie_between_cuts_in_either_encoding() {
    for (len, encoding) in [(5, "listpack"), (300, "skiplist")] {
        let mut set = SortedSet::default();
        for number in 0..len {
            set.insert(
                format!("{number:03}").as_bytes(),
                score(f64::from(number)),
                &limits(),
            );
        }
        let at = |side, value| Cut::Score(side, score(value));

        assert_eq!(set.encoding(), encoding);
        assert_eq!(set.ranks(at(Side::Before, 1.0), at(Side::After, 3.0)), 1..4);
        assert_eq!(set.ranks(at(Side::After, 1.0), at(Side::Before, 3.0)), 2..3);
        assert_eq!(set.ranks(at(Side::After, 3.0), at(Side::Before, 3.0)), 4..4);
        assert_eq!(set.ranks(Cut::Start, Cut::End), 0..len as usize);
        assert_eq!(
            set.ranks(Cut::Lex(Side::After, b"001"), Cut::End),
            2..len as usize
        );
        assert_eq!(set.ranks(Cut::End, Cut::Start).len(), 0);
    }
}

#[test]
fn it_is_held_in_two_views_when_a_member_is_too_many_or_too_long() {
    let (mut many, mut long) = (SortedSet::default(), SortedSet::default());
    for member in [b"1", b"2", b"3", b"4", b"5", b"6", b"6"] {
        many.insert(member, score(1.0), &limits());
    }
    assert_eq!(many.encoding(), "listpack");

    many.insert(b"7", score(1.0), &limits());
    long.insert(b"123456789", score(1.0), &limits());
    assert_eq!((many.encoding(), many.len()), ("skiplist", 7));
    assert_eq!((long.encoding(), long.len()), ("skiplist", 1));
}

#[test]
fn a_score_is_a_number_and_minus_zero_equals_zero() {
    assert_eq!(Score::new(f64::NAN), None);
    assert_eq!(score(-0.0), score(0.0));
    assert!(score(-0.0) <= score(0.0) && score(-0.0) >= score(0.0));
    assert!(
        score(f64::INFINITY)
            .checked_add(score(f64::NEG_INFINITY))
            .is_err()
    );
    assert!(score(f64::NEG_INFINITY) < score(-1.0) && score(1.0) < score(f64::INFINITY));
}

/// The value of `DUMP` of this sorted set, made by Valkey 9.1, without what stands around the
/// listpack.
#[test]
fn a_small_one_has_the_bytes_of_redis() {
    let dumped = "530000000e00836c6f7704842d696e6605856d696e757306dff9028574656e74680683302e3104\
                  836f6e650401018374776f0483322e35048362696704f400008a5d784563010984686967680583\
                  696e6604ff";
    let members = [
        ("one", 1.0),
        ("two", 2.5),
        ("low", f64::NEG_INFINITY),
        ("big", 1e17),
        ("high", f64::INFINITY),
        ("tenth", 0.1),
        ("minus", -7.0),
    ];
    let mut set = SortedSet::default();
    for (member, value) in members {
        set.insert(
            member.as_bytes(),
            score(value),
            &Limits::new(Seed::new(1, 2)),
        );
    }

    let Held::Packed(packed) = set.held() else {
        panic!("seven members are few");
    };
    let hex: String = packed
        .bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, dumped);
}
