//! What a search asks for: the words of GEOSEARCH, GEORADIUS and their like.

use super::area::{Area, Shape};
use super::{Point, cell, read_unit};
use crate::args::Args;
use crate::error::{Error, Result, shown};
use crate::types::sorted_set::SortedSet;

/// How a command is told where to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By options: GEOSEARCH.
    Search,
    /// The same, into another key: GEOSEARCHSTORE.
    SearchStore,
    /// By a place and a radius: GEORADIUS.
    Radius(Storing),
    /// By a member and a radius: GEORADIUSBYMEMBER.
    RadiusByMember(Storing),
}

/// Whether a command can be told to store what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    Allowed,
    Refused,
}

/// What a search asks for.
pub(super) struct Query<'a> {
    /// Where to search; none where there is nothing to be found anyway.
    pub(super) area: Option<Area>,
    pub(super) order: Option<Order>,
    /// How many are wanted at most.
    pub(super) count: Option<usize>,
    /// Whether any will do, and not only the nearest.
    pub(super) any: bool,
    pub(super) shown: Shown,
    /// The key to which they go.
    pub(super) store: Option<&'a [u8]>,
    /// Whether their distances are stored, instead of their places.
    pub(super) stores_distances: bool,
}

/// By distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    NearestFirst,
    FarthestFirst,
}

/// What is told of a member beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) place: bool,
}

impl Shown {
    /// How many values that is.
    pub(super) fn count(self) -> usize {
        usize::from(self.distance) + usize::from(self.hash) + usize::from(self.place)
    }
}

/// A query in the making.
struct Reader<'a, 's> {
    form: Form,
    /// The places among which is searched, if there are any.
    set: Option<&'s SortedSet>,
    query: Query<'a>,
    middle: Middle,
    shape: Option<(Shape, f64)>,
}

/// Whether it was said where the middle is, and how.
#[derive(Clone, Copy, PartialEq)]
enum Middle {
    Unknown,
    /// At a member. It is not looked for where there are none.
    Member(Option<Point>),
    Place(Point),
}

impl<'a> Query<'a> {
    /// Reads all words that are left. `store` is the key to which what is found goes, if that is known.
    pub(super) fn read(
        args: &mut Args<'a>,
        form: Form,
        set: Option<&SortedSet>,
        store: Option<&'a [u8]>,
    ) -> Result<Query<'a>> {
        let query = Query {
            area: None,
            order: None,
            count: None,
            any: false,
            shown: Shown::default(),
            store,
            stores_distances: false,
        };
        let mut reader = Reader {
            form,
            set,
            query,
            middle: Middle::Unknown,
            shape: None,
        };
        reader.read_start(args)?;
        while !args.is_empty() {
            let is_read = reader.read_result(args)? || reader.read_area(args)?;
            if !is_read {
                return Err(Error::Syntax);
            }
        }
        let name = args.whole().get(0).unwrap_or_default();
        reader.finish(&shown(name))
    }
}

impl<'a> Reader<'a, '_> {
    fn is_search(&self) -> bool {
        matches!(self.form, Form::Search | Form::SearchStore)
    }

    /// Reads the middle and the radius, where they stand first.
    fn read_start(&mut self, args: &mut Args<'a>) -> Result<()> {
        match self.form {
            Form::Search | Form::SearchStore => return Ok(()),
            Form::RadiusByMember(_) if self.set.is_none() => {
                args.take(3)?;
                return Ok(());
            }
            Form::RadiusByMember(_) => self.read_member(args)?,
            Form::Radius(_) => self.middle = Middle::Place(Point::read(args)?),
        }
        self.shape = Some(read_circle(args)?);
        Ok(())
    }

    /// Reads an option about what is answered. Answers whether there was one.
    fn read_result(&mut self, args: &mut Args<'a>) -> Result<bool> {
        let query = &mut self.query;
        let stores = matches!(
            self.form,
            Form::Radius(Storing::Allowed) | Form::RadiusByMember(Storing::Allowed)
        );
        let has_more = args.len() > 1;
        match () {
            () if args.option("WITHDIST") => query.shown.distance = true,
            () if args.option("WITHHASH") => query.shown.hash = true,
            () if args.option("WITHCOORD") => query.shown.place = true,
            () if args.option("ANY") => query.any = true,
            () if args.option("ASC") => query.order = Some(Order::NearestFirst),
            () if args.option("DESC") => query.order = Some(Order::FarthestFirst),
            () if has_more && args.option("COUNT") => {
                let count = args.int()?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                query.count = Some(count.ok_or(Error::text("ERR COUNT must be > 0"))?);
            }
            () if stores && has_more && args.option("STORE") => {
                query.store = Some(args.key()?);
                query.stores_distances = false;
            }
            () if stores && has_more && args.option("STOREDIST") => {
                query.store = Some(args.key()?);
                query.stores_distances = true;
            }
            () if self.form == Form::SearchStore && args.option("STOREDIST") => {
                query.stores_distances = true;
            }
            () => return Ok(false),
        }
        Ok(true)
    }

    /// Reads an option about where to search. Answers whether there was one.
    fn read_area(&mut self, args: &mut Args<'a>) -> Result<bool> {
        if !self.is_search() {
            return Ok(false);
        }
        let left = args.len() - 1;
        let shape = self.shape.as_ref().map(|(shape, _)| shape);
        let is_polygon = matches!(shape, Some(Shape::Polygon(_)));
        let may_be_circle = matches!(shape, None | Some(Shape::Circle { .. }));
        let may_be_box = matches!(shape, None | Some(Shape::Box { .. }));
        let may_be_member = !is_polygon && !matches!(self.middle, Middle::Place(_));
        let may_be_place = !is_polygon && !matches!(self.middle, Middle::Member(_));
        let may_be_polygon = (is_polygon || shape.is_none()) && self.middle == Middle::Unknown;
        match () {
            () if may_be_member && left >= 1 && args.option("FROMMEMBER") => {
                self.read_member(args)?;
            }
            () if may_be_place && left >= 2 && args.option("FROMLONLAT") => {
                self.middle = Middle::Place(Point::read(args)?);
            }
            () if may_be_circle && left >= 2 && args.option("BYRADIUS") => {
                self.shape = Some(read_circle(args)?);
            }
            () if may_be_box && left >= 3 && args.option("BYBOX") => {
                self.shape = Some(read_box(args)?);
            }
            () if may_be_polygon && left >= 2 && args.option("BYPOLYGON") => {
                self.shape = Some((Shape::Polygon(read_corners(args)?), 1.0));
            }
            () => return Ok(false),
        }
        Ok(true)
    }

    fn read_member(&mut self, args: &mut Args<'a>) -> Result<()> {
        let member = args.bytes()?;
        let place = match self.set {
            None => None,
            Some(set) => {
                let refusal = || Error::text("ERR could not decode requested zset member");
                let score = set.score(member).ok_or_else(refusal)?;
                Some(cell::place(score.get()))
            }
        };
        self.middle = Middle::Member(place);
        Ok(())
    }

    /// The query, unless its options contradict each other. `name` is the command's, as it was sent.
    fn finish(mut self, name: &str) -> Result<Query<'a>> {
        if self.query.store.is_some() && self.query.shown != Shown::default() {
            let what = match self.form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(Error::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let is_polygon = matches!(self.shape, Some((Shape::Polygon(_), _)));
        if self.is_search() && self.middle == Middle::Unknown && !is_polygon {
            return Err(Error::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if self.is_search() && self.shape.is_none() {
            return Err(Error::text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.query.any && self.query.count.is_none() {
            return Err(Error::text("ERR the ANY argument requires COUNT argument"));
        }
        // So many, but not any of them, are the nearest.
        if self.query.count.is_some() && !self.query.any {
            self.query.order.get_or_insert(Order::NearestFirst);
        }
        self.query.area = match (self.middle, self.shape) {
            (_, Some((Shape::Polygon(corners), _))) => Some(Area::polygon(corners)),
            (Middle::Member(Some(middle)) | Middle::Place(middle), Some((shape, unit_m))) => {
                Some(Area {
                    middle,
                    shape,
                    unit_m,
                })
            }
            _ => None,
        };
        Ok(self.query)
    }
}

fn read_circle(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let radius = read_length(args, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(Error::text("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, read_unit(args)?))
}

fn read_box(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let width = read_length(args, "ERR need numeric width")?;
    let height = read_length(args, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::text("ERR height or width cannot be negative"));
    }
    Ok((Shape::Box { width, height }, read_unit(args)?))
}

/// Reads the corners behind their number.
fn read_corners(args: &mut Args<'_>) -> Result<Vec<Point>> {
    let count = args
        .int()
        .ok()
        .filter(|count| i32::try_from(*count).is_ok());
    let count = count.ok_or(Error::text("ERR invalid number of vertices"))?;
    let possible = args.len() / 2;
    let count = usize::try_from(count).unwrap_or(0);
    if count < 3 || possible < count {
        return Err(Error::text(
            "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices",
        ));
    }
    (0..count).map(|_| Point::read(args)).collect()
}

/// The next word, as a length.
fn read_length(args: &mut Args<'_>, refusal: &'static str) -> Result<f64> {
    args.float().map_err(|_| Error::text(refusal))
}
