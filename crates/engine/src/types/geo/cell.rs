//! Cells of the grid, and the geohashes that number them.

use std::ops::Range;

use super::Point;

/// How many times both directions are halved for the cells that places are in.
const STEPS_MAX: u32 = 26;
/// How many bits a score has.
const SCORE_BITS: u32 = 2 * STEPS_MAX;

/// The bits of a geohash that halve latitudes; the others halve longitudes.
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

/// Degrees from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

pub(super) const LONGITUDES: Span = Span {
    min: -180.0,
    max: 180.0,
};
/// The latitudes of a square map of the world (EPSG:3857). The poles are beyond.
pub(super) const LATITUDES: Span = Span {
    min: -85.051_128_78,
    max: 85.051_128_78,
};
/// The latitudes of the geohashes that others write: <http://geohash.org>.
const ALL_LATITUDES: Span = Span {
    min: -90.0,
    max: 90.0,
};

/// The digits of geohashes, of five bits each.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

impl Span {
    pub(super) fn has(self, degrees: f64) -> bool {
        (self.min..=self.max).contains(&degrees)
    }

    /// In which of so many parts a place is.
    fn part(self, degrees: f64, steps: u32) -> u32 {
        let share = (degrees - self.min) / (self.max - self.min);
        (share * f64::from(1 << steps)) as u32
    }

    /// One of so many parts.
    fn of_part(self, part: u32, steps: u32) -> Span {
        let parts = f64::from(1 << steps);
        let border = |part: u32| self.min + f64::from(part) / parts * (self.max - self.min);
        Span {
            min: border(part),
            max: border(part.wrapping_add(1)),
        }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    /// How many times both directions were halved: from 1 to [`STEPS_MAX`].
    steps: u32,
}

/// What a cell covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Borders {
    pub(super) longitudes: Span,
    pub(super) latitudes: Span,
}

impl Cell {
    /// The cell of this size in which a place is.
    pub(super) fn of(point: Point, steps: u32) -> Cell {
        Cell::within(LATITUDES, point, steps)
    }

    fn within(latitudes: Span, point: Point, steps: u32) -> Cell {
        let latitude = latitudes.part(point.latitude, steps);
        let longitude = LONGITUDES.part(point.longitude, steps);
        Cell {
            bits: spread(latitude) | spread(longitude) << 1,
            steps,
        }
    }

    /// The smallest cell that has this score. Any number is a score: what is none of a cell is one
    /// somewhere, the same as in Redis on a 64-bit processor of Intel's kind.
    fn of_score(score: f64) -> Cell {
        const BEYOND: f64 = 18_446_744_073_709_551_616.0;
        let bits = match score {
            ..0.0 => (score as i64).cast_unsigned(),
            0.0..BEYOND => score as u64,
            _ => 0,
        };
        Cell {
            bits,
            steps: STEPS_MAX,
        }
    }

    /// The scores of the members in it.
    pub(super) fn scores(self) -> Range<f64> {
        let shift = SCORE_BITS - 2 * self.steps;
        (self.bits << shift) as f64..((self.bits + 1) << shift) as f64
    }

    pub(super) fn borders(self) -> Borders {
        Borders {
            longitudes: LONGITUDES.of_part(gathered(self.bits >> 1), self.steps),
            latitudes: LATITUDES.of_part(gathered(self.bits), self.steps),
        }
    }

    /// The cell that lies so many cells to the east and to the north, each -1, 0 or 1. Behind the last
    /// one is the first.
    pub(super) fn neighbour(self, east: i8, north: i8) -> Cell {
        let longitude = self.moved(!LATITUDE_BITS, east);
        let latitude = self.moved(LATITUDE_BITS, north);
        Cell {
            bits: longitude | latitude,
            steps: self.steps,
        }
    }

    /// The bits of one direction, moved by one part or by none.
    fn moved(self, direction: u64, by: i8) -> u64 {
        let part = self.bits & direction;
        let used = u64::MAX >> (64 - 2 * self.steps);
        let (own, between) = (used & direction, used & !direction);
        // A carry goes through the bits between, since those are all set, or all clear.
        match by {
            0 => part,
            1.. => part.wrapping_add(between + 1) & own,
            _ => (part | between).wrapping_sub(between + 1) & own,
        }
    }
}

/// The score of a place.
pub(super) fn score(point: Point) -> f64 {
    Cell::of(point, STEPS_MAX).bits as f64
}

/// The place that a score stands for: the middle of its cell.
pub(super) fn place(score: f64) -> Point {
    let borders = Cell::of_score(score).borders();
    let within = |span: Span, degrees: f64| degrees.min(span.max).max(span.min);
    Point {
        longitude: within(LONGITUDES, borders.longitudes.middle()),
        latitude: within(LATITUDES, borders.latitudes.middle()),
    }
}

/// The geohash of a place as others write it, of eleven digits. The last one is 0, since there are no
/// bits for it.
pub(super) fn geohash(point: Point) -> [u8; 11] {
    let bits = Cell::within(ALL_LATITUDES, point, STEPS_MAX).bits;
    std::array::from_fn(|digit| {
        let shift = SCORE_BITS.checked_sub((digit as u32 + 1) * 5);
        let digit = shift.map_or(0, |shift| bits >> shift & 31);
        DIGITS[digit as usize]
    })
}

/// A number whose bits stand at every second place, the lowest at the lowest.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The number of which [`spread`] makes these bits; what stands between them is left out.
fn gathered(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point {
        longitude: 13.361389,
        latitude: 38.115556,
    };

    #[test]
    fn a_place_has_the_score_and_the_geohash_of_the_documentation() {
        assert_eq!(score(PALERMO), 3_479_099_956_230_698.0);
        assert_eq!(&geohash(place(score(PALERMO))), b"sqc8b49rny0");
    }

    #[test]
    fn a_score_stands_for_a_place_nearby() {
        let found = place(score(PALERMO));
        assert!((found.longitude - PALERMO.longitude).abs() < 1e-5);
        assert!((found.latitude - PALERMO.latitude).abs() < 1e-5);
        for score in [-1.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 1e19, 0.5] {
            let place = place(score);
            assert!(LONGITUDES.has(place.longitude) && LATITUDES.has(place.latitude));
        }
    }

    #[test]
    fn neighbours_touch_and_the_way_back_leads_home() {
        for steps in [1, 2, 7, 25, 26] {
            let cell = Cell::of(PALERMO, steps);
            for (east, north) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1)] {
                let neighbour = cell.neighbour(east, north);
                assert_eq!(neighbour.neighbour(-east, -north), cell);
            }
        }
        let (cell, east) = (Cell::of(PALERMO, 9), Cell::of(PALERMO, 9).neighbour(1, 0));
        assert_eq!(cell.borders().longitudes.max, east.borders().longitudes.min);
        assert_eq!(cell.borders().latitudes, east.borders().latitudes);
    }

    #[test]
    fn bits_are_spread_and_gathered_again() {
        for number in [0, 1, 0xffff_ffff, 0x1234_5678] {
            assert_eq!(gathered(spread(number)), number);
            assert_eq!(gathered(spread(number) | spread(77) << 1), number);
        }
    }
}
