//! Commands on hashes.

use super::either::of_either;
use super::{FieldMap, Written};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::float::parse_float;
use crate::generic::commands::ScanOptions;
use crate::keyspace::entry::Str;
use crate::long_double::LongDouble;
use crate::reply::Reply;
use crate::types::cursor;
use crate::types::sample::{self, Wanted};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = READ.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::DENY_OOM).and(Flags::FAST);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "HSET",
        run: of_either!(hset),
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key field value [field value ...]",
        summary: "Gives fields their values, and answers how many of the fields are new.",
        complexity: "O(n), n the number of fields given.",
        since: "2.0.0",
    },
    Row {
        name: "HMSET",
        run: of_either!(hmset),
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key field value [field value ...]",
        summary: "Gives fields their values.",
        complexity: "O(n), n the number of fields given.",
        since: "2.0.0",
    },
    Row {
        name: "HSETNX",
        run: of_either!(hsetnx),
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key field value",
        summary: "Gives a field a value, if there is no such field.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "HGET",
        run: of_either!(hget),
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key field",
        summary: "Gives the value of a field.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "HMGET",
        run: of_either!(hmget),
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key field [field ...]",
        summary: "Gives the values of several fields.",
        complexity: "O(n), n the number of fields asked for.",
        since: "2.0.0",
    },
    Row {
        name: "HGETALL",
        run: of_either!(hgetall),
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives all fields and their values.",
        complexity: "O(n), n the number of fields.",
        since: "2.0.0",
    },
    Row {
        name: "HKEYS",
        run: of_either!(hkeys),
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives all fields.",
        complexity: "O(n), n the number of fields.",
        since: "2.0.0",
    },
    Row {
        name: "HVALS",
        run: of_either!(hvals),
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives all values.",
        complexity: "O(n), n the number of fields.",
        since: "2.0.0",
    },
    Row {
        name: "HLEN",
        run: of_either!(hlen),
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key",
        summary: "Counts the fields.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "HSTRLEN",
        run: of_either!(hstrlen),
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key field",
        summary: "Gives the length of a field's value.",
        complexity: "O(1)",
        since: "3.2.0",
    },
    Row {
        name: "HEXISTS",
        run: of_either!(hexists),
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ_FAST,
        syntax: "key field",
        summary: "Says whether there is such a field.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "HDEL",
        run: of_either!(hdel),
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key field [field ...]",
        summary: "Removes fields, and answers how many there were.",
        complexity: "O(n), n the number of fields given.",
        since: "2.0.0",
    },
    Row {
        name: "HINCRBY",
        run: of_either!(hincrby),
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key field increment",
        summary: "Adds to the integer of a field, which is 0 if there is no such field.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "HINCRBYFLOAT",
        run: of_either!(hincrbyfloat),
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key field increment",
        summary: "Adds to the number of a field, which is 0 if there is no such field.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "HSCAN",
        run: of_either!(hscan),
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        summary: "Walks over the fields, some at a time.",
        complexity: "O(1) for each call, O(n) for a whole walk.",
        since: "2.8.0",
    },
    Row {
        name: "HRANDFIELD",
        run: of_either!(hrandfield),
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [count [WITHVALUES]]",
        summary: "Gives fields chosen at random: a negative count allows repetition.",
        complexity: "O(n), n the number of fields asked for.",
        since: "6.2.0",
    },
];

// --- writing ------------------------------------------------------------------------------------

fn hset<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let added = set_pairs::<H>(call)?;
    call.reply.int(added);
    Ok(())
}

fn hmset<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    set_pairs::<H>(call)?;
    call.reply.ok();
    Ok(())
}

/// Writes pairs of field and value, and answers how many fields are new.
fn set_pairs<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<i64> {
    let key = call.args.key()?;
    let mut words = call.args.rest();
    if !words.len().is_multiple_of(2) {
        return Err(Error::WrongArity(call.command.full_name()));
    }

    let limits = call.keyspace.limits();
    let mut guard = call.keyspace.write::<H>(key)?;
    let hash = &mut *guard;
    let mut added = 0;
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        added += i64::from(hash.set(field, value, limits) == Written::Added);
    }
    Ok(added)
}

fn hsetnx<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field, value) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);

    let limits = call.keyspace.limits();
    let mut hash = call.keyspace.write::<H>(key)?;
    let is_new = !hash.contains(field);
    if is_new {
        hash.set(field, value, limits);
    }
    drop(hash);
    call.reply.int(i64::from(is_new));
    Ok(())
}

fn hdel<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let mut removed = 0;
    if let Some(mut guard) = call.keyspace.write_existing::<H>(key)? {
        let hash = &mut *guard;
        removed = call.args.rest().filter(|field| hash.remove(field)).count();
        if removed == 0 {
            guard.unchanged();
        }
    }
    call.reply.int(removed as i64);
    Ok(())
}

fn hincrby<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field, increment) = (call.args.key()?, call.args.bytes()?, call.args.int()?);

    let limits = call.keyspace.limits();
    let mut hash = call.keyspace.write::<H>(key)?;
    let number = match hash.get(field) {
        Some(value) => value
            .int()
            .ok_or(Error::text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = number
        .checked_add(increment)
        .ok_or(Error::IncrementOverflow)?;
    hash.update(field, itoa::Buffer::new().format(sum).as_bytes(), limits);
    drop(hash);
    call.reply.int(sum);
    Ok(())
}

fn hincrbyfloat<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field, increment) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    if parse_float(increment).is_some_and(f64::is_infinite) {
        return Err(Error::text("ERR value is NaN or Infinity"));
    }
    let increment = LongDouble::read(increment, Error::NotAFloat)?;

    let limits = call.keyspace.limits();
    let mut hash = call.keyspace.write::<H>(key)?;
    let number = match hash.get(field) {
        Some(value) => value.with_bytes(|value| {
            LongDouble::read(value, Error::text("ERR hash value is not a float"))
        })?,
        None => LongDouble::default(),
    };
    let sum = number.checked_add(increment)?.to_string();
    hash.update(field, sum.as_bytes(), limits);
    drop(hash);
    call.reply.bulk(sum.as_bytes());
    Ok(())
}

// --- reading ------------------------------------------------------------------------------------

fn hget<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field) = (call.args.key()?, call.args.bytes()?);
    let hash = call.keyspace.read::<H>(key)?;
    Str::write_or_null(hash.and_then(|hash| hash.get(field)), call.reply);
    Ok(())
}

fn hmget<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let hash = call.keyspace.read::<H>(key)?;
    let fields = call.args.rest();
    call.reply.array(fields.len());
    for field in fields {
        Str::write_or_null(hash.and_then(|hash| hash.get(field)), call.reply);
    }
    Ok(())
}

fn hgetall<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let hash = call.keyspace.read::<H>(key)?;
    call.reply.map(hash.map_or(0, H::count));
    let pairs = hash.into_iter().flat_map(H::iter);
    pairs.for_each(|(field, value)| {
        field.write(call.reply);
        value.write(call.reply);
    });
    Ok(())
}

fn hkeys<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let hash = call.keyspace.read::<H>(key)?;
    call.reply.array(hash.map_or(0, H::count));
    let pairs = hash.into_iter().flat_map(H::iter);
    pairs.for_each(|(field, _)| field.write(call.reply));
    Ok(())
}

fn hvals<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let hash = call.keyspace.read::<H>(key)?;
    call.reply.array(hash.map_or(0, H::count));
    let pairs = hash.into_iter().flat_map(H::iter);
    pairs.for_each(|(_, value)| value.write(call.reply));
    Ok(())
}

fn hlen<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call.keyspace.read::<H>(key)?.map_or(0, H::count);
    call.reply.int(len as i64);
    Ok(())
}

fn hstrlen<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field) = (call.args.key()?, call.args.bytes()?);
    let hash = call.keyspace.read::<H>(key)?;
    let len = hash.and_then(|hash| hash.get(field)).map_or(0, Str::len);
    call.reply.int(len as i64);
    Ok(())
}

fn hexists<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, field) = (call.args.key()?, call.args.bytes()?);
    let hash = call.keyspace.read::<H>(key)?;
    let is_there = hash.is_some_and(|hash| hash.contains(field));
    call.reply.int(i64::from(is_there));
    Ok(())
}

fn hscan<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, at) = cursor::arguments(&mut call.args)?;
    let Some(hash) = call.keyspace.read::<H>(key)? else {
        cursor::answer(call.reply, 0, &[]);
        return Ok(());
    };
    let (mut options, mut with_values) = (ScanOptions::new(), true);
    while !call.args.is_empty() {
        if call.args.option("NOVALUES") {
            with_values = false;
        } else if !options.read(&mut call.args)? {
            return Err(Error::Syntax);
        }
    }

    let mut found = Vec::new();
    let at = cursor::walk(at, options.count, |at, visited| {
        hash.scan(at, &mut |field, value| {
            *visited += 1;
            if field.with_bytes(|field| options.allows(field)) {
                found.push(field.to_vec());
                found.extend(with_values.then(|| value.to_vec()));
            }
        })
    });
    cursor::answer(call.reply, at, &found);
    Ok(())
}

fn hrandfield<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let (wanted, with_values) = Wanted::read_with(&mut call.args, "WITHVALUES")?;

    let mut random = sample::randoms(call.engine);
    let hash = call.keyspace.read::<H>(key)?;
    match (wanted, hash) {
        (Wanted::One, hash) => {
            let field = hash
                .and_then(|hash| hash.sample(random()))
                .map(|(field, _)| field);
            Str::write_or_null(field, call.reply);
        }
        (_, None) => call.reply.array(0),
        (Wanted::Distinct(count), Some(hash)) => {
            let one = |random| hash.sample(random);
            let pairs = sample::distinct(count, hash.count(), random, one, hash.iter());
            answer_pairs(call.reply, pairs.len(), pairs.into_iter(), with_values);
        }
        (Wanted::Repeated(count), Some(hash)) => {
            let pairs = (0..count).filter_map(|_| hash.sample(random()));
            answer_pairs(call.reply, count, pairs, with_values);
        }
    }
    Ok(())
}

/// Answers fields, or fields with their values: in pairs where the protocol has pairs.
fn answer_pairs<'h>(
    reply: &mut dyn Reply,
    len: usize,
    pairs: impl Iterator<Item = (Str<'h>, Str<'h>)>,
    with_values: bool,
) {
    let nests = with_values && reply.is_resp3();
    reply.array(if with_values && !nests { len * 2 } else { len });
    for (field, value) in pairs {
        if nests {
            reply.array(2);
        }
        field.write(reply);
        if with_values {
            value.write(reply);
        }
    }
}
