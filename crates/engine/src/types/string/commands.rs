//! Commands on strings.
//!
//! A command is a row of [`COMMANDS`] and the function that the row names. Lookup, arity and
//! permission checks, `COMMAND DOCS`, cluster slots, COMMANDS.md and the differential tests are
//! all derived from the row.

use super::condition::Condition;
use super::lcs::lcs;
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::generic::expiry::{ExpireOption, expire_option};
use crate::keyspace::entry::Str;
use crate::keyspace::{Expiry, Keyspace};
use crate::long_double::LongDouble;

const READ: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);
const WRITE_FAST: Flags = WRITE.and(Flags::FAST);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "GET",
        run: get,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the string of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SET",
        run: set,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | \
                 IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Gives a key a string, whatever it held.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SETNX",
        run: setnx,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key value",
        summary: "Gives a key a string, if there is no such key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SETEX",
        run: setex,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key seconds value",
        summary: "Gives a key a string that expires.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "PSETEX",
        run: psetex,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key milliseconds value",
        summary: "Gives a key a string that expires.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "GETSET",
        run: getset,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key value",
        summary: "Gives a key a string, and answers the one that it had.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "GETDEL",
        run: getdel,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key",
        summary: "Gives the string of a key, and removes the key.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "GETEX",
        run: getex,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | PERSIST]",
        summary: "Gives the string of a key, and sets when the key expires.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "MGET",
        run: mget,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Gives the strings of several keys.",
        complexity: "O(n), n the number of keys.",
        since: "1.0.0",
    },
    Row {
        name: "MSET",
        run: mset,
        arity: Arity::AtLeast(3),
        keys: KeySpec::EveryOther,
        flags: WRITE,
        syntax: "key value [key value ...]",
        summary: "Gives several keys their strings, as one step.",
        complexity: "O(n), n the number of keys.",
        since: "1.0.1",
    },
    Row {
        name: "MSETNX",
        run: msetnx,
        arity: Arity::AtLeast(3),
        keys: KeySpec::EveryOther,
        flags: WRITE,
        syntax: "key value [key value ...]",
        summary: "Gives several keys their strings, if there is none of these keys.",
        complexity: "O(n), n the number of keys.",
        since: "1.0.1",
    },
    Row {
        name: "APPEND",
        run: append,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key value",
        summary: "Adds to the end of a string, and answers its length.",
        complexity: "O(1), amortised.",
        since: "2.0.0",
    },
    Row {
        name: "STRLEN",
        run: strlen,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the length of a string.",
        complexity: "O(1)",
        since: "2.2.0",
    },
    Row {
        name: "SETRANGE",
        run: setrange,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key offset value",
        summary: "Overwrites a part of a string, which grows with zero bytes if it must.",
        complexity: "O(n), n the length of the value.",
        since: "2.2.0",
    },
    Row {
        name: "GETRANGE",
        run: getrange,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key start end",
        summary: "Gives a part of a string.",
        complexity: "O(n), n the length of the part.",
        since: "2.4.0",
    },
    Row {
        name: "SUBSTR",
        run: getrange,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key start end",
        summary: "Gives a part of a string: the old name of GETRANGE.",
        complexity: "O(n), n the length of the part.",
        since: "1.0.0",
    },
    Row {
        name: "INCR",
        run: incr,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key",
        summary: "Adds 1 to the integer of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "DECR",
        run: decr,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key",
        summary: "Takes 1 from the integer of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "INCRBY",
        run: incrby,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key increment",
        summary: "Adds to the integer of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "DECRBY",
        run: decrby,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key decrement",
        summary: "Takes from the integer of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "INCRBYFLOAT",
        run: incrbyfloat,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE_FAST,
        syntax: "key increment",
        summary: "Adds to the number of a key.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "LCS",
        run: lcs,
        arity: Arity::AtLeast(3),
        keys: KeySpec::FirstTwo,
        flags: Flags::READONLY,
        syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        summary: "Finds the longest string that is in two strings, with gaps.",
        complexity: "O(n*m), n and m the lengths of the strings.",
        since: "7.0.0",
    },
];

// --- one key, whole ---------------------------------------------------------------------------

fn get(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    answer_string(call.keyspace, key, call.reply)
}

/// Answers the string of a key, or nothing.
#[inline]
fn answer_string(
    keyspace: &Keyspace<'_>,
    key: &[u8],
    reply: &mut dyn crate::reply::Reply,
) -> Result<()> {
    match keyspace.read_string(key)? {
        Some(string) => string.write(reply),
        None => reply.null(),
    }
    Ok(())
}

/// The options of SET.
struct SetOptions<'a> {
    condition: Condition<'a>,
    expiry: Expiry,
    answers_old: bool,
}

impl<'a> SetOptions<'a> {
    /// An option may be given twice, and then the last one counts.
    fn read(args: &mut Args<'a>, now_ms: u64) -> Result<SetOptions<'a>> {
        let (mut condition, mut keeps, mut answers_old) = (None, false, false);
        let mut until: Option<(&[u8], Result<ExpireOption>)> = None;
        while let Some(word) = args.peek() {
            let is_same_unit = |(unit, _): &(&[u8], _)| word.eq_ignore_ascii_case(unit);
            if matches!(condition, None | Some(Condition::IfMissing)) && args.option("NX") {
                condition = Some(Condition::IfMissing);
            } else if matches!(condition, None | Some(Condition::IfPresent)) && args.option("XX") {
                condition = Some(Condition::IfPresent);
            } else if condition.is_none()
                && let Some(read) = Condition::read(args)?
            {
                condition = Some(read);
            } else if args.option("GET") {
                answers_old = true;
            } else if until.is_none() && args.option("KEEPTTL") {
                keeps = true;
            } else if !keeps
                && until.as_ref().is_none_or(is_same_unit)
                && let Some(option) = expire_option(args, "set", now_ms).transpose()
            {
                until = Some((word, option));
            } else {
                return Err(Error::Syntax);
            }
        }
        // A time is refused when all options have been read.
        let expiry = match until {
            Some((_, option)) => Expiry::from(option?),
            None if keeps => Expiry::Keep,
            None => Expiry::Clear,
        };
        Ok(SetOptions {
            condition: condition.unwrap_or(Condition::Always),
            expiry,
            answers_old,
        })
    }
}

impl From<ExpireOption> for Expiry {
    fn from(option: ExpireOption) -> Expiry {
        Expiry::At(option.at_ms)
    }
}

fn set(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.key()?, call.args.bytes()?);
    if call.args.is_empty() {
        call.keyspace.put_string(key, value, Expiry::Clear);
        call.reply.ok();
        return Ok(());
    }
    let options = SetOptions::read(&mut call.args, call.keyspace.now_ms())?;

    let is_set = options.condition.allows(call.keyspace, key)?;
    if options.answers_old {
        answer_string(call.keyspace, key, call.reply)?;
    } else if is_set {
        call.reply.ok();
    } else {
        call.reply.null();
    }
    if is_set {
        put_until(call.keyspace, key, value, options.expiry);
    }
    Ok(())
}

/// Gives a key a string. If its time to live is over already, it leaves again at once.
pub(super) fn put_until(keyspace: &mut Keyspace<'_>, key: &[u8], value: &[u8], expiry: Expiry) {
    keyspace.put_string(key, value, expiry);
    if let Expiry::At(at) = expiry
        && keyspace.is_over(at)
    {
        keyspace.expire_key(key);
    }
}

fn setnx(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.key()?, call.args.bytes()?);
    let is_set = !call.keyspace.exists(key);
    if is_set {
        call.keyspace.put_string(key, value, Expiry::Clear);
    }
    call.reply.int(i64::from(is_set));
    Ok(())
}

fn setex(call: &mut Call<'_, '_>) -> Result<()> {
    set_for(call, "setex", 1000)
}

fn psetex(call: &mut Call<'_, '_>) -> Result<()> {
    set_for(call, "psetex", 1)
}

fn set_for(call: &mut Call<'_, '_>, name: &'static str, unit_ms: i64) -> Result<()> {
    let (key, ttl, value) = (call.args.key()?, call.args.int()?, call.args.bytes()?);
    let option = ExpireOption::after(ttl, unit_ms, call.keyspace.now_ms())
        .ok_or(Error::InvalidExpire(name))?;
    call.keyspace.put_string(key, value, Expiry::from(option));
    call.reply.ok();
    Ok(())
}

fn getset(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.key()?, call.args.bytes()?);
    answer_string(call.keyspace, key, call.reply)?;
    call.keyspace.put_string(key, value, Expiry::Clear);
    Ok(())
}

fn getdel(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    answer_string(call.keyspace, key, call.reply)?;
    call.keyspace.remove(key);
    Ok(())
}

fn getex(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let (mut persist, mut until) = (false, Ok(None));
    let unit = call.args.peek();
    while let Some(word) = call.args.peek() {
        // An option may be given twice, and then the last one counts.
        if !unit.is_some_and(|unit| word.eq_ignore_ascii_case(unit)) {
            return Err(Error::Syntax);
        }
        if call.args.option("PERSIST") {
            persist = true;
            continue;
        }
        until = expire_option(&mut call.args, "getex", call.keyspace.now_ms());
        if matches!(until, Ok(None) | Err(Error::Syntax)) {
            return Err(Error::Syntax);
        }
    }

    // A time that is wrong is refused only where there is something to expire.
    let until = match call.keyspace.entry(key) {
        Some(entry) if entry.str().is_none() => return Err(Error::WrongType),
        Some(_) => until?.map(|option| option.at_ms),
        None => None,
    };
    answer_string(call.keyspace, key, call.reply)?;
    let is_volatile = matches!(call.keyspace.expiry(key), Some(Some(_)));
    if until.is_some() || (persist && is_volatile) {
        call.keyspace.set_expiry(key, until);
    }
    Ok(())
}

// --- several keys -----------------------------------------------------------------------------

fn mget(call: &mut Call<'_, '_>) -> Result<()> {
    let keys = call.args.rest();
    call.reply.array(keys.len());
    for key in keys {
        match call.keyspace.read_string(key) {
            Ok(Some(string)) => string.write(call.reply),
            // What is no string is nothing to MGET, and no error.
            Ok(None) | Err(_) => call.reply.null(),
        }
    }
    Ok(())
}

fn mset(call: &mut Call<'_, '_>) -> Result<()> {
    put_pairs(call, "mset")?;
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut Call<'_, '_>) -> Result<()> {
    let keys = call.args.whole().slice(1..);
    let any = keys.iter().step_by(2).any(|key| call.keyspace.exists(key));
    if any && keys.len().is_multiple_of(2) {
        call.reply.int(0);
        return Ok(());
    }
    put_pairs(call, "msetnx")?;
    call.reply.int(1);
    Ok(())
}

fn put_pairs(call: &mut Call<'_, '_>, name: &str) -> Result<()> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Error::WrongArity(name.into()));
    }
    let mut words = call.args.rest();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        call.keyspace.put_string(key, value, Expiry::Clear);
    }
    Ok(())
}

// --- parts of a string ------------------------------------------------------------------------

fn append(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, tail) = (call.args.key()?, call.args.bytes()?);
    let len = call.keyspace.read_string(key)?.map(Str::len);
    let Some(len) = len else {
        call.keyspace.put_string(key, tail, Expiry::Clear);
        call.reply.int(tail.len() as i64);
        return Ok(());
    };
    if (len + tail.len()) as u64 > call.engine.config.bulk_len_max() {
        return Err(Error::StringTooLong);
    }
    let len_after = len + tail.len();
    let mut string = call.keyspace.edit_string(key, len_after)?;
    string[len..].copy_from_slice(tail);
    drop(string);
    call.reply.int(len_after as i64);
    Ok(())
}

fn strlen(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call.keyspace.read_string(key)?.map_or(0, Str::len);
    call.reply.int(len as i64);
    Ok(())
}

fn setrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, offset, part) = (call.args.key()?, call.args.int()?, call.args.bytes()?);
    let offset = u64::try_from(offset).map_err(|_| Error::OffsetOutOfRange)?;
    let len = call.keyspace.read_string(key)?.map_or(0, Str::len);
    if part.is_empty() {
        call.reply.int(len as i64);
        return Ok(());
    }
    let end = offset.saturating_add(part.len() as u64);
    if end > call.engine.config.bulk_len_max() {
        return Err(Error::StringTooLong);
    }

    let (start, end) = (offset as usize, end as usize);
    let mut string = call.keyspace.edit_string(key, end)?;
    string[start..end].copy_from_slice(part);
    let len = string.len();
    drop(string);
    call.reply.int(len as i64);
    Ok(())
}

fn getrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, start, end) = (call.args.key()?, call.args.int()?, call.args.int()?);
    match call.keyspace.read_string(key)? {
        Some(string) => string.with_bytes(|bytes| call.reply.bulk(part(bytes, start, end))),
        None => call.reply.bulk(b""),
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative places count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let len = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_end = |place: i64| {
        if place < 0 {
            len.saturating_add(place).max(0)
        } else {
            place
        }
    };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        return &[];
    }
    &bytes[start as usize..=end as usize]
}

// --- numbers ----------------------------------------------------------------------------------

fn incr(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    add(call, key, 1)
}

fn decr(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    add(call, key, -1)
}

fn incrby(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, increment) = (call.args.key()?, call.args.int()?);
    add(call, key, increment)
}

fn decrby(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, decrement) = (call.args.key()?, call.args.int()?);
    let increment = decrement.checked_neg().ok_or(Error::DecrementOverflow)?;
    add(call, key, increment)
}

fn add(call: &mut Call<'_, '_>, key: &[u8], increment: i64) -> Result<()> {
    let sum = call.keyspace.change_int(key, |number| {
        let sum = number.checked_add(increment);
        sum.ok_or(Error::IncrementOverflow)
    })?;
    call.reply.int(sum);
    Ok(())
}

fn incrbyfloat(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, increment) = (call.args.key()?, call.args.bytes()?);
    let number = match call.keyspace.read_string(key)? {
        None => Ok(LongDouble::default()),
        Some(string) => string.with_bytes(|bytes| LongDouble::read(bytes, Error::NotAFloat)),
    };
    let sum = match (number, LongDouble::read(increment, Error::NotAFloat)) {
        // Before that the other is infinite.
        (_, Err(Error::NotAFloat)) => return Err(Error::NotAFloat),
        (number, increment) => number?.checked_add(increment?)?,
    };
    let text = sum.to_string();
    call.keyspace.put_bytes(key, text.as_bytes(), Expiry::Keep);
    call.reply.bulk(text.as_bytes());
    Ok(())
}
