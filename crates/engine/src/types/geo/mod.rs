//! Places on the earth: members of a sorted set whose scores are geohashes of 52 bits.
//!
//! A geohash halves the longitudes and the latitudes in turn, and so is the number of a cell in a grid
//! that can be as fine as half a metre. Cells that begin with the same bits lie in the same larger cell,
//! so all members in a cell of any size are one range of scores.
//!
//! A search takes the cell in which its middle lies and the eight around it, of a size at which they
//! cover what is searched, and looks at each member in these ranges (`area`, `search`). Distances are
//! those on a sphere (`distance`).
//!
//! Scores, distances and the order of answers are those of Redis, so the operations on numbers are in
//! its order too: <https://redis.io/docs/latest/develop/data-types/geospatial/>.

pub(crate) mod commands;

mod area;
mod cell;
mod distance;
mod options;
mod search;

use crate::args::Args;
use crate::error::{Error, Result};

/// A place, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    longitude: f64,
    latitude: f64,
}

impl Point {
    /// The next two words, as a place that a cell can have.
    fn read(args: &mut Args<'_>) -> Result<Point> {
        let (longitude, latitude) = (args.float()?, args.float()?);
        let is_one = cell::LONGITUDES.has(longitude) && cell::LATITUDES.has(latitude);
        match is_one {
            true => Ok(Point {
                longitude,
                latitude,
            }),
            false => Err(Error::text(format!(
                "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
            ))),
        }
    }
}

/// The next word, as a unit: how many metres it is.
fn read_unit(args: &mut Args<'_>) -> Result<f64> {
    match () {
        () if args.option("M") => Ok(1.0),
        () if args.option("KM") => Ok(1000.0),
        () if args.option("FT") => Ok(0.3048),
        () if args.option("MI") => Ok(1609.34),
        () => Err(Error::text(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        )),
    }
}
