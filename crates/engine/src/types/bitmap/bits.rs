//! Single bits, and how many there are in a range.

use std::ops::Range;

/// How many bytes are looked at together where nearly all of them are alike.
const BLOCK: usize = 64;

/// The bit at this place, as a mask of its byte.
fn mask(at: u64) -> u8 {
    0x80 >> (at % 8)
}

/// The bit at this place: 0 beyond the end.
pub(super) fn bit(bytes: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok();
    let byte = byte.and_then(|byte| bytes.get(byte));
    byte.is_some_and(|byte| byte & mask(at) != 0)
}

/// Gives the bit at this place, which is in one of the bytes, this value.
pub(super) fn set_bit(bytes: &mut [u8], at: u64, is_set: bool) {
    let byte = &mut bytes[(at / 8) as usize];
    match is_set {
        true => *byte |= mask(at),
        false => *byte &= !mask(at),
    }
}

/// How many bits of a range, which is within the bytes, are 1.
pub(super) fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    let bytes = &bytes[(range.start / 8) as usize..range.end.div_ceil(8) as usize];
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return 0;
    };
    let before = match range.start % 8 {
        0 => 0,
        skipped => (first >> (8 - skipped)).count_ones(),
    };
    let behind = match range.end % 8 {
        0 => 0,
        taken => (last << taken).count_ones(),
    };
    ones(bytes) - u64::from(before) - u64::from(behind)
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_ne_bytes(*word));
    let words: u64 = words.map(|word| u64::from(word.count_ones())).sum();
    let rest = rest.iter().map(|byte| u64::from(byte.count_ones()));
    words + rest.sum::<u64>()
}

/// The place of the first bit of a range, which is within the bytes, that has this value.
pub(super) fn first(bytes: &[u8], is_set: bool, range: Range<u64>) -> Option<u64> {
    let skipped = if is_set { 0 } else { u8::MAX };
    let start = (range.start / 8) as usize;
    let bytes = &bytes[start..range.end.div_ceil(8) as usize];
    let (head, rest) = bytes.split_first()?;
    let (place, found) = match (head ^ skipped) & (u8::MAX >> (range.start % 8)) {
        0 => {
            let place = first_other(rest, skipped)?;
            (place + 1, rest[place] ^ skipped)
        }
        found => (0, found),
    };
    let at = (start + place) as u64 * 8 + u64::from(found.leading_zeros());
    (at < range.end).then_some(at)
}

/// The place of the first byte that is another one.
fn first_other(bytes: &[u8], skipped: u8) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let is_skipped = |block: &&[u8; BLOCK]| {
        // Without a way out in between, so that it is done by many bytes at once.
        let others = block
            .iter()
            .fold(0, |others, byte| others | (byte ^ skipped));
        others == 0
    };
    let from = blocks.iter().take_while(is_skipped).count() * BLOCK;
    let place = bytes[from..].iter().position(|byte| *byte != skipped)?;
    Some(from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strings in which all bytes are alike for long, and one is not.
    fn strings() -> Vec<Vec<u8>> {
        let mut strings = vec![vec![], vec![0b0110_1001], (0..=255).collect()];
        for fill in [0, 255] {
            for (len, other) in [(1, 0), (9, 8), (64, 63), (65, 64), (200, 130)] {
                let mut string = vec![fill; len];
                string[other] ^= 0b0001_0100;
                strings.push(string);
                strings.push(vec![fill; len]);
            }
        }
        strings
    }

    /// Many ranges of so many bits.
    fn ranges(len: u64) -> impl Iterator<Item = Range<u64>> {
        let starts = (0..=len).filter(move |start| start % 7 == 0 || len - start < 10);
        starts.flat_map(move |start| {
            let ends = (start..=len).filter(move |end| end % 11 == 0 || len - end < 10);
            ends.map(move |end| start..end)
        })
    }

    #[test]
    fn bits_are_counted_and_found_as_one_by_one() {
        for string in strings() {
            for range in ranges(string.len() as u64 * 8) {
                let one_by_one = || range.clone().filter(|at| bit(&string, *at)).count();
                assert_eq!(count(&string, range.clone()), one_by_one() as u64);
                for is_set in [false, true] {
                    let wanted = range.clone().find(|at| bit(&string, *at) == is_set);
                    assert_eq!(first(&string, is_set, range.clone()), wanted);
                }
            }
        }
    }

    #[test]
    fn a_bit_is_set_and_no_other() {
        for is_set in [false, true] {
            for at in 0..24 {
                let mut bytes = [0b1010_0101, 0, 255];
                let before = bytes;
                set_bit(&mut bytes, at, is_set);
                for other in 0..24 {
                    let wanted = if other == at {
                        is_set
                    } else {
                        bit(&before, other)
                    };
                    assert_eq!(bit(&bytes, other), wanted);
                }
            }
        }
        assert!(!bit(&[255], 8) && !bit(&[255], u64::MAX));
    }
}
