//! Searches: GEOSEARCH, GEORADIUS and their like.

use super::area::Area;
use super::options::{Form, Order, Query, Shown, Storing};
use super::{Point, cell, distance};
use crate::command::Call;
use crate::error::Result;
use crate::keyspace::Expiry;
use crate::keyspace::entry::Str;
use crate::reply::Reply;
use crate::types::Limits;
use crate::types::sorted_set::{Cut, Score, Side, SortedSet};

/// A member that is where it is searched.
struct Found<'s> {
    member: Str<'s>,
    score: Score,
    point: Point,
    distance_m: f64,
    /// How many were found before.
    nth: usize,
}

pub(super) fn geosearch(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::Search)
}

pub(super) fn geosearchstore(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::SearchStore)
}

pub(super) fn georadius(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::Radius(Storing::Allowed))
}

pub(super) fn georadius_ro(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::Radius(Storing::Refused))
}

pub(super) fn georadiusbymember(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::RadiusByMember(Storing::Allowed))
}

pub(super) fn georadiusbymember_ro(call: &mut Call<'_, '_>) -> Result<()> {
    search(call, Form::RadiusByMember(Storing::Refused))
}

fn search(call: &mut Call<'_, '_>, form: Form) -> Result<()> {
    let target = match form {
        Form::SearchStore => Some(call.args.key()?),
        _ => None,
    };
    let key = call.args.key()?;
    // A key of another type is refused before a word that is wrong, as in Redis.
    let set = call.keyspace.read::<SortedSet>(key)?;
    let query = Query::read(&mut call.args, form, set, target)?;
    let found = match (set, &query.area) {
        (Some(set), Some(area)) => find(set, area, &query),
        _ => Vec::new(),
    };
    let unit_m = query.area.as_ref().map_or(1.0, |area| area.unit_m);

    let Some(target) = query.store else {
        answer(&found, unit_m, query.shown, call.reply);
        return Ok(());
    };
    let limits = call.keyspace.limits();
    let result = stored(&found, unit_m, query.stores_distances, limits);
    let count = found.len();
    call.keyspace.put(target, result, Expiry::Clear);
    call.reply.int(count as i64);
    Ok(())
}

/// The members that a query asks for, in its order.
fn find<'s>(set: &'s SortedSet, area: &Area, query: &Query<'_>) -> Vec<Found<'s>> {
    let count = query.count.unwrap_or(usize::MAX);
    let mut found = members_in(set, area, if query.any { count } else { usize::MAX });
    let Some(order) = query.order else {
        return found;
    };
    let compare = |one: &Found<'_>, other: &Found<'_>| {
        let (near, far) = match order {
            Order::NearestFirst => (one, other),
            Order::FarthestFirst => (other, one),
        };
        let distances = near.distance_m.total_cmp(&far.distance_m);
        // Those that are as far stay in their order.
        distances.then(one.nth.cmp(&other.nth))
    };
    if count < found.len() {
        found.select_nth_unstable_by(count, compare);
        found.truncate(count);
    }
    found.sort_unstable_by(compare);
    found
}

/// The members within an area, up to so many, cell by cell.
fn members_in<'s>(set: &'s SortedSet, area: &Area, limit: usize) -> Vec<Found<'s>> {
    let (mut found, mut last) = (Vec::new(), None);
    for (number, cell) in area.cells().enumerate() {
        // Where cells are large, there are the same ones on both sides.
        if last == Some(cell) {
            continue;
        }
        if number > 0 {
            last = Some(cell);
        }
        let scores = cell.scores();
        let cut = |score| Score::new(score).map_or(Cut::End, |at| Cut::Score(Side::Before, at));
        let ranks = set.ranks(cut(scores.start), cut(scores.end));
        for (member, score) in set.range(ranks) {
            if found.len() >= limit {
                return found;
            }
            let point = cell::place(score.get());
            let distance_m = area.distance_m(point);
            let nth = found.len();
            found.extend(distance_m.map(|distance_m| Found {
                member,
                score,
                point,
                distance_m,
                nth,
            }));
        }
    }
    found
}

fn answer(found: &[Found<'_>], unit_m: f64, shown: Shown, reply: &mut dyn Reply) {
    reply.array(found.len());
    for found in found {
        if shown.count() > 0 {
            reply.array(1 + shown.count());
        }
        found.member.write(reply);
        if shown.distance {
            let distance = distance::shown(found.distance_m / unit_m);
            reply.bulk(distance.as_bytes());
        }
        if shown.hash {
            reply.int(whole(found.score.get()));
        }
        if shown.place {
            answer_point(found.point, reply);
        }
    }
}

pub(super) fn answer_point(point: Point, reply: &mut dyn Reply) {
    reply.array(2);
    reply.long_double(point.longitude);
    reply.long_double(point.latitude);
}

/// A score as an integer. What is too large for one is the lowest, as in Redis.
fn whole(score: f64) -> i64 {
    match score < i64::MAX as f64 {
        true => score as i64,
        false => i64::MIN,
    }
}

/// What was found, as a sorted set of places or of distances.
fn stored(found: &[Found<'_>], unit_m: f64, stores_distances: bool, limits: &Limits) -> SortedSet {
    let mut set = SortedSet::default();
    for found in found {
        let score = match stores_distances {
            true => Score::new(found.distance_m / unit_m).unwrap_or_default(),
            false => found.score,
        };
        found
            .member
            .with_bytes(|member| set.insert(member, score, limits));
    }
    set
}
