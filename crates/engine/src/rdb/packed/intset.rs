//! Intsets: the width of an integer, their count, and the integers, ascending.

use super::{Malformed, array, int_le};

const HEAD: usize = 8;

/// The integers of an intset.
pub(in super::super) fn read_integers(
    bytes: &[u8],
) -> Result<impl Iterator<Item = i64> + use<'_>, Malformed> {
    let width = u32::from_le_bytes(array(bytes, 0)?) as usize;
    let count = u32::from_le_bytes(array(bytes, 4)?) as usize;
    let integers = bytes.get(HEAD..).unwrap_or_default();
    let has_size = count.checked_mul(width) == Some(integers.len());
    if !matches!(width, 2 | 4 | 8) || !has_size {
        return Err(Malformed);
    }
    let integers = integers.chunks_exact(width).map(int_le);
    match integers.clone().is_sorted_by(|one, next| one < next) {
        true => Ok(integers),
        false => Err(Malformed),
    }
}

/// The intset of these integers, which are ascending.
pub(in super::super) fn write_integers(integers: &[i64]) -> Vec<u8> {
    let fits = |bound: i64| {
        integers
            .iter()
            .all(|number| (-bound..bound).contains(number))
    };
    let width = match () {
        () if fits(1 << 15) => 2,
        () if fits(1 << 31) => 4,
        () => 8,
    };
    let mut bytes = Vec::with_capacity(HEAD + integers.len() * width);
    bytes.extend_from_slice(&(width as u32).to_le_bytes());
    bytes.extend_from_slice(&(integers.len() as u32).to_le_bytes());
    for number in integers {
        bytes.extend_from_slice(&number.to_le_bytes()[..width]);
    }
    bytes
}
