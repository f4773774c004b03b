//! The packed sequence against a vector of vectors.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, Vec<u8>),
    InsertPair(usize, Vec<u8>, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..12),
        1 => vec(any::<u8>(), 120..140),
        1 => Just(vec![7; 20_000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), bytes()).prop_map(|(at, one)| Step::Insert(at, one)),
        (any::<usize>(), bytes(), bytes()).prop_map(|(at, a, b)| Step::InsertPair(at, a, b)),
        (any::<usize>(), bytes()).prop_map(|(at, one)| Step::Replace(at, one)),
        (any::<usize>(), 1usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
    ]
}

fn run(packed: &mut Packed, model: &mut Vec<Vec<u8>>, step: Step) {
    match step {
        Step::Insert(at, one) => {
            let at = at % (model.len() + 1);
            packed.insert(packed.place(at), [&one]);
            model.insert(at, one);
        }
        Step::InsertPair(at, one, other) => {
            let at = at % (model.len() + 1);
            packed.insert(packed.place(at), [&one, &other]);
            model.splice(at..at, [one, other]);
        }
        Step::Replace(at, one) if !model.is_empty() => {
            let at = at % model.len();
            packed.replace(packed.place(at), &one);
            model[at] = one;
        }
        Step::Remove(at, count) if !model.is_empty() => {
            let at = at % model.len();
            let count = count.min(model.len() - at);
            packed.remove(packed.place(at), count);
            model.drain(at..at + count);
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn it_holds_what_a_vector_would_hold(steps in vec(step(), 0..60)) {
        let (mut packed, mut model) = (Packed::default(), Vec::new());
        for step in steps {
            run(&mut packed, &mut model, step);

            prop_assert!(packed.iter().eq(&model));
            prop_assert!(packed.iter().rev().eq(model.iter().rev()));
            prop_assert_eq!(packed.len(), model.len());
        }
        for (index, element) in model.iter().enumerate() {
            prop_assert_eq!(packed.element(packed.place(index)).0, element);
        }
    }
}

#[test]
fn a_key_is_not_taken_for_a_value() {
    let mut packed = Packed::default();
    packed.push([b"one", b"two"]);
    packed.push([b"two", b"one"]);

    let place = packed.find::<2>(b"two").unwrap();
    assert_eq!(place, packed.place(2));
    assert_eq!(packed.find::<1>(b"two"), Some(packed.place(1)));
    assert_eq!(packed.find::<2>(b"three"), None);
}

#[test]
fn pairs_are_walked_from_either_end() {
    let mut packed = Packed::default();
    let pairs: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")];
    pairs
        .iter()
        .for_each(|(key, value)| packed.push([key, value]));

    assert!(packed.pairs().eq(pairs));
    assert!(packed.pairs().rev().eq(pairs.into_iter().rev()));
    assert!(packed.pairs_in(1..2).eq([pairs[1]]));
    assert_eq!(packed.pairs_in(1..3).rev().len(), 2);
}
