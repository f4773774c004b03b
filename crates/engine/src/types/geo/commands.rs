//! Commands on places: their rows, and the functions of those that do not search.

use smallvec::SmallVec;

use super::{Point, cell, distance, read_unit, search};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::types::sorted_set::commands::{Condition, add};
use crate::types::sorted_set::{Score, SortedSet};

const READ: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "GEOADD",
        run: geoadd,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        summary: "Gives members their places, and answers how many members are new.",
        complexity: "O(log n) for each member.",
        since: "3.2.0",
    },
    Row {
        name: "GEODIST",
        run: geodist,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key member1 member2 [M | KM | FT | MI]",
        summary: "Says how far two members are apart.",
        complexity: "O(1)",
        since: "3.2.0",
    },
    Row {
        name: "GEOHASH",
        run: geohash,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [member [member ...]]",
        summary: "Gives the places of members as geohashes.",
        complexity: "O(n), n the number of members asked for.",
        since: "3.2.0",
    },
    Row {
        name: "GEOPOS",
        run: geopos,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [member [member ...]]",
        summary: "Gives the longitudes and latitudes of members.",
        complexity: "O(n), n the number of members asked for.",
        since: "3.2.0",
    },
    Row {
        name: "GEOSEARCH",
        run: search::geosearch,
        arity: Arity::AtLeast(7),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key <<FROMMEMBER member | FROMLONLAT longitude latitude> \
                 <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> | \
                 BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
                 [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        summary: "Finds the members within a circle, a box or a polygon. BYPOLYGON is that of Valkey 9.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "6.2.0",
    },
    Row {
        name: "GEOSEARCHSTORE",
        run: search::geosearchstore,
        arity: Arity::AtLeast(8),
        keys: KeySpec::FirstTwo,
        flags: WRITE,
        syntax: "destination source <<FROMMEMBER member | FROMLONLAT longitude latitude> \
                 <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> | \
                 BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
                 [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        summary: "Stores the members within a circle, a box or a polygon, or their distances.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "6.2.0",
    },
    Row {
        name: "GEORADIUS",
        run: search::georadius,
        arity: Arity::AtLeast(6),
        keys: KeySpec::FirstAndStore(6),
        flags: WRITE,
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        summary: "Finds the members within a circle around a place, and stores them if asked to.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "3.2.0",
    },
    Row {
        name: "GEORADIUS_RO",
        run: search::georadius_ro,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC]",
        summary: "Finds the members within a circle around a place.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "3.2.10",
    },
    Row {
        name: "GEORADIUSBYMEMBER",
        run: search::georadiusbymember,
        arity: Arity::AtLeast(5),
        keys: KeySpec::FirstAndStore(5),
        flags: WRITE,
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        summary: "Finds the members within a circle around a member, and stores them if asked to.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "3.2.0",
    },
    Row {
        name: "GEORADIUSBYMEMBER_RO",
        run: search::georadiusbymember_ro,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC]",
        summary: "Finds the members within a circle around a member.",
        complexity: "O(n + log m), n the members in the cells that cover it, of m.",
        since: "3.2.10",
    },
];

fn geoadd(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let (mut condition, mut counts_moved) = (Condition::default(), false);
    loop {
        match () {
            () if call.args.option("NX") => condition.nx = true,
            () if call.args.option("XX") => condition.xx = true,
            () if call.args.option("CH") => counts_moved = true,
            () => break,
        }
    }
    let is_whole = call.args.len().is_multiple_of(3) && !call.args.is_empty();
    if !is_whole || (condition.nx && condition.xx) {
        return Err(Error::Syntax);
    }
    let mut members: SmallVec<[(Score, &[u8]); 4]> = SmallVec::new();
    while !call.args.is_empty() {
        let score = cell::score(Point::read(&mut call.args)?);
        let score = Score::new(score).unwrap_or_default();
        members.push((score, call.args.bytes()?));
    }

    let (added, moved) = add(call, key, &members, condition)?;
    call.reply
        .int(if counts_moved { added + moved } else { added });
    Ok(())
}

fn geodist(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, one, other) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let unit_m = match call.args.len() {
        0 => 1.0,
        1 => read_unit(&mut call.args)?,
        _ => return Err(Error::Syntax),
    };

    let set = call.keyspace.read::<SortedSet>(key)?;
    let place = |member| place(set, member);
    match (place(one), place(other)) {
        (Some(one), Some(other)) => {
            let distance = distance::metres(one, other) / unit_m;
            call.reply.bulk(distance::shown(distance).as_bytes());
        }
        _ => call.reply.null(),
    }
    Ok(())
}

/// Where a member is, if there is one.
fn place(set: Option<&SortedSet>, member: &[u8]) -> Option<Point> {
    let score = set?.score(member)?;
    Some(cell::place(score.get()))
}

fn geohash(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let set = call.keyspace.read::<SortedSet>(key)?;
    let members = call.args.rest();
    call.reply.array(members.len());
    for member in members {
        let geohash = place(set, member).map(cell::geohash);
        call.reply
            .bulk_or_null(geohash.as_ref().map(|digits| &digits[..]));
    }
    Ok(())
}

fn geopos(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let set = call.keyspace.read::<SortedSet>(key)?;
    let members = call.args.rest();
    call.reply.array(members.len());
    for member in members {
        match place(set, member) {
            Some(point) => search::answer_point(point, call.reply),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}
