//! A list against a deque of byte strings.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::hash::Seed;
use crate::types::Limits;

fn limits() -> Limits {
    Limits::new(Seed::new(1, 2))
}

fn strings(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(Str::to_vec).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Push(Side, Vec<u8>),
    Pop(Side),
    Discard(Side, usize),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    Trim(usize, usize),
    Remove(Side, Vec<u8>, usize),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Left), Just(Side::Right)]
}

/// Few different elements, so that some repeat; a few that fill a node, or are larger than one.
fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0u8..4, 0usize..3).prop_map(|(byte, len)| vec![byte; len]),
        5 => (0u8..4, 0usize..300).prop_map(|(byte, len)| vec![byte; len]),
        1 => (0u8..4, 3000usize..9000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0usize..400;
    prop_oneof![
        12 => (side(), element()).prop_map(|(side, element)| Step::Push(side, element)),
        4 => side().prop_map(Step::Pop),
        1 => (side(), 0usize..20).prop_map(|(side, count)| Step::Discard(side, count)),
        4 => (index.clone(), element()).prop_map(|(index, element)| Step::Insert(index, element)),
        4 => (index.clone(), element()).prop_map(|(index, element)| Step::Set(index, element)),
        1 => (0usize..10, 0usize..400).prop_map(|(start, end)| Step::Trim(start, end)),
        1 => (side(), element(), 1usize..9)
            .prop_map(|(side, element, count)| Step::Remove(side, element, count)),
    ]
}

/// Does the step on both, and compares what it answers.
fn apply(step: Step, list: &mut List, model: &mut VecDeque<Vec<u8>>, limits: &Limits) {
    match step {
        Step::Push(side, element) => {
            list.push(side, &element, limits);
            match side {
                Side::Left => model.push_front(element),
                Side::Right => model.push_back(element),
            }
        }
        Step::Pop(side) => {
            let wanted = match side {
                Side::Left => model.pop_front(),
                Side::Right => model.pop_back(),
            };
            assert_eq!(list.peek(side).map(Str::to_vec), wanted);
            list.discard(side, 1, limits);
        }
        Step::Discard(side, count) => {
            list.discard(side, count, limits);
            let count = count.min(model.len());
            match side {
                Side::Left => drop(model.drain(..count)),
                Side::Right => model.truncate(model.len() - count),
            }
        }
        Step::Insert(index, element) => {
            list.insert(index, &element, limits);
            model.insert(index.min(model.len()), element);
        }
        Step::Set(index, element) => {
            assert_eq!(list.set(index, &element, limits), index < model.len());
            if let Some(old) = model.get_mut(index) {
                *old = element;
            }
        }
        Step::Trim(start, end) => {
            list.trim(start..end, limits);
            model.truncate(end);
            drop(model.drain(..start.min(model.len())));
        }
        Step::Remove(side, element, count) => {
            let removed = list.remove(&element, count, side, limits);
            assert_eq!(removed, remove_from_model(model, side, &element, count));
        }
    }
}

fn remove_from_model(
    model: &mut VecDeque<Vec<u8>>,
    side: Side,
    element: &[u8],
    count: usize,
) -> usize {
    for done in 0..count {
        let place = match side {
            Side::Left => model.iter().position(|other| other == element),
            Side::Right => model.iter().rposition(|other| other == element),
        };
        let Some(place) = place else { return done };
        model.remove(place);
    }
    count
}

fn check_invariants(list: &List, limits: &Limits) {
    let lens = (0..list.nodes.len()).map(|index| list.nodes.get(index).len());
    assert_eq!(lens.sum::<usize>(), list.len);
    list.nodes.check_invariants(Capacity::new(limits));
}

fn run(steps: Vec<Step>, limits: &Limits) {
    let (mut list, mut model) = (List::default(), VecDeque::new());
    for step in steps {
        apply(step, &mut list, &mut model, limits);
        check_invariants(&list, limits);
        assert!(strings(&list).iter().eq(&model));
    }
    for index in 0..=model.len() {
        assert_eq!(list.get(index).map(Str::to_vec), model.get(index).cloned());
        let forth = list.iter_from(index).map(Str::to_vec);
        assert!(forth.eq(model.iter().skip(index).cloned()));
        let back = model
            .iter()
            .take(index + 1)
            .rev()
            .filter(|_| index < model.len())
            .cloned();
        assert!(list.rev_from(index).map(Str::to_vec).eq(back));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_list_is_a_deque(steps in prop::collection::vec(step(), 0..400)) {
        run(steps, &limits());
    }

    #[test]
    fn a_list_of_short_nodes_is_a_deque(steps in prop::collection::vec(step(), 0..400)) {
        let limits = limits();
        limits.list_max_listpack_size.set(3);
        run(steps, &limits);
    }
}

#[test]
fn a_list_is_packed_until_it_fills_a_node_and_again_when_it_fills_half_of_one() {
    let (mut list, limits) = (List::default(), limits());
    // An entry takes 103 bytes; what another may take is guessed from its element.
    for _ in 0..79 {
        list.push(Side::Right, &[b'x'; 100], &limits);
    }
    assert_eq!(list.encoding(), "listpack");
    list.push(Side::Right, &[b'x'; 100], &limits);
    assert_eq!(list.encoding(), "quicklist");
    list.trim(0..40, &limits);
    assert_eq!(list.encoding(), "quicklist");
    list.trim(0..39, &limits);
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn an_element_larger_than_a_node_is_alone_in_its_own() {
    let (mut list, limits) = (List::default(), limits());
    list.push(Side::Left, &[b'x'; 10_000], &limits);
    assert_eq!(list.encoding(), "quicklist");
    list.push(Side::Left, b"small", &limits);
    assert_eq!(list.nodes.len(), 2);
}

/// A queue that turns over within one node must not grow.
#[test]
fn a_queue_of_constant_length_takes_constant_memory() {
    let (mut list, limits) = (List::default(), limits());
    for side in [Side::Left, Side::Right] {
        let other = if side == Side::Left {
            Side::Right
        } else {
            Side::Left
        };
        for round in 0..100_000 {
            list.push(side, &[b'x'; 64], &limits);
            if round >= 100 {
                list.discard(other, 1, &limits);
            }
        }
        assert!(list.heap_bytes() < 32 * 1024, "{}", list.heap_bytes());
        list = List::default();
    }
}
