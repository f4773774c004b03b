//! What is searched, and the cells that cover it.

use super::Point;
use super::cell::{Cell, LATITUDES, LONGITUDES};
use super::distance::{EARTH_M, degrees, metres, metres_north, radians};

/// Half of the equator on a square map of the world, in metres.
const MAP_M: f64 = 20_037_726.37;
/// The smallest cells with which a search can begin.
const STEPS_MAX: u32 = 26;

/// A part of the earth.
#[derive(Clone, Debug)]
pub(super) struct Area {
    pub(super) middle: Point,
    pub(super) shape: Shape,
    /// How many metres the unit is in which the shape is measured.
    pub(super) unit_m: f64,
}

/// Its shape, around its middle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Circle {
        radius: f64,
    },
    /// Along the directions of the compass.
    Box {
        width: f64,
        height: f64,
    },
    /// The corners, at least three.
    Polygon(Vec<Point>),
}

/// The degrees within which an area lies.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Area {
    /// The area within these corners. Its middle is the mean of them on the sphere.
    pub(super) fn polygon(corners: Vec<Point>) -> Area {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        Area {
            middle: Point {
                longitude: degrees(y.atan2(x)),
                latitude: degrees(z.atan2((x * x + y * y).sqrt())),
            },
            shape: Shape::Polygon(corners),
            unit_m: 1.0,
        }
    }

    /// How many metres a place is from the middle, if it is within the area.
    pub(super) fn distance_m(&self, point: Point) -> Option<f64> {
        match &self.shape {
            Shape::Circle { radius } => {
                let distance = metres(self.middle, point);
                let is_outside = distance > radius * self.unit_m;
                return (!is_outside).then_some(distance);
            }
            Shape::Box { width, height } => {
                let north = metres_north(point.latitude, self.middle.latitude);
                if north > height * self.unit_m / 2.0 {
                    return None;
                }
                let beside = Point {
                    longitude: self.middle.longitude,
                    ..point
                };
                if metres(point, beside) > width * self.unit_m / 2.0 {
                    return None;
                }
            }
            Shape::Polygon(corners) if !is_within(corners, point) => return None,
            Shape::Polygon(_) => {}
        }
        Some(metres(self.middle, point))
    }

    /// The cells that cover it, the one with its middle first, in the order in which they are searched.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> {
        let bounds = self.bounds();
        let mut steps = steps_for(self.radius_m(bounds), self.middle.latitude);
        // The middle of corners can lie beyond all cells.
        let middle = Point {
            longitude: self.middle.longitude.clamp(LONGITUDES.min, LONGITUDES.max),
            latitude: self.middle.latitude.clamp(LATITUDES.min, LATITUDES.max),
        };
        let mut cell = Cell::of(middle, steps);
        if steps > 1 && !bounds.are_covered_around(cell) {
            steps -= 1;
            cell = Cell::of(middle, steps);
        }
        let own = cell.borders();
        // On this side the cell goes beyond the area, so its neighbours there are of no use.
        let reaches = move |east: i8, north: i8| {
            let is_beyond = match east {
                1 => own.longitudes.max > bounds.east,
                -1 => own.longitudes.min < bounds.west,
                _ => false,
            };
            let is_beyond_too = match north {
                1 => own.latitudes.max > bounds.north,
                -1 => own.latitudes.min < bounds.south,
                _ => false,
            };
            steps < 2 || !(is_beyond || is_beyond_too)
        };
        const AROUND: [(i8, i8); 9] = [
            (0, 0),
            (0, 1),
            (0, -1),
            (1, 0),
            (-1, 0),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ];
        let around = AROUND.into_iter();
        let around = around.filter(move |(east, north)| reaches(*east, *north));
        around.map(move |(east, north)| cell.neighbour(east, north))
    }

    fn bounds(&self) -> Bounds {
        let (width, height) = match &self.shape {
            Shape::Circle { radius } => (self.unit_m * radius, self.unit_m * radius),
            Shape::Box { width, height } => {
                (self.unit_m * (width / 2.0), self.unit_m * (height / 2.0))
            }
            Shape::Polygon(corners) => return Bounds::of(corners),
        };
        let Point {
            longitude,
            latitude,
        } = self.middle;
        let north = degrees(height / EARTH_M);
        // Where the circles of latitude are shorter.
        let narrow = match latitude < 0.0 {
            true => latitude - north,
            false => latitude + north,
        };
        let east = degrees(width / EARTH_M / radians(narrow).cos());
        Bounds {
            west: longitude - east,
            east: longitude + east,
            south: latitude - north,
            north: latitude + north,
        }
    }

    /// How far it reaches from its middle.
    fn radius_m(&self, bounds: Bounds) -> f64 {
        let radius = match &self.shape {
            Shape::Circle { radius } => *radius,
            Shape::Box { width, height } => {
                let (width, height) = (width / 2.0, height / 2.0);
                (width * width + height * height).sqrt()
            }
            Shape::Polygon(_) => {
                let corners = [
                    (bounds.west, bounds.north),
                    (bounds.east, bounds.north),
                    (bounds.west, bounds.south),
                    (bounds.east, bounds.south),
                ];
                let distances = corners.map(|(longitude, latitude)| {
                    let corner = Point {
                        longitude,
                        latitude,
                    };
                    metres(self.middle, corner)
                });
                distances.into_iter().fold(0.0, f64::max)
            }
        };
        radius * self.unit_m
    }
}

impl Bounds {
    fn of(corners: &[Point]) -> Bounds {
        let bounds = Bounds {
            west: LONGITUDES.max,
            east: LONGITUDES.min,
            south: LATITUDES.max,
            north: LATITUDES.min,
        };
        corners.iter().fold(bounds, |bounds, corner| Bounds {
            west: bounds.west.min(corner.longitude),
            east: bounds.east.max(corner.longitude),
            south: bounds.south.min(corner.latitude),
            north: bounds.north.max(corner.latitude),
        })
    }

    /// Whether a cell and those around it reach to the bounds on each side.
    fn are_covered_around(self, cell: Cell) -> bool {
        let beside = |east, north| cell.neighbour(east, north).borders();
        let is_too_near = beside(0, 1).latitudes.max < self.north
            || beside(0, -1).latitudes.min > self.south
            || beside(1, 0).longitudes.max < self.east
            || beside(-1, 0).longitudes.min > self.west;
        !is_too_near
    }
}

/// How often the earth is halved for cells that are as large as this radius.
fn steps_for(radius_m: f64, latitude: f64) -> u32 {
    if radius_m == 0.0 {
        return STEPS_MAX;
    }
    let (mut steps, mut radius_m) = (1, radius_m);
    while radius_m < MAP_M {
        radius_m *= 2.0;
        steps += 1;
    }
    // So that most areas are covered.
    steps -= 2;
    // Towards the poles cells are narrower.
    steps -= match latitude.abs() {
        ..=66.0 => 0,
        ..=80.0 => 1,
        _ => 2,
    };
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// Whether a place is within these corners: whether a line from there to the east goes through an odd
/// number of sides (W. R. Franklin, PNPOLY, <https://wrfranklin.org/Research/Short_Notes/pnpoly.html>).
fn is_within(corners: &[Point], point: Point) -> bool {
    let previous = corners.iter().cycle().skip(corners.len().saturating_sub(1));
    let sides = corners.iter().zip(previous);
    let crossed = sides.filter(|(one, other)| {
        let is_beside = (one.latitude > point.latitude) != (other.latitude > point.latitude);
        is_beside
            && point.longitude
                < (other.longitude - one.longitude) * (point.latitude - one.latitude)
                    / (other.latitude - one.latitude)
                    + one.longitude
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::super::cell;
    use super::*;

    /// Places around this one, up to so many degrees away.
    fn places_around(middle: Point, degrees: f64) -> impl Iterator<Item = Point> {
        let steps = move || (-20..=20).map(move |step| f64::from(step) / 20.0 * degrees);
        steps().flat_map(move |east| {
            steps().map(move |north| Point {
                longitude: middle.longitude + east,
                latitude: middle.latitude + north,
            })
        })
    }

    /// Whether a search would look at what is there.
    fn covers(area: &Area, point: Point) -> bool {
        let score = cell::score(point);
        area.cells().any(|cell| cell.scores().contains(&score))
    }

    #[test]
    fn all_that_is_within_an_area_is_in_its_cells() {
        let middle = Point {
            longitude: 13.4,
            latitude: 52.5,
        };
        let corner = |east, north| Point {
            longitude: middle.longitude + east,
            latitude: middle.latitude + north,
        };
        for size in [10.0, 777.0, 5000.0, 90_000.0, 400_000.0] {
            let degrees = size / 50_000.0;
            let circle = Shape::Circle { radius: size };
            let rectangle = Shape::Box {
                width: size,
                height: size / 2.0,
            };
            let mut areas = vec![Area::polygon(vec![
                corner(-degrees, -degrees),
                corner(degrees, -degrees / 2.0),
                corner(degrees / 3.0, degrees),
            ])];
            for shape in [circle, rectangle] {
                areas.push(Area {
                    middle,
                    shape,
                    unit_m: 1.0,
                });
            }
            for area in areas {
                let places = places_around(middle, degrees);
                let mut within = places.filter(|place| area.distance_m(*place).is_some());
                assert!(within.all(|place| covers(&area, place)), "{area:?}");
                let any =
                    places_around(middle, degrees).any(|place| area.distance_m(place).is_some());
                assert!(any, "{area:?}");
            }
        }
    }

    #[test]
    fn a_polygon_may_be_hollow() {
        let corners = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0)];
        let corners = corners.map(|(longitude, latitude)| Point {
            longitude,
            latitude,
        });
        let is_within = |longitude, latitude| {
            is_within(
                &corners,
                Point {
                    longitude,
                    latitude,
                },
            )
        };
        assert!(is_within(1.0, 1.0) && is_within(3.0, 1.0) && is_within(2.0, 0.5));
        assert!(!is_within(2.0, 3.0) && !is_within(5.0, 1.0) && !is_within(-1.0, 1.0));
    }
}
