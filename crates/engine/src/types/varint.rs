//! Whole numbers in as few bytes as they need, readable from either side.
//!
//! Seven bits a byte, lowest first; the top bit says that another byte follows. A mirrored number
//! has the same bytes in the opposite order, so that it can be read from its end.

/// The most bytes that a number takes.
pub(crate) const LEN_MAX: usize = 10;

/// A number's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded {
    bytes: [u8; LEN_MAX],
    len: u8,
}

impl Encoded {
    /// The bytes, as [`read`] reads them.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The bytes of `number`, as [`read`] reads them.
pub(crate) fn encode(mut number: u64) -> Encoded {
    let mut encoded = Encoded {
        bytes: [0; LEN_MAX],
        len: 1,
    };
    while number >= 0x80 {
        encoded.bytes[usize::from(encoded.len) - 1] = number as u8 | 0x80;
        encoded.len += 1;
        number >>= 7;
    }
    encoded.bytes[usize::from(encoded.len) - 1] = number as u8;
    encoded
}

/// The bytes of `number`, as [`read_back`] reads them.
pub(crate) fn encode_mirrored(number: u64) -> Encoded {
    let mut encoded = encode(number);
    encoded.bytes[..usize::from(encoded.len)].reverse();
    encoded
}

/// How many bytes `number` takes.
pub(crate) fn len(number: u64) -> usize {
    match number {
        0..0x80 => 1,
        _ => (64 - number.leading_zeros() as usize).div_ceil(7),
    }
}

/// Appends `number`.
pub(crate) fn push(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte @ 0..0x80) => out.push(byte),
        _ => out.extend_from_slice(encode(number).as_slice()),
    }
}

/// Appends `number`, to be read from its end.
pub(crate) fn push_mirrored(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte @ 0..0x80) => out.push(byte),
        _ => out.extend_from_slice(encode_mirrored(number).as_slice()),
    }
}

/// The number at the start of `bytes`, and how many bytes it takes.
pub(crate) fn read(bytes: &[u8]) -> (u64, usize) {
    read_from(bytes.iter())
}

/// The mirrored number at the end of `bytes`, and how many bytes it takes.
pub(crate) fn read_back(bytes: &[u8]) -> (u64, usize) {
    read_from(bytes.iter().rev())
}

#[inline]
fn read_from<'a>(bytes: impl Iterator<Item = &'a u8>) -> (u64, usize) {
    let (mut number, mut len) = (0, 0);
    for &byte in bytes {
        number |= u64::from(byte & 0x7f) << (7 * len).min(63);
        len += 1;
        if byte < 0x80 {
            break;
        }
    }
    (number, len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_read_from_either_side(bits in 0u32..64, number: u64) {
            let number = number >> bits;
            let (mut out, mut mirrored) = (Vec::new(), Vec::new());
            push(&mut out, number);
            push_mirrored(&mut mirrored, number);
            prop_assert_eq!(out.len(), len(number));
            prop_assert_eq!(read(&out), (number, out.len()));
            prop_assert_eq!(read_back(&mirrored), (number, out.len()));
        }
    }
}
