//! A stream against an ordered map, and its groups against pairs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hash::Seed;
use crate::types::Limits;

fn limits() -> Limits {
    Limits::new(Seed::new(1, 2))
}

type Words = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Append {
        ms_ahead: u64,
        seq_ahead: u64,
        fields: Words,
    },
    Remove(usize),
    MaxLen(u64, bool),
    MinId(usize, bool),
}

/// Names and values in turn; often the same names.
fn fields() -> impl Strategy<Value = Words> {
    let value = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        4 => (value(), value()).prop_map(|(one, two)| {
            vec![b"name".to_vec(), one, b"age".to_vec(), two]
        }),
        2 => prop::collection::vec((value(), value()), 1..4)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()),
        1 => (100usize..5000).prop_map(|len| vec![b"large".to_vec(), vec![b'x'; len]]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u64..3, 0u64..3, fields()).prop_map(|(ms_ahead, seq_ahead, fields)| {
            Step::Append { ms_ahead, seq_ahead, fields }
        }),
        4 => (0usize..200).prop_map(Step::Remove),
        1 => (0u64..100, any::<bool>()).prop_map(|(len, exact)| Step::MaxLen(len, exact)),
        1 => (0usize..40, any::<bool>()).prop_map(|(place, exact)| Step::MinId(place, exact)),
    ]
}

fn precision(exact: bool) -> Precision {
    if exact {
        Precision::Exact
    } else {
        Precision::Approximate { limit: 0 }
    }
}

fn apply(step: Step, log: &mut Log, model: &mut BTreeMap<Id, Words>, limits: &Limits) {
    let id_at = |model: &BTreeMap<Id, Words>, place: usize| model.keys().nth(place).copied();
    match step {
        Step::Append {
            ms_ahead,
            seq_ahead,
            fields,
        } => {
            let last = log.last_id();
            let id = match ms_ahead {
                0 => Id {
                    ms: last.ms,
                    seq: last.seq + 1 + seq_ahead,
                },
                _ => Id {
                    ms: last.ms + ms_ahead,
                    seq: seq_ahead,
                },
            };
            assert_eq!(log.next_id(NewId::Given(id), 0), Some(id));
            log.append(id, fields.iter().map(Vec::as_slice), limits);
            model.insert(id, fields);
        }
        Step::Remove(place) => {
            let id = id_at(model, place).unwrap_or(Id { ms: 5, seq: 99 });
            assert_eq!(log.remove(id), model.remove(&id).is_some());
            assert!(!log.remove(id));
        }
        Step::MaxLen(len, exact) => {
            let wanted = (model.len() as u64).saturating_sub(len);
            let removed = log.trim(Trim::MaxLen(len), precision(exact));
            assert!(if exact {
                removed == wanted
            } else {
                removed <= wanted
            });
            (0..removed).for_each(|_| drop(model.pop_first()));
        }
        Step::MinId(place, exact) => {
            let id = id_at(model, place).unwrap_or(Id::MAX);
            let wanted = place.min(model.len()) as u64;
            let removed = log.trim(Trim::MinId(id), precision(exact));
            assert!(if exact {
                removed == wanted
            } else {
                removed <= wanted
            });
            (0..removed).for_each(|_| drop(model.pop_first()));
        }
    }
}

fn words(entry: Entry<'_>) -> (Id, Words) {
    let fields = entry
        .fields
        .flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
    (entry.id, fields.collect())
}

fn check(log: &Log, model: &BTreeMap<Id, Words>) {
    assert_eq!(log.len(), model.len() as u64);
    assert_eq!(
        log.first_id(),
        model.keys().next().copied().unwrap_or_default()
    );
    assert_eq!(
        log.first().map(|entry| entry.id),
        model.keys().next().copied()
    );
    assert_eq!(
        log.last().map(|entry| entry.id),
        model.keys().next_back().copied()
    );
    let all: Vec<_> = log.range(Id::MIN, Id::MAX).map(words).collect();
    assert!(all.iter().map(|(id, words)| (id, words)).eq(model));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_is_an_ordered_map(
        steps in prop::collection::vec(step(), 0..300),
        ranges in prop::collection::vec((0u64..200, 0u64..3, 0u64..200, 0u64..3), 20),
        entries_max in prop_oneof![Just(100usize), Just(3), Just(0)],
    ) {
        let limits = limits();
        limits.stream_node_max_entries.set(entries_max);
        let (mut log, mut model) = (Log::default(), BTreeMap::new());
        for step in steps {
            apply(step, &mut log, &mut model, &limits);
            check(&log, &model);
            prop_assert_eq!(log.heap_bytes(), log.walked_bytes());
        }
        let copy = log.clone();
        prop_assert_eq!(copy.heap_bytes(), copy.walked_bytes());
        for (ms, seq, end_ms, end_seq) in ranges {
            let (start, end) = (Id { ms, seq }, Id { ms: end_ms, seq: end_seq });
            let wanted: Vec<Id> =
                model.keys().copied().filter(|&id| start <= id && id <= end).collect();
            let found: Vec<Id> = log.range(start, end).map(|entry| entry.id).collect();
            let back: Vec<Id> = log.rev_range(start, end).map(|entry| entry.id).collect();
            prop_assert_eq!(&found, &wanted);
            prop_assert!(back.iter().rev().eq(&wanted));
            prop_assert_eq!(log.get(start).is_some(), model.contains_key(&start));
        }
    }

    #[test]
    fn a_pending_entry_has_one_consumer(
        steps in prop::collection::vec((0u8..6, 0u64..20, 0u8..4), 0..200),
        claims in any::<bool>(),
    ) {
        let mut group = Group::new(Id::MIN, None);
        // Who has each, and its place among those that may be claimed.
        let mut model: BTreeMap<Id, (Option<u8>, u64)> = BTreeMap::new();
        for (at, (step, ms, consumer)) in steps.into_iter().enumerate() {
            let at = at as u64;
            // Names that are not of one length.
            let name = vec![consumer; usize::from(consumer) + 1];
            let id = Id { ms, seq: 0 };
            match step {
                0 | 1 => {
                    group.add_consumer(&name, 0);
                    prop_assert!(group.assign(id, &name, at, 1));
                    model.insert(id, (Some(consumer), at));
                }
                2 => prop_assert_eq!(group.forget(id), model.remove(&id).is_some()),
                3 => {
                    group.release(id, 1);
                    model.insert(id, (None, at));
                }
                4 => {
                    group.deliver_again(id, at);
                    if let Some((Some(_), delivered_at)) = model.get_mut(&id) {
                        *delivered_at = at;
                    }
                }
                _ => {
                    let before = model.len();
                    model.retain(|_, (owner, _)| *owner != Some(consumer));
                    let removed = group.remove_consumer(&name).unwrap_or(0);
                    prop_assert_eq!(removed, before - model.len());
                }
            }
            prop_assert_eq!(group.bytes(), group.walked_bytes());
            let owner = |pending: &Pending| pending.consumer.as_ref().map(|name| name[0]);
            let all = group.pending_range(Id::MIN, Id::MAX);
            let wanted = model.iter().map(|(id, (owner, _))| (*id, *owner));
            prop_assert!(all.map(|(id, pending)| (id, owner(pending))).eq(wanted));
            if claims {
                let mut wanted: Vec<_> = model.iter().collect();
                wanted.sort_by_key(|(id, (owner, at))| (owner.is_some(), *at, **id));
                let wanted: Vec<Id> = wanted.into_iter().map(|(id, _)| *id).collect();
                prop_assert_eq!(group.claimable(0, at, usize::MAX), wanted);
                let old = group.claimable(10, at, usize::MAX);
                let is_old = |id: &Id| model[id].0.is_none() || model[id].1 + 10 <= at;
                prop_assert_eq!(old.len(), model.keys().filter(|id| is_old(id)).count());
                prop_assert!(old.iter().all(is_old));
            }
            for (name, consumer) in group.consumers() {
                let own = group.pending_range_of(consumer, Id::MIN, Id::MAX).map(|(id, _)| id);
                let wanted = model.iter().filter(|(_, (owner, _))| *owner == Some(name[0]));
                prop_assert!(own.eq(wanted.map(|(id, _)| *id)));
            }
        }
    }
}

fn log_of(ids: impl Iterator<Item = u64>) -> Log {
    let mut log = Log::default();
    for ms in ids {
        let field: [&[u8]; 2] = [b"n", b"v"];
        log.append(Id { ms, seq: 0 }, field.into_iter(), &limits());
    }
    log
}

#[test]
fn an_approximate_trim_removes_whole_blocks_up_to_its_limit() {
    let mut log = log_of(1..=250);
    let approximate = |limit| Precision::Approximate { limit };
    assert_eq!(log.trim(Trim::MaxLen(200), approximate(0)), 0);
    assert_eq!(log.trim(Trim::MaxLen(10), approximate(150)), 100);
    assert_eq!(
        log.trim(Trim::MinId(Id { ms: 150, seq: 0 }), approximate(0)),
        0
    );
    assert_eq!(
        log.trim(Trim::MinId(Id { ms: 230, seq: 0 }), approximate(0)),
        100
    );
    assert_eq!(log.len(), 50);
}

#[test]
fn an_id_is_made_from_the_time_unless_that_went_back() {
    let log = log_of(5..=5);
    let id = |ms, seq| Some(Id { ms, seq });
    assert_eq!(log.next_id(NewId::Auto, 7), id(7, 0));
    assert_eq!(log.next_id(NewId::Auto, 5), id(5, 1));
    assert_eq!(log.next_id(NewId::Auto, 1), id(5, 1));
    assert_eq!(log.next_id(NewId::AutoSeq(5), 9), id(5, 1));
    assert_eq!(log.next_id(NewId::AutoSeq(6), 9), id(6, 0));
    assert_eq!(log.next_id(NewId::AutoSeq(4), 9), None);
    assert_eq!(log.next_id(NewId::Given(Id { ms: 5, seq: 0 }), 9), None);
    assert_eq!(Log::default().next_id(NewId::AutoSeq(0), 9), id(0, 1));
}

#[test]
fn a_lag_is_told_where_no_entry_ahead_was_removed() {
    let mut log = log_of(1..=5);
    let mut group = Group::new(Id::MIN, None);
    assert_eq!(group.lag(&log), Some(5));
    group.advance(Id { ms: 1, seq: 0 }, &log);
    assert_eq!((group.entries_read(), group.lag(&log)), (Some(1), Some(4)));
    log.remove(Id { ms: 3, seq: 0 });
    assert_eq!(group.lag(&log), None);
    for ms in [2, 4, 5] {
        group.advance(Id { ms, seq: 0 }, &log);
    }
    assert_eq!((group.entries_read(), group.lag(&log)), (Some(5), Some(0)));
}
