//! Commands on sets.

use super::Set;
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::generic::commands::ScanOptions;
use crate::keyspace::entry::{Object, Str};
use crate::keyspace::{Expiry, Keyspace};
use crate::reply::Reply;
use crate::types::Limits;
use crate::types::cursor;
use crate::types::sample::{self, Wanted};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const TAKE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const STORE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SADD",
        run: sadd,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: STORE.and(Flags::FAST),
        syntax: "key member [member ...]",
        summary: "Adds members, and answers how many of them are new.",
        complexity: "O(n), n the number of members given.",
        since: "1.0.0",
    },
    Row {
        name: "SREM",
        run: srem,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: TAKE_FAST,
        syntax: "key member [member ...]",
        summary: "Removes members, and answers how many there were.",
        complexity: "O(n), n the number of members given.",
        since: "1.0.0",
    },
    Row {
        name: "SISMEMBER",
        run: sismember,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member",
        summary: "Says whether something is a member.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SMISMEMBER",
        run: smismember,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key member [member ...]",
        summary: "Says of each of several things whether it is a member.",
        complexity: "O(n), n the number of members asked for.",
        since: "6.2.0",
    },
    Row {
        name: "SMEMBERS",
        run: smembers,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives all members.",
        complexity: "O(n), n the number of members.",
        since: "1.0.0",
    },
    Row {
        name: "SCARD",
        run: scard,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key",
        summary: "Counts the members.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SPOP",
        run: spop,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: TAKE_FAST,
        syntax: "key [count]",
        summary: "Takes out members chosen at random.",
        complexity: "O(n), n the number of members taken.",
        since: "1.0.0",
    },
    Row {
        name: "SRANDMEMBER",
        run: srandmember,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [count]",
        summary: "Gives members chosen at random: a negative count allows repetition.",
        complexity: "O(n), n the number of members asked for.",
        since: "1.0.0",
    },
    Row {
        name: "SMOVE",
        run: smove,
        arity: Arity::Exactly(4),
        keys: KeySpec::FirstTwo,
        flags: TAKE_FAST,
        syntax: "source destination member",
        summary: "Moves a member from one set to another.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SINTER",
        run: sinter,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Gives the members that several sets have in common.",
        complexity: "O(n*m), n the members of the smallest set, m the number of sets.",
        since: "1.0.0",
    },
    Row {
        name: "SINTERCARD",
        run: sintercard,
        arity: Arity::AtLeast(3),
        keys: KeySpec::Counted(1),
        flags: READ,
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Counts the members that several sets have in common, up to a limit.",
        complexity: "O(n*m), n the members of the smallest set, m the number of sets.",
        since: "7.0.0",
    },
    Row {
        name: "SINTERSTORE",
        run: sinterstore,
        arity: Arity::AtLeast(3),
        keys: KeySpec::All,
        flags: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members that several sets have in common.",
        complexity: "O(n*m), n the members of the smallest set, m the number of sets.",
        since: "1.0.0",
    },
    Row {
        name: "SUNION",
        run: sunion,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Gives the members of all of several sets.",
        complexity: "O(n), n the members of all the sets.",
        since: "1.0.0",
    },
    Row {
        name: "SUNIONSTORE",
        run: sunionstore,
        arity: Arity::AtLeast(3),
        keys: KeySpec::All,
        flags: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members of all of several sets.",
        complexity: "O(n), n the members of all the sets.",
        since: "1.0.0",
    },
    Row {
        name: "SDIFF",
        run: sdiff,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Gives the members that the first set has and the others have not.",
        complexity: "O(n*m), n the members of the first set, m the number of sets.",
        since: "1.0.0",
    },
    Row {
        name: "SDIFFSTORE",
        run: sdiffstore,
        arity: Arity::AtLeast(3),
        keys: KeySpec::All,
        flags: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members that the first set has and the others have not.",
        complexity: "O(n*m), n the members of the first set, m the number of sets.",
        since: "1.0.0",
    },
    Row {
        name: "SSCAN",
        run: sscan,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Walks over the members, some at a time.",
        complexity: "O(1) for each call, O(n) for a whole walk.",
        since: "2.8.0",
    },
];

// --- one set ------------------------------------------------------------------------------------

fn sadd(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let limits = call.keyspace.limits();
    let mut guard = call.keyspace.write::<Set>(key)?;
    let set = &mut *guard;
    let members = call.args.rest();
    let added = members.filter(|member| set.insert(member, limits)).count();
    if added == 0 {
        guard.unchanged();
    }
    drop(guard);
    call.reply.int(added as i64);
    Ok(())
}

fn srem(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let mut removed = 0;
    if let Some(mut guard) = call.keyspace.write_existing::<Set>(key)? {
        let set = &mut *guard;
        removed = call.args.rest().filter(|member| set.remove(member)).count();
        if removed == 0 {
            guard.unchanged();
        }
    }
    call.reply.int(removed as i64);
    Ok(())
}

fn sismember(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, member) = (call.args.key()?, call.args.bytes()?);
    let set = call.keyspace.read::<Set>(key)?;
    let is_member = set.is_some_and(|set| set.contains(member));
    call.reply.int(i64::from(is_member));
    Ok(())
}

fn smismember(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let set = call.keyspace.read::<Set>(key)?;
    let members = call.args.rest();
    call.reply.array(members.len());
    for member in members {
        let is_member = set.is_some_and(|set| set.contains(member));
        call.reply.int(i64::from(is_member));
    }
    Ok(())
}

fn smembers(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    match call.keyspace.read::<Set>(key)? {
        Some(set) => answer_set(call.reply, set),
        None => call.reply.set(0),
    }
    Ok(())
}

fn answer_set(reply: &mut dyn Reply, set: &Set) {
    reply.set(set.len());
    set.iter().for_each(|member| member.write(reply));
}

fn scard(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call.keyspace.read::<Set>(key)?.map_or(0, Set::len);
    call.reply.int(len as i64);
    Ok(())
}

fn smove(call: &mut Call<'_, '_>) -> Result<()> {
    let (source, target) = (call.args.key()?, call.args.key()?);
    let member = call.args.bytes()?;
    let limits = call.keyspace.limits();

    let Some(set) = call.keyspace.read::<Set>(source)? else {
        call.reply.int(0);
        return Ok(());
    };
    let is_member = set.contains(member);
    call.keyspace.read::<Set>(target)?;
    if is_member && source != target {
        if let Some(mut set) = call.keyspace.write_existing::<Set>(source)? {
            set.event("srem");
            set.remove(member);
        }
        let mut set = call.keyspace.write::<Set>(target)?;
        set.event("sadd");
        if !set.insert(member, limits) {
            set.unchanged();
        }
    }
    call.reply.int(i64::from(is_member));
    Ok(())
}

fn sscan(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, at) = cursor::arguments(&mut call.args)?;
    let Some(set) = call.keyspace.read::<Set>(key)? else {
        cursor::answer(call.reply, 0, &[]);
        return Ok(());
    };
    let mut options = ScanOptions::new();
    while !call.args.is_empty() {
        if !options.read(&mut call.args)? {
            return Err(Error::Syntax);
        }
    }

    let mut found = Vec::new();
    let at = cursor::walk(at, options.count, |at, visited| {
        set.scan(at, &mut |member| {
            *visited += 1;
            if member.with_bytes(|member| options.allows(member)) {
                found.push(member.to_vec());
            }
        })
    });
    cursor::answer(call.reply, at, &found);
    Ok(())
}

// --- members chosen at random -------------------------------------------------------------------

fn spop(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let count = match call.args.is_empty() {
        true => None,
        false if call.args.len() > 1 => return Err(Error::Syntax),
        false => Some(call.args.natural()?),
    };

    let mut random = sample::randoms(call.engine);
    let limits = call.keyspace.limits();
    let Some(mut set) = call.keyspace.write_existing::<Set>(key)? else {
        match count {
            Some(_) => call.reply.set(0),
            None => call.reply.null(),
        }
        return Ok(());
    };
    match count {
        None => {
            let reply = &mut *call.reply;
            if !set.take(random(), |member| member.write(reply)) {
                call.reply.null();
            }
        }
        Some(0) => call.reply.set(0),
        Some(count) => {
            let members = take(&mut set, count as usize, random, limits);
            call.reply.set(members.len());
            members.iter().for_each(|member| call.reply.bulk(member));
        }
    }
    Ok(())
}

/// When so many times as many members are taken as stay, those that stay may be packed.
const PACKED_AFTER: usize = 5;

/// Takes so many members out of a set, chosen at random.
fn take(set: &mut Set, count: usize, random: impl FnMut() -> u64, limits: &Limits) -> Vec<Vec<u8>> {
    if count >= set.len() {
        return std::mem::take(set).iter().map(Str::to_vec).collect();
    }
    let one = |random| set.sample(random);
    let chosen = sample::distinct(count, set.len(), random, one, set.iter());
    let chosen: Vec<_> = chosen.into_iter().map(Str::to_vec).collect();
    for member in &chosen {
        set.remove(member);
    }
    if set.len() * PACKED_AFTER <= count {
        set.pack(limits);
    }
    chosen
}

fn srandmember(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    if call.args.len() > 1 {
        return Err(Error::Syntax);
    }
    let wanted = Wanted::read(&mut call.args)?;

    let mut random = sample::randoms(call.engine);
    let set = call.keyspace.read::<Set>(key)?;
    match (wanted, set) {
        (Wanted::One, set) => match set.and_then(|set| set.sample(random())) {
            Some(member) => member.write(call.reply),
            None => call.reply.null(),
        },
        (_, None) => call.reply.array(0),
        (Wanted::Distinct(count), Some(set)) => {
            let one = |random| set.sample(random);
            let members = sample::distinct(count, set.len(), random, one, set.iter());
            call.reply.array(members.len());
            members
                .into_iter()
                .for_each(|member| member.write(call.reply));
        }
        (Wanted::Repeated(count), Some(set)) => {
            call.reply.array(count);
            let members = (0..count).filter_map(|_| set.sample(random()));
            members.for_each(|member| member.write(call.reply));
        }
    }
    Ok(())
}

// --- several sets -------------------------------------------------------------------------------

/// How several sets make one.
type Operation = fn(&Keyspace<'_>, &mut dyn Iterator<Item = &[u8]>) -> Result<Set>;

fn sinter(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, intersection)
}

fn sinterstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, intersection)
}

fn sunion(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, union)
}

fn sunionstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, union)
}

fn sdiff(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, difference)
}

fn sdiffstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, difference)
}

fn answer(call: &mut Call<'_, '_>, operation: Operation) -> Result<()> {
    let set = operation(call.keyspace, &mut call.args.rest())?;
    answer_set(call.reply, &set);
    Ok(())
}

fn store(call: &mut Call<'_, '_>, operation: Operation) -> Result<()> {
    let target = call.args.key()?;
    let set = operation(call.keyspace, &mut call.args.rest())?;
    let len = set.len();
    call.keyspace.put(target, set, Expiry::Clear);
    call.reply.int(len as i64);
    Ok(())
}

/// The sets of these keys; `None` where there is no such key.
fn read_all<'k>(
    keyspace: &'k Keyspace<'_>,
    keys: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Vec<Option<&'k Set>>> {
    keys.map(|key| keyspace.read::<Set>(key)).collect()
}

/// The members that all sets have, as the smallest has them in order.
fn in_common<'s>(sets: &[Option<&'s Set>]) -> impl Iterator<Item = Str<'s>> {
    // What is missing is an empty set, and then nothing is in common.
    let mut sets: Vec<&Set> = sets
        .iter()
        .copied()
        .collect::<Option<_>>()
        .unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let smallest = sets.first().copied();
    let others = sets.split_off(sets.len().min(1));
    smallest
        .into_iter()
        .flat_map(Set::iter)
        .filter(move |member| {
            others
                .iter()
                .all(|other| member.with_bytes(|member| other.contains(member)))
        })
}

fn intersection(keyspace: &Keyspace<'_>, keys: &mut dyn Iterator<Item = &[u8]>) -> Result<Set> {
    let (mut result, limits) = (Set::default(), keyspace.limits());
    for member in in_common(&read_all(keyspace, keys)?) {
        member.with_bytes(|member| result.insert(member, limits));
    }
    Ok(result)
}

fn union(keyspace: &Keyspace<'_>, keys: &mut dyn Iterator<Item = &[u8]>) -> Result<Set> {
    let (mut result, limits) = (Set::default(), keyspace.limits());
    for member in read_all(keyspace, keys)?
        .into_iter()
        .flatten()
        .flat_map(Set::iter)
    {
        member.with_bytes(|member| result.insert(member, limits));
    }
    Ok(result)
}

fn difference(keyspace: &Keyspace<'_>, keys: &mut dyn Iterator<Item = &[u8]>) -> Result<Set> {
    let (mut result, limits) = (Set::default(), keyspace.limits());
    let sets = read_all(keyspace, keys)?;
    let Some((Some(first), others)) = sets.split_first() else {
        return Ok(result);
    };
    for member in first.iter() {
        member.with_bytes(|member| {
            if !others.iter().flatten().any(|other| other.contains(member)) {
                result.insert(member, limits);
            }
        });
    }
    Ok(result)
}

fn sintercard(call: &mut Call<'_, '_>) -> Result<()> {
    let mut keys = counted_keys(&mut call.args)?;
    let mut limit = 0;
    while call.args.option("LIMIT") {
        limit = call
            .args
            .natural_or(Error::text("ERR LIMIT can't be negative"))?;
    }
    call.args.end()?;

    let sets = read_all(call.keyspace, &mut keys)?;
    let limit = if limit == 0 {
        usize::MAX
    } else {
        limit as usize
    };
    call.reply.int(in_common(&sets).take(limit).count() as i64);
    Ok(())
}

/// The keys behind their number.
fn counted_keys<'a>(args: &mut Args<'a>) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>> {
    let count = args.positive_or(Error::text("ERR numkeys should be greater than 0"))?;
    let too_many = Error::text("ERR Number of keys can't be greater than number of args");
    let keys = args.take(count).map_err(|_| too_many)?;
    Ok(keys.iter())
}
