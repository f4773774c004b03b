//! Integers of any width inside a string, at any bit: BITFIELD.

use crate::args::{Args, parse_int};
use crate::error::{Error, Result};

/// How an integer is held: two's complement if it has a sign, the highest bit first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    is_signed: bool,
    /// From 1 to 64, and to 63 without a sign.
    bits: u32,
}

/// What is done where a number does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Its highest bits are left out.
    #[default]
    Wrap,
    /// It becomes the next one that does.
    Saturate,
    /// Nothing is changed.
    Fail,
}

/// What is done with one integer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) encoding: Encoding,
    /// Its first bit.
    pub(super) at: u64,
    pub(super) action: Action,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Step {
    /// Reads the words behind an action's name. A string has at most so many bytes.
    pub(super) fn read(
        args: &mut Args<'_>,
        len_max: u64,
        action: impl FnOnce(&mut Args<'_>) -> Result<Action>,
    ) -> Result<Step> {
        let encoding = Encoding::read(args.bytes()?)?;
        Ok(Step {
            encoding,
            at: read_place(args.bytes()?, encoding, len_max)?,
            action: action(args)?,
        })
    }

    /// Up to which bit the string has to be there, if the integer may be changed.
    pub(super) fn writes_until(&self) -> Option<u64> {
        let is_get = matches!(self.action, Action::Get);
        (!is_get).then(|| self.at + u64::from(self.encoding.bits))
    }

    /// The integer in these bytes.
    pub(super) fn number(&self, bytes: &[u8]) -> i64 {
        self.encoding
            .number(read(bytes, self.at, self.encoding.bits))
    }

    /// What becomes of the integer; nothing where that does not fit and must not be.
    pub(super) fn changed(&self, old: i64) -> Option<i64> {
        let (wanted, overflow) = match self.action {
            Action::Get => return Some(old),
            Action::Set(number, overflow) => (self.encoding.unwrapped(number), overflow),
            Action::Add(number, overflow) => (i128::from(old) + i128::from(number), overflow),
        };
        self.encoding.fit(wanted, overflow)
    }

    /// Puts an integer, which fits, into the bytes, which are there.
    pub(super) fn write(&self, bytes: &mut [u8], number: i64) {
        write(bytes, self.at, self.encoding.bits, number as u64);
    }
}

impl Encoding {
    fn read(word: &[u8]) -> Result<Encoding> {
        const REFUSAL: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that \
                               u64 is not supported but i64 is.";
        let (is_signed, bits, bits_max) = match word {
            [b'i', bits @ ..] => (true, bits, 64),
            [b'u', bits @ ..] => (false, bits, 63),
            _ => return Err(Error::text(REFUSAL)),
        };
        let bits = parse_int(bits).and_then(|bits| u32::try_from(bits).ok());
        let bits = bits.filter(|bits| (1..=bits_max).contains(bits));
        let bits = bits.ok_or(Error::text(REFUSAL))?;
        Ok(Encoding { is_signed, bits })
    }

    /// The number that these bits are.
    fn number(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        match self.is_signed {
            true => (bits << unused).cast_signed() >> unused,
            false => bits.cast_signed(),
        }
    }

    /// A number that was read as a signed one, and has no sign where there is none.
    fn unwrapped(self, number: i64) -> i128 {
        match self.is_signed {
            true => i128::from(number),
            false => i128::from(number.cast_unsigned()),
        }
    }

    /// This number, or what is put in its place where it does not fit.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.is_signed {
            true => (-1 << (self.bits - 1), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        };
        let fitting = match overflow {
            _ if (min..=max).contains(&number) => number,
            Overflow::Wrap => {
                let bits = number as u64 & (u64::MAX >> (64 - self.bits));
                i128::from(self.number(bits))
            }
            Overflow::Saturate => number.clamp(min, max),
            Overflow::Fail => return None,
        };
        Some(fitting as i64)
    }
}

/// Where an integer begins: a bit, or behind `#` how many integers of its width come before it.
fn read_place(word: &[u8], encoding: Encoding, len_max: u64) -> Result<u64> {
    match word {
        [b'#', number @ ..] => {
            let number = parse_int(number).and_then(|number| u64::try_from(number).ok());
            let at = number.and_then(|number| number.checked_mul(u64::from(encoding.bits)));
            checked_place(at, len_max)
        }
        word => read_bit_place(word, len_max),
    }
}

/// The place of a bit that a string of at most so many bytes can have.
pub(super) fn read_bit_place(word: &[u8], len_max: u64) -> Result<u64> {
    let at = parse_int(word).and_then(|at| u64::try_from(at).ok());
    checked_place(at, len_max)
}

fn checked_place(at: Option<u64>, len_max: u64) -> Result<u64> {
    let refusal = || Error::text("ERR bit offset is not an integer or out of range");
    at.filter(|at| at / 8 < len_max).ok_or_else(refusal)
}

/// The bytes that hold an integer which begins at a bit, as one number; those beyond the end are 0.
fn window(bytes: &[u8], at: u64) -> (usize, u128) {
    let start = usize::try_from(at / 8).unwrap_or(usize::MAX);
    let bytes = bytes.get(start..).unwrap_or_default();
    let mut window = [0; 16];
    let len = bytes.len().min(window.len());
    window[..len].copy_from_slice(&bytes[..len]);
    (start, u128::from_be_bytes(window))
}

/// So many bits from a place on.
fn read(bytes: &[u8], at: u64, bits: u32) -> u64 {
    let (_, window) = window(bytes, at);
    (window << (at % 8) >> (128 - bits)) as u64
}

/// Overwrites so many bits from a place on, with the lowest ones of a number.
fn write(bytes: &mut [u8], at: u64, bits: u32, number: u64) {
    let (start, window) = window(bytes, at);
    let shift = 128 - bits - (at % 8) as u32;
    let mask = u128::from(u64::MAX >> (64 - bits)) << shift;
    let window = window & !mask | u128::from(number) << shift & mask;
    let bytes = &mut bytes[start..];
    let len = bytes.len().min(16);
    bytes[..len].copy_from_slice(&window.to_be_bytes()[..len]);
}

#[cfg(test)]
mod tests {
    use super::super::bits;
    use super::*;

    #[test]
    fn a_number_is_written_where_it_belongs_and_nowhere_else() {
        for width in [1, 2, 5, 8, 31, 63, 64] {
            for at in 0..40u64 {
                let before: Vec<u8> = (0..16).map(|byte: u8| byte.wrapping_mul(37)).collect();
                let number = 0x9234_5678_9abc_def1_u64 >> (64 - width);
                let mut bytes = before.clone();
                write(&mut bytes, at, width, number);
                assert_eq!(read(&bytes, at, width), number);
                let own = at..at + u64::from(width);
                for other in (0..128).filter(|bit| !own.contains(bit)) {
                    assert_eq!(bits::bit(&bytes, other), bits::bit(&before, other));
                }
            }
        }
        assert_eq!(read(&[0xff], 4, 8), 0xf0);
        assert_eq!(read(&[], u64::MAX, 64), 0);
    }

    #[test]
    fn what_does_not_fit_is_wrapped_cut_or_refused() {
        let [i8, u8, i64] = ["i8", "u8", "i64"].map(|word| Encoding::read(word.as_bytes()));
        let (i8, u8, i64) = (i8.unwrap(), u8.unwrap(), i64.unwrap());
        for (encoding, number, wrapped, saturated) in [
            (i8, 128, -128, 127),
            (i8, -129, 127, -128),
            (i8, 1000, -24, 127),
            (u8, 256, 0, 255),
            (u8, -1, 255, 0),
            (i64, 1 << 63, i64::MIN, i64::MAX),
        ] {
            assert_eq!(encoding.fit(number, Overflow::Wrap), Some(wrapped));
            assert_eq!(encoding.fit(number, Overflow::Saturate), Some(saturated));
            assert_eq!(encoding.fit(number, Overflow::Fail), None);
        }
        assert_eq!(u8.fit(255, Overflow::Fail), Some(255));
        assert_eq!(u8.unwrapped(-1), i128::from(u64::MAX));
    }
}
