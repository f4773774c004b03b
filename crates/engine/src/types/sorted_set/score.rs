//! The score of a member.

use std::cmp::Ordering;

use larder_resp::with_double;

use crate::error::{Error, Result};
use crate::keyspace::entry::Str;

/// A number by which members are ordered: never NaN. Minus zero equals zero, as numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Score(f64);

impl Score {
    /// The score of a plain set's members.
    pub(crate) const ONE: Score = Score(1.0);

    /// The score of this value, unless it is not a number.
    pub(crate) fn new(value: f64) -> Option<Score> {
        (!value.is_nan()).then_some(Score(value))
    }

    /// The score's value.
    pub(crate) fn get(self) -> f64 {
        self.0
    }

    /// The sum.
    ///
    /// # Errors
    ///
    /// If it is not a number: an infinity and the other one.
    pub(crate) fn checked_add(self, increment: Score) -> Result<Score> {
        let sum = Score::new(self.0 + increment.0);
        sum.ok_or(Error::text("ERR resulting score is not a number (NaN)"))
    }

    /// Calls `read` with the score as a listpack holds it: an integer if it is whole, up to 2^62, and
    /// its text if it is not.
    pub(super) fn with_string<T>(self, read: impl FnOnce(Str<'_>) -> T) -> T {
        const WHOLE_MAX: f64 = (1_i64 << 62) as f64;
        if self.0 == self.0.trunc() && self.0.abs() <= WHOLE_MAX {
            return read(Str::Int(self.0 as i64));
        }
        with_double(self.0, |text| read(Str::Bytes(text)))
    }

    /// The score that a listpack holds as this.
    #[inline]
    pub(super) fn of_string(string: Str<'_>) -> Score {
        match string {
            Str::Int(number) => Score(number as f64),
            Str::Bytes(text) => short_decimal(text).unwrap_or_else(|| Score::parse(text)),
        }
    }

    fn parse(text: &[u8]) -> Score {
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        number.and_then(Score::new).unwrap_or_default()
    }
}

/// The score with this text, if that is a fraction of a few digits: then one division is exact, and
/// takes a quarter of the time (Clinger: How to read floating point numbers accurately, 1990).
#[inline]
fn short_decimal(text: &[u8]) -> Option<Score> {
    const DIGITS_MAX: usize = 15;
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut mantissa, mut power, mut is_fraction) = (0_u64, 1_u64, false);
    if digits.len() > DIGITS_MAX + 1 {
        return None;
    }
    for &digit in digits {
        match digit {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(digit - b'0');
                power *= if is_fraction { 10 } else { 1 };
            }
            b'.' if !is_fraction => is_fraction = true,
            _ => return None,
        }
    }
    // Both numbers are below 2^53.
    let number = mantissa as f64 / power as f64;
    is_fraction.then_some(Score(if is_negative { -number } else { number }))
}

impl Eq for Score {}

impl Ord for Score {
    #[inline]
    fn cmp(&self, other: &Score) -> Ordering {
        // Numbers that can't be compared are no scores.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Score {
    #[inline]
    fn partial_cmp(&self, other: &Score) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
