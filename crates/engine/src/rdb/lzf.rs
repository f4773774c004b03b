//! LZF, as Redis compresses strings.
//!
//! ```text
//! 000xxxxx  bytes...           x + 1 bytes as they are
//! lllxxxxx  xxxxxxxx           l + 2 bytes (l from 1 to 6) from x + 1 bytes before
//! 111xxxxx  llllllll xxxxxxxx  l + 9 bytes from x + 1 bytes before
//! ```

use super::Malformed;

/// How many bytes one step may have as they are.
const LITERALS_MAX: usize = 32;

/// How many bytes one step may copy: a length of seven and one of a byte.
const COPY_MAX: usize = 2 + 7 + 255;

/// How far back it may reach.
const DISTANCE_MAX: usize = 1 << 13;

/// How many bytes a copy must have to be worth it.
const COPY_MIN: usize = 3;

/// How many bits the places of beginnings are found by.
const HASH_BITS: u32 = 13;

/// How many bytes three bytes may stand for, at most: no text is longer than this times its
/// compressed form.
const GROWTH_MAX: usize = COPY_MAX / 3;

/// Compresses a text. `None` if it would take more than `len_max` bytes.
pub(super) fn compress(text: &[u8], len_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len_max);
    // The place behind the last one at which three bytes with this hash began.
    let mut begun = vec![0u32; 1 << HASH_BITS];
    let (mut from, mut at) = (0, 0);
    while let Some(beginning) = text.get(at..at + COPY_MIN) {
        let place = &mut begun[hash(beginning)];
        let before = std::mem::replace(place, u32::try_from(at + 1).ok()?) as usize;
        let Some(len) = before
            .checked_sub(1)
            .filter(|before| at - before <= DISTANCE_MAX)
            .map(|before| same(text, before, at))
            .filter(|len| *len >= COPY_MIN)
        else {
            at += 1;
            continue;
        };
        write_literals(&text[from..at], &mut out);
        write_copy(at - before, len, &mut out);
        at += len;
        from = at;
        if out.len() > len_max {
            return None;
        }
    }
    write_literals(&text[from..], &mut out);
    (out.len() <= len_max).then_some(out)
}

fn hash(beginning: &[u8]) -> usize {
    let number = beginning
        .iter()
        .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    (number.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS)) as usize
}

/// How many bytes are the same from these two places on.
fn same(text: &[u8], before: usize, at: usize) -> usize {
    let (earlier, later) = (text[before..].iter(), text[at..].iter());
    let pairs = earlier.zip(later).take(COPY_MAX);
    pairs.take_while(|(one, other)| one == other).count()
}

fn write_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for literals in bytes.chunks(LITERALS_MAX) {
        out.push(literals.len() as u8 - 1);
        out.extend_from_slice(literals);
    }
}

/// Writes that `len` bytes are those that stand `distance` and one bytes before.
fn write_copy(distance: usize, len: usize, out: &mut Vec<u8>) {
    let (high, low) = ((distance >> 8) as u8, distance as u8);
    match len - 2 {
        len @ ..7 => out.extend_from_slice(&[(len as u8) << 5 | high, low]),
        len => out.extend_from_slice(&[7 << 5 | high, (len - 7) as u8, low]),
    }
}

/// The text that was compressed, which has to be so long.
pub(super) fn decompress(mut bytes: &[u8], len: usize) -> Result<Vec<u8>, Malformed> {
    if len > bytes.len().saturating_mul(GROWTH_MAX) {
        return Err(Malformed);
    }
    let mut out = Vec::with_capacity(len);
    while let [control, rest @ ..] = bytes {
        let control = usize::from(*control);
        bytes = rest;
        if control < LITERALS_MAX {
            let (literals, rest) = bytes.split_at_checked(control + 1).ok_or(Malformed)?;
            expect_room(&out, literals.len(), len)?;
            out.extend_from_slice(literals);
            bytes = rest;
            continue;
        }
        let mut copied = (control >> 5) + 2;
        if copied == 9 {
            copied += usize::from(take(&mut bytes)?);
        }
        let distance = (control & 0x1f) << 8 | usize::from(take(&mut bytes)?);
        let begin = out.len().checked_sub(distance + 1).ok_or(Malformed)?;
        expect_room(&out, copied, len)?;
        // The copy may reach into what it has copied itself.
        for place in begin..begin + copied {
            out.push(out[place]);
        }
    }
    match out.len() == len {
        true => Ok(out),
        false => Err(Malformed),
    }
}

fn take(bytes: &mut &[u8]) -> Result<u8, Malformed> {
    let (first, rest) = bytes.split_first().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*first)
}

fn expect_room(out: &[u8], more: usize, len: usize) -> Result<(), Malformed> {
    match out.len() + more <= len {
        true => Ok(()),
        false => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(text: &[u8]) {
        if let Some(bytes) = compress(text, text.len()) {
            assert_eq!(decompress(&bytes, text.len()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_repeats_becomes_short() {
        let text = b"larder ".repeat(1000);
        let bytes = compress(&text, text.len() - 4).expect("it repeats");
        assert!(bytes.len() < 100, "{}", bytes.len());
        there_and_back(&text);
    }

    #[test]
    fn a_compressed_text_that_lies_is_refused() {
        // Reaches before the beginning; has less than it says; has more; ends in a step.
        for (bytes, len) in [
            (&[0x20, 0x00][..], 3),
            (&[0x00, b'a', 0x20], 4),
            (&[0x00, b'a'], 2),
            (&[0x01, b'a', b'b'], 1),
            (&[0x05, b'a'], 6),
            (&[0x00, b'a', 0xe0, 0xff], 270),
        ] {
            assert_eq!(decompress(bytes, len), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn no_memory_is_taken_for_a_length_that_can_not_be() {
        assert_eq!(
            decompress(&[0xff, 0xff, 0x00], usize::MAX / 2),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn texts_come_back(text in proptest::collection::vec(0u8..4, 0..2000)) {
            there_and_back(&text);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, len in 0usize..5000) {
            let _ = decompress(&bytes, len);
        }
    }
}
