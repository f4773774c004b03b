//! Ranges of bits, as BITCOUNT and BITPOS are given them.

use std::ops::Range;

use crate::args::Args;
use crate::error::{Error, Result};

/// What the bounds of a range count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    #[default]
    Byte,
    Bit,
}

impl Unit {
    /// The next word, as a unit; bytes if there is none.
    pub(super) fn read(args: &mut Args<'_>) -> Result<Unit> {
        match () {
            () if args.is_empty() || args.option("BYTE") => Ok(Unit::Byte),
            () if args.option("BIT") => Ok(Unit::Bit),
            () => Err(Error::Syntax),
        }
    }
}

/// The first and the last of what is within a range; negative ones count from the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) unit: Unit,
}

impl Bounds {
    /// All that there is.
    pub(super) const ALL: Bounds = Bounds {
        start: 0,
        end: -1,
        unit: Unit::Byte,
    };

    /// Whether both count from the end, and the first lies behind the last.
    pub(super) fn are_crossed_from_the_end(self) -> bool {
        self.start < 0 && self.end < 0 && self.start > self.end
    }

    /// The bits of so many bytes that are within, if there are any.
    pub(super) fn bits_of(self, bytes: usize) -> Option<Range<u64>> {
        let bits_each = match self.unit {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let len = bytes as i64 * 8 / bits_each;
        let from_end = |place: i64| if place < 0 { len + place } else { place };
        let start = from_end(self.start).max(0);
        let end = from_end(self.end).max(0).min(len - 1);
        (start <= end).then(|| (start * bits_each) as u64..((end + 1) * bits_each) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_cut_to_what_there_is() {
        let bits = |start, end, unit, bytes| Bounds { start, end, unit }.bits_of(bytes);
        assert_eq!(Bounds::ALL.bits_of(3), Some(0..24));
        assert_eq!(Bounds::ALL.bits_of(0), None);
        assert_eq!(bits(1, 1, Unit::Byte, 3), Some(8..16));
        assert_eq!(bits(-1, 100, Unit::Byte, 3), Some(16..24));
        assert_eq!(bits(3, 9, Unit::Byte, 3), None);
        assert_eq!(bits(5, 30, Unit::Bit, 3), Some(5..24));
        assert_eq!(bits(-3, -2, Unit::Bit, 3), Some(21..23));
        assert_eq!(bits(i64::MIN, i64::MAX, Unit::Bit, 3), Some(0..24));
        assert_eq!(bits(i64::MAX, i64::MIN, Unit::Byte, 3), None);
        assert_eq!(bits(-9, -10, Unit::Byte, 3), Some(0..8));
    }
}
