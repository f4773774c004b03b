//! Distances on a sphere, by the haversine formula.

use super::Point;

/// The radius of the earth, in metres: its quadratic mean by WGS 84.
pub(super) const EARTH_M: f64 = 6_372_797.560856;

const RADIANS: f64 = std::f64::consts::PI / 180.0;

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

/// How many metres two places are apart.
pub(super) fn metres(one: Point, other: Point) -> f64 {
    let east = ((radians(other.longitude) - radians(one.longitude)) / 2.0).sin();
    if east == 0.0 {
        return metres_north(one.latitude, other.latitude);
    }
    let (from, to) = (radians(one.latitude), radians(other.latitude));
    let north = ((to - from) / 2.0).sin();
    let square = north * north + from.cos() * to.cos() * east * east;
    2.0 * EARTH_M * square.sqrt().asin()
}

/// How many metres two latitudes are apart.
pub(super) fn metres_north(one: f64, other: f64) -> f64 {
    EARTH_M * (radians(other) - radians(one)).abs()
}

/// A distance as answers show it: with four decimals.
pub(super) fn shown(distance: f64) -> String {
    let scaled = (distance * 1e4).round_ties_even();
    // What is no distance is the lowest of all numbers, as in Redis.
    let scaled = match scaled.abs() < i64::MAX as f64 {
        true => scaled as i64,
        false => i64::MIN,
    };
    let sign = if scaled < 0 { "-" } else { "" };
    let digits = scaled.unsigned_abs();
    format!("{sign}{}.{:04}", digits / 10_000, digits % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_shown_with_four_decimals() {
        for (distance, wanted) in [
            (0.0, "0.0000"),
            (0.00004, "0.0000"),
            (0.00005, "0.0000"),
            (0.00016, "0.0002"),
            (0.00025, "0.0002"),
            (166274.15156, "166274.1516"),
            (f64::NAN, "-922337203685477.5808"),
        ] {
            assert_eq!(shown(distance), wanted);
        }
    }

    #[test]
    fn palermo_is_166_kilometres_from_catania() {
        let point = |longitude, latitude| Point {
            longitude,
            latitude,
        };
        let far = metres(point(13.361389, 38.115556), point(15.087269, 37.502669));
        assert!((far - 166_274.0).abs() < 1.0, "{far}");
    }
}
