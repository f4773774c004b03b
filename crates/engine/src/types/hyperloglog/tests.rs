use super::*;

const SPARSE_LEN_MAX: usize = 3000;

/// One that has seen the numbers below `count`.
fn of_numbers(count: u64, sparse_len_max: usize) -> Vec<u8> {
    let mut bytes = empty();
    for number in 0..count {
        add(&mut bytes, &number.to_le_bytes(), sparse_len_max).unwrap();
    }
    bytes
}

#[test]
fn both_encodings_hold_the_same_registers() {
    for numbers in [1, 2, 10, 100, 500] {
        let sparse = of_numbers(numbers, usize::MAX);
        let mut dense = sparse.clone();
        assert_eq!(make_dense(&mut dense), Ok(true));
        assert_eq!(dense[HEADER..], of_numbers(numbers, 0)[HEADER..]);
        let [mut one, mut other] = [Box::new([0; REGISTERS]), Box::new([0; REGISTERS])];
        assert_eq!(merge(&sparse, &mut one), Ok(Encoding::Sparse));
        assert_eq!(merge(&dense, &mut other), Ok(Encoding::Dense));
        assert_eq!(one, other);
        assert_eq!(count(&sparse), count(&dense));
    }
}

#[test]
fn an_estimate_is_off_by_a_few_hundredths_at_most() {
    for numbers in [1, 10, 1000, 20_000, 200_000] {
        let bytes = of_numbers(numbers, SPARSE_LEN_MAX);
        let error = count(&bytes).unwrap().abs_diff(numbers as i64);
        assert!(error <= numbers / 20 + 1, "{numbers} are off by {error}");
    }
}

#[test]
fn a_sparse_one_becomes_dense_when_it_would_be_too_long() {
    let mut bytes = empty();
    for number in 0..3000u64 {
        add(&mut bytes, &number.to_le_bytes(), SPARSE_LEN_MAX).unwrap();
        let is_sparse = encoding(&bytes) == Ok(Encoding::Sparse);
        assert!(!is_sparse || bytes.len() <= SPARSE_LEN_MAX);
    }
    assert_eq!(encoding(&bytes), Ok(Encoding::Dense));
}

#[test]
fn a_register_never_falls() {
    let mut bytes = empty();
    for (index, value, is_raised) in [
        (0, 5, true),
        (0, 5, false),
        (0, 3, false),
        (16383, 32, true),
        (16383, 33, true),
        (7000, 51, true),
        (7000, 50, false),
    ] {
        let raised = raise(&mut bytes, index, value, SPARSE_LEN_MAX);
        assert_eq!(raised, Ok(is_raised), "{index} {value}");
    }
    let registers = &bytes[HEADER..];
    let values = [0, 1, 7000, 16382, 16383].map(|index| dense::get(registers, index));
    assert_eq!(values, [5, 0, 51, 0, 33]);
}

#[test]
fn an_estimate_is_remembered_until_a_register_changes() {
    let mut bytes = empty();
    assert_eq!(cardinality(&bytes), Some(0));
    add(&mut bytes, b"a", SPARSE_LEN_MAX).unwrap();
    assert_eq!(cardinality(&bytes), None);
    remember_cardinality(&mut bytes, 1);
    assert_eq!(cardinality(&bytes), Some(1));
}

/// A client may write what it likes. All that is done with it ends, within its bytes, and with an
/// answer or a refusal.
#[test]
fn hostile_strings_are_answered_or_refused() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    let honest = [
        empty(),
        of_numbers(3, SPARSE_LEN_MAX),
        of_numbers(400, SPARSE_LEN_MAX),
        of_numbers(5000, SPARSE_LEN_MAX),
    ];
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..4000 {
        let mut bytes = honest[next() % honest.len()].clone();
        for _ in 0..next() % 4 {
            let at = next() % bytes.len();
            match next() % 5 {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.push(next() as u8),
                2 => bytes.insert(at, next() as u8),
                3 => bytes[at] = 0x7f,
                _ => bytes[at] = next() as u8,
            }
        }
        let is_one = encoding(&bytes).is_ok();
        let mut registers = Box::new([0; REGISTERS]);
        let merged = merge(&bytes, &mut registers).is_ok();
        assert_eq!(merged, count(&bytes).is_ok());
        assert!(is_one || !merged);
        sparse::runs(bytes.get(HEADER..).unwrap_or_default()).for_each(drop);
        for _ in 0..8 {
            let element = next().to_le_bytes();
            let len_max = [0, 20, SPARSE_LEN_MAX][next() % 3];
            let is_added = add(&mut bytes, &element, len_max).is_ok();
            assert!(is_one || !is_added);
        }
        if merged {
            assert!(merge(&bytes, &mut registers).is_ok(), "it was right before");
        }
        let _ = make_dense(&mut bytes);
        *(if merged { &mut answered } else { &mut refused }) += 1;
    }
    assert!(answered > 200 && refused > 200, "{answered} {refused}");
}
