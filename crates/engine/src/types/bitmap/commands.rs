//! Commands on bitmaps.

use smallvec::SmallVec;

use super::bits;
use super::combine::Operation;
use super::field::{Action, Overflow, Step, read_bit_place};
use super::range::{Bounds, Unit};
use crate::args::{Args, parse_int};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::Expiry;
use crate::keyspace::entry::Str;

const READ: Flags = Flags::READONLY;
const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SETBIT",
        run: setbit,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key offset value",
        summary: "Sets or clears a bit of a string, which grows with zero bytes if it must, and \
                  answers the bit that was there.",
        complexity: "O(1)",
        since: "2.2.0",
    },
    Row {
        name: "GETBIT",
        run: getbit,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ.and(Flags::FAST),
        syntax: "key offset",
        summary: "Gives a bit of a string.",
        complexity: "O(1)",
        since: "2.2.0",
    },
    Row {
        name: "BITCOUNT",
        run: bitcount,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [start end [BYTE | BIT]]",
        summary: "Counts the bits of a string, or of a part of it, that are set. As in Valkey, \
                  a start may come alone.",
        complexity: "O(n), n the length of the part.",
        since: "2.6.0",
    },
    Row {
        name: "BITPOS",
        run: bitpos,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key bit [start [end [BYTE | BIT]]]",
        summary: "Finds the first bit of a string, or of a part of it, that is set or that is clear.",
        complexity: "O(n), n the length of the part.",
        since: "2.8.7",
    },
    Row {
        name: "BITOP",
        run: bitop,
        arity: Arity::AtLeast(4),
        keys: KeySpec::AllButFirst,
        flags: WRITE,
        syntax: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
        summary: "Stores what several strings make bit by bit. DIFF, DIFF1, ANDOR and ONE are those \
                  of Redis 8.2.",
        complexity: "O(n*k), n the length of the longest of k strings.",
        since: "2.6.0",
    },
    Row {
        name: "BITFIELD",
        run: bitfield,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
                 <SET encoding offset value | INCRBY encoding offset increment>> \
                 [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
                 <SET encoding offset value | INCRBY encoding offset increment>> ...]]",
        summary: "Reads and changes integers of any width inside a string.",
        complexity: "O(n), n the number of integers.",
        since: "3.2.0",
    },
    Row {
        name: "BITFIELD_RO",
        run: bitfield_ro,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: READ.and(Flags::FAST),
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        summary: "Reads integers of any width inside a string.",
        complexity: "O(n), n the number of integers.",
        since: "6.0.0",
    },
];

// --- single bits ------------------------------------------------------------------------------

fn setbit(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let at = read_bit_place(call.args.bytes()?, call.engine.config.bulk_len_max())?;
    let is_set = match call.args.bytes()? {
        b"0" => false,
        b"1" => true,
        _ => return Err(Error::text("ERR bit is not an integer or out of range")),
    };

    let mut string = call.keyspace.edit_string(key, bytes_of(at + 1))?;
    let was_set = bits::bit(&string, at);
    if was_set != is_set {
        bits::set_bit(&mut string, at, is_set);
    }
    drop(string);
    call.reply.int(i64::from(was_set));
    Ok(())
}

/// How many bytes so many bits take.
fn bytes_of(bits: u64) -> usize {
    bits.div_ceil(8) as usize
}

fn getbit(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let at = read_bit_place(call.args.bytes()?, call.engine.config.bulk_len_max())?;
    let string = call.keyspace.read_string(key)?;
    let is_set = string.is_some_and(|string| string.with_bytes(|bytes| bits::bit(bytes, at)));
    call.reply.int(i64::from(is_set));
    Ok(())
}

// --- ranges -----------------------------------------------------------------------------------

fn bitcount(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let bounds = match call.args.len() {
        0 => Bounds::ALL,
        // To the end, as in Valkey.
        1 => Bounds {
            start: call.args.int()?,
            ..Bounds::ALL
        },
        2 | 3 => Bounds {
            start: call.args.int()?,
            end: call.args.int()?,
            unit: Unit::read(&mut call.args)?,
        },
        _ => return Err(Error::Syntax),
    };

    let string = call.keyspace.read_string(key)?;
    let count = match string {
        Some(string) if !bounds.are_crossed_from_the_end() => string.with_bytes(|bytes| {
            let range = bounds.bits_of(bytes.len());
            range.map_or(0, |range| bits::count(bytes, range))
        }),
        _ => 0,
    };
    call.reply.int(count as i64);
    Ok(())
}

fn bitpos(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, bit) = (call.args.key()?, call.args.int()?);
    let is_set = match bit {
        0 => false,
        1 => true,
        _ => return Err(Error::text("ERR The bit argument must be 1 or 0.")),
    };
    let (bounds, has_end) = read_bounds(&mut call.args)?;

    let Some(string) = call.keyspace.read_string(key)? else {
        call.reply.int(if is_set { -1 } else { 0 });
        return Ok(());
    };
    let found = string.with_bytes(|bytes| {
        let range = bounds.bits_of(bytes.len())?;
        // Behind the end there are zeros, unless it was said where to end.
        let behind = (!is_set && !has_end).then_some(bytes.len() as u64 * 8);
        bits::first(bytes, is_set, range).or(behind)
    });
    call.reply.int(found.map_or(-1, |at| at as i64));
    Ok(())
}

/// Reads where to begin, where to end, and what both count. Answers also whether there is an end.
fn read_bounds(args: &mut Args<'_>) -> Result<(Bounds, bool)> {
    if args.len() > 3 {
        return Err(Error::Syntax);
    }
    let mut bounds = Bounds::ALL;
    if !args.is_empty() {
        bounds.start = args.int()?;
    }
    let Some(end) = args.next() else {
        return Ok((bounds, false));
    };
    bounds.unit = Unit::read(args)?;
    bounds.end = parse_int(end).ok_or(Error::NotAnInteger)?;
    Ok((bounds, true))
}

// --- several strings --------------------------------------------------------------------------

fn bitop(call: &mut Call<'_, '_>) -> Result<()> {
    let operation = Operation::read(&mut call.args)?;
    let target = call.args.key()?;
    let keys = call.args.rest();
    operation.check(keys.len())?;

    let mut sources = Vec::with_capacity(keys.len());
    for key in keys {
        let string = call.keyspace.read_string(key)?;
        sources.push(string.map(Str::into_bytes).unwrap_or_default());
    }
    let result = operation.combine(&sources);
    let len = result.len();
    match len {
        0 => {
            call.keyspace.remove(target);
        }
        _ => call.keyspace.put_raw(target, result, Expiry::Clear),
    }
    call.reply.int(len as i64);
    Ok(())
}

// --- integers ---------------------------------------------------------------------------------

fn bitfield(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, steps) = read_steps(call)?;
    match steps.iter().filter_map(Step::writes_until).max() {
        Some(end) => change_fields(call, key, &steps, end),
        None => read_fields(call, key, &steps),
    }
}

fn bitfield_ro(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, steps) = read_steps(call)?;
    if steps.iter().any(|step| step.writes_until().is_some()) {
        return Err(Error::text(
            "ERR BITFIELD_RO only supports the GET subcommand",
        ));
    }
    read_fields(call, key, &steps)
}

type Steps = SmallVec<[Step; 4]>;

fn read_steps<'a>(call: &mut Call<'a, '_>) -> Result<(&'a [u8], Steps)> {
    let len_max = call.engine.config.bulk_len_max();
    let args = &mut call.args;
    let key = args.key()?;
    let (mut steps, mut overflow) = (Steps::new(), Overflow::default());
    while !args.is_empty() {
        if args.option("OVERFLOW") {
            overflow = read_overflow(args)?;
            continue;
        }
        let name = args.bytes()?;
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let step = match args.len() {
            2.. if is("GET") => Step::read(args, len_max, |_| Ok(Action::Get)),
            3.. if is("SET") => {
                Step::read(args, len_max, |args| Ok(Action::Set(args.int()?, overflow)))
            }
            3.. if is("INCRBY") => {
                Step::read(args, len_max, |args| Ok(Action::Add(args.int()?, overflow)))
            }
            _ => Err(Error::Syntax),
        };
        steps.push(step?);
    }
    Ok((key, steps))
}

fn read_overflow(args: &mut Args<'_>) -> Result<Overflow> {
    match () {
        () if args.is_empty() => Err(Error::Syntax),
        () if args.option("WRAP") => Ok(Overflow::Wrap),
        () if args.option("SAT") => Ok(Overflow::Saturate),
        () if args.option("FAIL") => Ok(Overflow::Fail),
        () => Err(Error::text("ERR Invalid OVERFLOW type specified")),
    }
}

fn read_fields(call: &mut Call<'_, '_>, key: &[u8], steps: &[Step]) -> Result<()> {
    let string = call.keyspace.read_string(key)?;
    if string.is_none() && call.keyspace.is_announcing() && call.command.flags.has(Flags::WRITE) {
        call.keyspace.announce_miss(key);
    }
    let string = string.map(Str::into_bytes).unwrap_or_default();
    call.reply.array(steps.len());
    for step in steps {
        call.reply.int(step.number(&string));
    }
    Ok(())
}

fn change_fields(call: &mut Call<'_, '_>, key: &[u8], steps: &[Step], end: u64) -> Result<()> {
    let mut string = call.keyspace.edit_string(key, bytes_of(end))?;
    let has_grown = string.has_grown();
    let mut is_written = false;
    call.reply.array(steps.len());
    for step in steps {
        let old = step.number(&string);
        let Some(new) = step.changed(old) else {
            call.reply.null();
            continue;
        };
        if new != old {
            step.write(&mut string, new);
        }
        is_written |= step.writes_until().is_some() && (has_grown || new != old);
        call.reply.int(match step.action {
            Action::Get | Action::Set(..) => old,
            Action::Add(..) => new,
        });
    }
    // A string that grew and got no number is another string all the same, and no event.
    if is_written {
        string.event("setbit");
    }
    Ok(())
}
