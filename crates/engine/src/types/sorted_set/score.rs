//! The score of a member.

use std::cmp::Ordering;

use crate::error::{Error, Result};

/// A number by which members are ordered: never NaN, and never minus zero.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Score(f64);

impl Score {
    /// The score of a plain set's members.
    pub(crate) const ONE: Score = Score(1.0);

    /// The score of this value, unless it is not a number.
    pub(crate) fn new(value: f64) -> Option<Score> {
        // Adding 0 makes of -0 a 0.
        (!value.is_nan()).then_some(Score(value + 0.0))
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

    /// The score in up to eight bytes: short numbers are short.
    pub(super) fn encode(self) -> Encoded {
        let bits = self.0.to_bits();
        Encoded {
            bytes: bits.to_be_bytes(),
            len: 8 - bits.trailing_zeros() as usize / 8,
        }
    }

    /// The score that [`Score::encode`] made these bytes of.
    pub(super) fn decode(encoded: &[u8]) -> Score {
        let mut bytes = [0; 8];
        bytes[..encoded.len()].copy_from_slice(encoded);
        Score(f64::from_be_bytes(bytes))
    }
}

impl Eq for Score {}

impl Ord for Score {
    #[inline]
    fn cmp(&self, other: &Score) -> Ordering {
        // The total order differs from the numbers' only where a score cannot be.
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    #[inline]
    fn partial_cmp(&self, other: &Score) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The leading bytes of a score's bits, without the zeros that follow.
pub(super) struct Encoded {
    bytes: [u8; 8],
    len: usize,
}

impl Encoded {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
