//! Listpacks against a vector of vectors, and against what redis-server makes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::types::thin::Thin;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, Vec<u8>),
    InsertPair(usize, Vec<u8>, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveEqual(usize),
    AppendItself,
}

fn string(bytes: &[u8]) -> Str<'_> {
    Str::Bytes(bytes)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..12),
        6 => (0u32..64, any::<i64>()).prop_map(|(by, number)| (number >> by).to_string().into()),
        1 => vec(any::<u8>(), 120..140),
        1 => prop_oneof![Just(4_095), Just(4_096), Just(16_379), Just(16_380), Just(20_000)]
            .prop_map(|len| vec![7; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), bytes()).prop_map(|(at, one)| Step::Insert(at, one)),
        (any::<usize>(), bytes(), bytes()).prop_map(|(at, a, b)| Step::InsertPair(at, a, b)),
        (any::<usize>(), bytes()).prop_map(|(at, one)| Step::Replace(at, one)),
        (any::<usize>(), 1usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
        any::<usize>().prop_map(Step::RemoveEqual),
        Just(Step::AppendItself),
    ]
}

/// Does the step on a listpack with some room, and on the model.
fn run<R: Room>(room: &mut R, model: &mut Vec<Vec<u8>>, step: Step) {
    let place = |room: &R, index| Listpack::new(room.bytes()).place(index);
    match step {
        Step::Insert(at, one) => {
            let at = at % (model.len() + 1);
            let place = place(room, at);
            ListpackMut::new(room).insert(place, [string(&one)]);
            model.insert(at, one);
        }
        Step::InsertPair(at, one, other) => {
            let at = at % (model.len() + 1);
            let place = place(room, at);
            ListpackMut::new(room).insert(place, [string(&one), string(&other)]);
            model.splice(at..at, [one, other]);
        }
        Step::Replace(at, one) if !model.is_empty() => {
            let at = at % model.len();
            let place = place(room, at);
            ListpackMut::new(room).replace(place, string(&one));
            model[at] = one;
        }
        Step::Remove(at, count) if !model.is_empty() => {
            let at = at % model.len();
            let count = count.min(model.len() - at);
            let place = place(room, at);
            ListpackMut::new(room).remove(place, count);
            model.drain(at..at + count);
        }
        Step::RemoveEqual(at) if !model.is_empty() => {
            let equal = model[at % model.len()].clone();
            let places = Listpack::new(room.bytes()).find_all(&equal);
            ListpackMut::new(room).remove_all(&places);
            model.retain(|element| *element != equal);
        }
        Step::AppendItself if model.len() < 50 => {
            let copy = room.bytes().to_vec();
            ListpackMut::new(room).append(Listpack::new(&copy));
            model.extend_from_within(..);
        }
        _ => {}
    }
}

/// Does all steps, and compares after each.
fn compare<R: Room + Default>(steps: Vec<Step>) {
    let (mut room, mut model) = (R::default(), Vec::new());
    for step in steps {
        run(&mut room, &mut model, step);

        let listpack = Listpack::new(room.bytes());
        assert!(listpack.iter().map(Str::to_vec).eq(model.iter().cloned()));
        let backwards = listpack.iter().rev().map(Str::to_vec);
        assert!(backwards.eq(model.iter().rev().cloned()));
        assert_eq!((listpack.len(), listpack.is_empty()), (model.len(), model.is_empty()));
    }
    let listpack = Listpack::new(room.bytes());
    for (index, element) in model.iter().enumerate() {
        assert_eq!(listpack.element(listpack.place(index)).0.to_vec(), *element);
        let first = model.iter().position(|other| other == element);
        assert_eq!(listpack.find::<1>(element), first.map(|index| listpack.place(index)));
    }
}

proptest! {
    #[test]
    fn it_holds_what_a_vector_would_hold(steps in vec(step(), 0..60)) {
        compare::<Thin>(steps.clone());
        compare::<Gapped>(steps);
    }
}

#[test]
fn a_key_is_not_taken_for_a_value() {
    let mut thin = Thin::default();
    ListpackMut::new(&mut thin).push([string(b"one"), string(b"2")]);
    ListpackMut::new(&mut thin).push([string(b"2"), string(b"one")]);

    let listpack = Listpack::new(thin.bytes());
    let place = listpack.find::<2>(b"2").unwrap();
    assert_eq!(place, listpack.place(2));
    assert_eq!(listpack.find::<1>(b"2"), Some(listpack.place(1)));
    assert_eq!(listpack.find::<2>(b"three"), None);
}

#[test]
fn pairs_are_walked_from_either_end() {
    let mut thin = Thin::default();
    let pairs: [(Str<'_>, Str<'_>); 3] = [
        (string(b"a"), Str::Int(1)),
        (string(b"b"), Str::Int(-2)),
        (Str::Int(3), string(b"c")),
    ];
    for (key, value) in pairs {
        ListpackMut::new(&mut thin).push([key, value]);
    }

    let listpack = Listpack::new(thin.bytes());
    assert!(listpack.pairs().eq(pairs));
    assert!(listpack.pairs().rev().eq(pairs.into_iter().rev()));
    assert!(listpack.pairs_in(1..2).eq([pairs[1]]));
    assert_eq!(listpack.pairs_in(1..3).rev().len(), 2);
}

#[test]
fn more_elements_than_the_header_can_count_are_counted_one_by_one() {
    let mut gapped = Gapped::default();
    for _ in 0..65_534 {
        ListpackMut::new(&mut gapped).push([Str::Int(1)]);
    }
    assert_eq!(gapped.bytes()[4..6], [0xfe, 0xff]);
    ListpackMut::new(&mut gapped).push([Str::Int(1), Str::Int(1)]);
    assert_eq!(gapped.bytes()[4..6], [0xff, 0xff]);
    assert_eq!(Listpack::new(gapped.bytes()).len(), 65_536);
    assert_eq!(Listpack::new(gapped.bytes()).iter().count(), 65_536);
}
