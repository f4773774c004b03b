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
        assert_eq!(
            (listpack.len(), listpack.is_empty()),
            (model.len(), model.is_empty())
        );
    }
    let listpack = Listpack::new(room.bytes());
    for (index, element) in model.iter().enumerate() {
        assert_eq!(listpack.element(listpack.place(index)).0.to_vec(), *element);
        let first = model.iter().position(|other| other == element);
        assert_eq!(
            listpack.find::<1>(element),
            first.map(|index| listpack.place(index))
        );
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

/// The bytes that a text of hexadecimal digits stands for.
fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(byte).collect()
}

fn listpack_of(elements: &[&[u8]]) -> Thin {
    let mut thin = Thin::default();
    for element in elements {
        ListpackMut::new(&mut thin).push([string(element)]);
    }
    thin
}

/// The value of `DUMP` of a list of these elements, made by redis-server 7.0.15 with
/// `rdbcompression no`, without what stands around the listpack.
#[test]
fn a_listpack_has_the_bytes_of_redis() {
    let dumped = concat!(
        "160100001b008568656c6c6f0600017f01c08002dfff02cfff02d00002f1001003f1ffef03f1ff7f03f1",
        "008003f200800004f2ffff7f04f200008004f30000800005f3ffffff7f05f30000008005f40000008000",
        "00000009f4ffffffffffffff7f09f400000000000000800982303103822d30038001bf78787878787878",
        "787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "787878787878787878787878787840e04079797979797979797979797979797979797979797979797979",
        "797979797979797979797979797979797979797979797979797979797979797979797979797979428331",
        "2e350494313233343536373839303132333435363738393015ff",
    );
    let (long, longer) = ([b'x'; 63], [b'y'; 64]);
    let elements: [&[u8]; 27] = [
        b"hello",
        b"0",
        b"127",
        b"128",
        b"-1",
        b"4095",
        b"-4096",
        b"4096",
        b"-4097",
        b"32767",
        b"-32768",
        b"32768",
        b"8388607",
        b"-8388608",
        b"8388608",
        b"2147483647",
        b"-2147483648",
        b"2147483648",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"01",
        b"-0",
        b"",
        &long,
        &longer,
        b"1.5",
        b"12345678901234567890",
    ];

    assert_eq!(listpack_of(&elements).bytes(), bytes_of(dumped));
    let dumped = bytes_of(dumped);
    assert!(Listpack::new(&dumped).iter().map(Str::to_vec).eq(elements));
}

/// As above, of the hash `name ann age 42 score -1.5`, and of the set `a 1 bb 300` from Valkey 9.1.
#[test]
fn a_small_hash_and_a_small_set_have_the_bytes_of_redis() {
    let hash = "260000000600846e616d650583616e6e0483616765042a018573636f726506842d312e3505ff";
    let set = "130000000400816102010182626203c12c02ff";

    let fields: [&[u8]; 6] = [b"name", b"ann", b"age", b"42", b"score", b"-1.5"];
    assert_eq!(listpack_of(&fields).bytes(), bytes_of(hash));
    assert_eq!(
        listpack_of(&[b"a", b"1", b"bb", b"300"]).bytes(),
        bytes_of(set)
    );
}

/// As above, of a list of 4,095 times `a` and 4,096 times `b`.
#[test]
fn long_strings_have_the_heads_of_redis() {
    let (first, second) = (listpack_of(&[&[b'a'; 4095]]), listpack_of(&[&[b'b'; 4096]]));
    assert_eq!(first.bytes()[..9], bytes_of("0a1000000100efff61"));
    assert_eq!(
        first.bytes()[first.bytes().len() - 4..],
        bytes_of("612081ff")
    );
    assert_eq!(
        second.bytes()[second.bytes().len() - 4..],
        bytes_of("622085ff")
    );
}
