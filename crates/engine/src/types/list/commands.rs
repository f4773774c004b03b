//! Commands on lists.
//!
//! A command is a row of [`COMMANDS`] and the function that the row names. Those that wait find
//! nothing at first, say for which keys they wait, and are run again when one of them holds a
//! list.

use std::ops::Range;

use super::{List, Side};
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::entry::{Kind, Object, Str};
use crate::keyspace::waiting::{Nothing, Wait};
use crate::keyspace::{Keyspace, WriteGuard};
use crate::reply::Reply;
use crate::types::Limits;

const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);
const PUSH: Flags = WRITE.and(Flags::FAST);
const POP: Flags = Flags::WRITE.and(Flags::FAST);
const BLOCKING: Flags = Flags::WRITE.and(Flags::BLOCKING);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "LPUSH",
        run: lpush,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: PUSH,
        syntax: "key element [element ...]",
        summary: "Adds elements at the left end, one after the other, and makes the list if there \
                  is none.",
        complexity: "O(1) for each element.",
        since: "1.0.0",
    },
    Row {
        name: "RPUSH",
        run: rpush,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: PUSH,
        syntax: "key element [element ...]",
        summary: "Adds elements at the right end, one after the other, and makes the list if \
                  there is none.",
        complexity: "O(1) for each element.",
        since: "1.0.0",
    },
    Row {
        name: "LPUSHX",
        run: lpushx,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: PUSH,
        syntax: "key element [element ...]",
        summary: "Adds elements at the left end of a list, if there is one.",
        complexity: "O(1) for each element.",
        since: "2.2.0",
    },
    Row {
        name: "RPUSHX",
        run: rpushx,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: PUSH,
        syntax: "key element [element ...]",
        summary: "Adds elements at the right end of a list, if there is one.",
        complexity: "O(1) for each element.",
        since: "2.2.0",
    },
    Row {
        name: "LPOP",
        run: lpop,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: POP,
        syntax: "key [count]",
        summary: "Removes elements at the left end, and gives them.",
        complexity: "O(n), n the number of elements removed.",
        since: "1.0.0",
    },
    Row {
        name: "RPOP",
        run: rpop,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: POP,
        syntax: "key [count]",
        summary: "Removes elements at the right end, and gives them.",
        complexity: "O(n), n the number of elements removed.",
        since: "1.0.0",
    },
    Row {
        name: "LLEN",
        run: llen,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: Flags::READONLY.and(Flags::FAST),
        syntax: "key",
        summary: "Gives the length of a list.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "LINDEX",
        run: lindex,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key index",
        summary: "Gives the element at an index, which counts from the right end if it is \
                  negative.",
        complexity: "O(n), n the number of elements up to the nearer end.",
        since: "1.0.0",
    },
    Row {
        name: "LINSERT",
        run: linsert,
        arity: Arity::Exactly(5),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key <BEFORE | AFTER> pivot element",
        summary: "Puts an element before or after the first one that equals the pivot.",
        complexity: "O(n), n the number of elements up to the pivot.",
        since: "2.2.0",
    },
    Row {
        name: "LSET",
        run: lset,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key index element",
        summary: "Replaces the element at an index.",
        complexity: "O(n), n the number of elements up to the nearer end.",
        since: "1.0.0",
    },
    Row {
        name: "LRANGE",
        run: lrange,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key start stop",
        summary: "Gives the elements of a range.",
        complexity: "O(s+n), s the distance to the nearer end, n the number of elements given.",
        since: "1.0.0",
    },
    Row {
        name: "LREM",
        run: lrem,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key count element",
        summary: "Removes elements that equal one: so many from the left, from the right if the \
                  count is negative, all if it is 0.",
        complexity: "O(n), n the length of the list.",
        since: "1.0.0",
    },
    Row {
        name: "LTRIM",
        run: ltrim,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key start stop",
        summary: "Keeps the elements of a range, and removes the others.",
        complexity: "O(n), n the number of elements removed.",
        since: "1.0.0",
    },
    Row {
        name: "LPOS",
        run: lpos,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        summary: "Gives the index of an element, or of several that are equal.",
        complexity: "O(n), n the length of the list.",
        since: "6.0.6",
    },
    Row {
        name: "LMOVE",
        run: lmove,
        arity: Arity::Exactly(5),
        keys: KeySpec::FirstTwo,
        flags: WRITE,
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        summary: "Moves an element from an end of one list to an end of another, and gives it.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "RPOPLPUSH",
        run: rpoplpush,
        arity: Arity::Exactly(3),
        keys: KeySpec::FirstTwo,
        flags: WRITE,
        syntax: "source destination",
        summary: "Moves an element from the right end of one list to the left end of another, and \
                  gives it.",
        complexity: "O(1)",
        since: "1.2.0",
    },
    Row {
        name: "LMPOP",
        run: lmpop,
        arity: Arity::AtLeast(4),
        keys: KeySpec::Counted(1),
        flags: Flags::WRITE,
        syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Removes elements at an end of the first of several lists that there is, and \
                  gives them.",
        complexity: "O(k+n), k the number of keys, n the number of elements removed.",
        since: "7.0.0",
    },
    Row {
        name: "BLPOP",
        run: blpop,
        arity: Arity::AtLeast(3),
        keys: KeySpec::AllButLast,
        flags: BLOCKING,
        syntax: "key [key ...] timeout",
        summary: "Removes an element at the left end of the first of several lists that there is; \
                  waits for one.",
        complexity: "O(k), k the number of keys.",
        since: "2.0.0",
    },
    Row {
        name: "BRPOP",
        run: brpop,
        arity: Arity::AtLeast(3),
        keys: KeySpec::AllButLast,
        flags: BLOCKING,
        syntax: "key [key ...] timeout",
        summary: "Removes an element at the right end of the first of several lists that there \
                  is; waits for one.",
        complexity: "O(k), k the number of keys.",
        since: "2.0.0",
    },
    Row {
        name: "BLMOVE",
        run: blmove,
        arity: Arity::Exactly(6),
        keys: KeySpec::FirstTwo,
        flags: WRITE.and(Flags::BLOCKING),
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        summary: "Moves an element from an end of one list to an end of another; waits for one.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "BRPOPLPUSH",
        run: brpoplpush,
        arity: Arity::Exactly(4),
        keys: KeySpec::FirstTwo,
        flags: WRITE.and(Flags::BLOCKING),
        syntax: "source destination timeout",
        summary: "Moves an element from the right end of one list to the left end of another; \
                  waits for one.",
        complexity: "O(1)",
        since: "2.2.0",
    },
    Row {
        name: "BLMPOP",
        run: blmpop,
        arity: Arity::AtLeast(5),
        keys: KeySpec::Counted(2),
        flags: BLOCKING,
        syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Removes elements at an end of the first of several lists that there is; waits \
                  for one.",
        complexity: "O(k+n), k the number of keys, n the number of elements removed.",
        since: "7.0.0",
    },
];

// --- adding -----------------------------------------------------------------------------------

fn lpush(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, Side::Left)
}

fn rpush(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, Side::Right)
}

fn push(call: &mut Call<'_, '_>, side: Side) -> Result<()> {
    let (key, elements) = (call.args.key()?, call.args.rest());
    let limits = call.keyspace.limits();

    let mut guard = call.keyspace.write::<List>(key)?;
    let list = &mut *guard;
    for element in elements {
        list.push(side, element, limits);
    }
    call.reply.int(list.len() as i64);
    Ok(())
}

fn lpushx(call: &mut Call<'_, '_>) -> Result<()> {
    push_existing(call, Side::Left)
}

fn rpushx(call: &mut Call<'_, '_>) -> Result<()> {
    push_existing(call, Side::Right)
}

fn push_existing(call: &mut Call<'_, '_>, side: Side) -> Result<()> {
    let key = call.args.peek().ok_or(Error::Syntax)?;
    if call.keyspace.read::<List>(key)?.is_none() {
        call.reply.int(0);
        return Ok(());
    }
    push(call, side)
}

fn linsert(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let after = call.args.option("AFTER");
    if !after && !call.args.option("BEFORE") {
        return Err(Error::Syntax);
    }
    let (pivot, element) = (call.args.bytes()?, call.args.bytes()?);
    let limits = call.keyspace.limits();

    let Some(list) = call.keyspace.read::<List>(key)? else {
        call.reply.int(0);
        return Ok(());
    };
    let Some(index) = list.position_of(pivot) else {
        call.reply.int(-1);
        return Ok(());
    };
    let mut list = call.keyspace.write::<List>(key)?;
    list.insert(index + usize::from(after), element, limits);
    call.reply.int(list.len() as i64);
    Ok(())
}

fn lset(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, index, element) = (call.args.key()?, call.args.int(), call.args.bytes()?);
    let limits = call.keyspace.limits();

    let mut list = call
        .keyspace
        .write_existing::<List>(key)?
        .ok_or(Error::NoSuchKey)?;
    let index = place(index?, list.len()).ok_or(Error::IndexOutOfRange)?;
    list.set(index, element, limits);
    call.reply.ok();
    Ok(())
}

// --- reading ----------------------------------------------------------------------------------

fn llen(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let len = call.keyspace.read::<List>(key)?.map_or(0, List::len);
    call.reply.int(len as i64);
    Ok(())
}

fn lindex(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, index) = (call.args.key()?, call.args.int());
    let Some(list) = call.keyspace.read::<List>(key)? else {
        call.reply.null();
        return Ok(());
    };
    let element = place(index?, list.len()).and_then(|index| list.get(index));
    Str::write_or_null(element, call.reply);
    Ok(())
}

fn lrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, start, stop) = (call.args.key()?, call.args.int()?, call.args.int()?);
    let Some(list) = call.keyspace.read::<List>(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let range = places(start, stop, list.len());
    answer_elements(call.reply, range.len(), list.iter_from(range.start));
    Ok(())
}

/// The options of LPOS.
struct Search<'a> {
    element: &'a [u8],
    /// How many matches are passed over first.
    skip: usize,
    backwards: bool,
    /// How many matches are wanted: 0 is all; `None` is one, which is answered by itself.
    count: Option<usize>,
    /// How many elements are looked at.
    len_max: usize,
}

const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                         second ... or use negative to start from the end of the list";

impl<'a> Search<'a> {
    fn read(args: &mut Args<'a>) -> Result<Search<'a>> {
        let element = args.bytes()?;
        let mut search = Search {
            element,
            skip: 0,
            backwards: false,
            count: None,
            len_max: usize::MAX,
        };
        while !args.is_empty() {
            if args.option("RANK") {
                let rank = args.int()?;
                let skip = rank
                    .unsigned_abs()
                    .checked_sub(1)
                    .ok_or(Error::text(RANK_ZERO))?;
                if rank == i64::MIN {
                    return Err(Error::text(OUT_OF_LONG));
                }
                (search.skip, search.backwards) = (skip as usize, rank < 0);
            } else if args.option("COUNT") {
                let count = args.natural_or(Error::text("ERR COUNT can't be negative"))?;
                search.count = Some(count as usize);
            } else if args.option("MAXLEN") {
                let len_max = args.natural_or(Error::text("ERR MAXLEN can't be negative"))?;
                search.len_max = match len_max {
                    0 => usize::MAX,
                    len_max => len_max as usize,
                };
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(search)
    }

    /// The indices that are found.
    fn run(&self, list: &List) -> Vec<usize> {
        let wanted = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let element = Str::of(self.element);
        let matches = |(index, other)| (other == element).then_some(index);
        if self.backwards {
            let last = list.len() - 1;
            let elements = list.rev_from(last).enumerate().take(self.len_max);
            let found = elements.filter_map(matches).skip(self.skip).take(wanted);
            found.map(|distance| last - distance).collect()
        } else {
            let elements = list.iter().enumerate().take(self.len_max);
            elements
                .filter_map(matches)
                .skip(self.skip)
                .take(wanted)
                .collect()
        }
    }
}

fn lpos(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let search = Search::read(&mut call.args)?;

    let list = call.keyspace.read::<List>(key)?;
    let found = list.map_or_else(Vec::new, |list| search.run(list));
    if search.count.is_none() {
        match found.first() {
            Some(&index) => call.reply.int(index as i64),
            None => call.reply.null(),
        }
        return Ok(());
    }
    call.reply.array(found.len());
    for index in found {
        call.reply.int(index as i64);
    }
    Ok(())
}

// --- removing ---------------------------------------------------------------------------------

fn lrem(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, count, element) = (call.args.key()?, call.args.int()?, call.args.bytes()?);
    if count == i64::MIN {
        return Err(Error::text(OUT_OF_LONG));
    }
    let limits = call.keyspace.limits();

    let Some(mut list) = call.keyspace.write_existing::<List>(key)? else {
        call.reply.int(0);
        return Ok(());
    };
    let side = if count < 0 { Side::Right } else { Side::Left };
    let most = match count.unsigned_abs() {
        0 => usize::MAX,
        count => count as usize,
    };
    let removed = list.remove(element, most, side, limits);
    if removed == 0 {
        list.unchanged();
    }
    call.reply.int(removed as i64);
    Ok(())
}

fn ltrim(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, start, stop) = (call.args.key()?, call.args.int()?, call.args.int()?);
    let limits = call.keyspace.limits();
    if let Some(mut list) = call.keyspace.write_existing::<List>(key)? {
        // Though nothing may be taken away, it is a change, as in Redis.
        let range = places(start, stop, list.len());
        list.trim(range, limits);
    }
    call.reply.ok();
    Ok(())
}

fn lpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, Side::Left)
}

fn rpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, Side::Right)
}

fn pop(call: &mut Call<'_, '_>, side: Side) -> Result<()> {
    let key = call.args.key()?;
    if call.args.len() > 1 {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    let count = match call.args.is_empty() {
        true => None,
        false => Some(call.args.natural()?),
    };
    let limits = call.keyspace.limits();

    let list = call.keyspace.write_existing::<List>(key)?;
    match (list, count) {
        (None, None) => call.reply.null(),
        (None, Some(_)) => call.reply.null_array(),
        (Some(mut list), None) => {
            let list = &mut *list;
            Str::write_or_null(list.peek(side), call.reply);
            list.discard(side, 1, limits);
        }
        (Some(list), Some(count)) => answer_popped(call.reply, list, side, count as usize, limits),
    }
    Ok(())
}

/// Removes up to `count` elements, and answers them.
fn answer_popped(
    reply: &mut dyn Reply,
    mut list: WriteGuard<'_, '_, List>,
    side: Side,
    count: usize,
    limits: &Limits,
) {
    let count = count.min(list.len());
    match side {
        Side::Left => answer_elements(reply, count, list.iter()),
        Side::Right => answer_elements(reply, count, list.rev_from(list.len() - 1)),
    }
    if count > 0 {
        list.discard(side, count, limits);
    }
}

// --- moving -----------------------------------------------------------------------------------

fn lmove(call: &mut Call<'_, '_>) -> Result<()> {
    let request = Move::read(&mut call.args)?;
    if !request.run(call.keyspace, call.reply)? {
        call.reply.null();
    }
    Ok(())
}

fn rpoplpush(call: &mut Call<'_, '_>) -> Result<()> {
    let request = Move::right_to_left(&mut call.args)?;
    if !request.run(call.keyspace, call.reply)? {
        call.reply.null();
    }
    Ok(())
}

fn blmove(call: &mut Call<'_, '_>) -> Result<()> {
    let request = Move::read(&mut call.args)?;
    move_or_wait(call, request)
}

fn brpoplpush(call: &mut Call<'_, '_>) -> Result<()> {
    let request = Move::right_to_left(&mut call.args)?;
    move_or_wait(call, request)
}

fn move_or_wait(call: &mut Call<'_, '_>, request: Move<'_>) -> Result<()> {
    let timeout_us = call.timeout_s()?;
    if !request.run(call.keyspace, call.reply)? {
        wait_for_lists(call, &[request.source], timeout_us, Nothing::Null);
    }
    Ok(())
}

/// An element's way from one list to another.
#[derive(Clone, Copy)]
struct Move<'a> {
    source: &'a [u8],
    destination: &'a [u8],
    from: Side,
    to: Side,
}

impl<'a> Move<'a> {
    fn read(args: &mut Args<'a>) -> Result<Move<'a>> {
        let (source, destination) = (args.key()?, args.key()?);
        Ok(Move {
            source,
            destination,
            from: side(args)?,
            to: side(args)?,
        })
    }

    fn right_to_left(args: &mut Args<'a>) -> Result<Move<'a>> {
        let (source, destination) = (args.key()?, args.key()?);
        Ok(Move {
            source,
            destination,
            from: Side::Right,
            to: Side::Left,
        })
    }

    /// Moves the element and answers it. If there is none, answers nothing, and says `false`.
    fn run(self, keyspace: &mut Keyspace<'_>, reply: &mut dyn Reply) -> Result<bool> {
        let limits = keyspace.limits();
        let Some(source) = keyspace.read::<List>(self.source)? else {
            return Ok(false);
        };
        let Some(element) = source.peek(self.from).map(Str::to_vec) else {
            return Ok(false);
        };
        keyspace.read::<List>(self.destination)?;

        reply.bulk(&element);
        if self.source == self.destination {
            let mut list = keyspace.write::<List>(self.source)?;
            list.event(self.to.pushed());
            list.also(self.from.popped());
            list.discard(self.from, 1, limits);
            list.push(self.to, &element, limits);
            return Ok(true);
        }
        let mut list = keyspace.write::<List>(self.destination)?;
        list.event(self.to.pushed());
        list.push(self.to, &element, limits);
        drop(list);
        let mut list = keyspace.write::<List>(self.source)?;
        list.event(self.from.popped());
        list.discard(self.from, 1, limits);
        drop(list);
        Ok(true)
    }
}

// --- the first of several lists ---------------------------------------------------------------

fn lmpop(call: &mut Call<'_, '_>) -> Result<()> {
    let request = PopFirst::read(&mut call.args)?;
    if !request.run(call)? {
        call.reply.null_array();
    }
    Ok(())
}

fn blmpop(call: &mut Call<'_, '_>) -> Result<()> {
    let timeout_us = call.timeout_s();
    let request = PopFirst::read(&mut call.args)?;
    let timeout_us = timeout_us?;
    if !request.run(call)? {
        wait_for_lists(call, &request.keys, timeout_us, Nothing::NullArray);
    }
    Ok(())
}

/// What LMPOP is to do.
struct PopFirst<'a> {
    keys: Vec<&'a [u8]>,
    side: Side,
    count: usize,
}

impl<'a> PopFirst<'a> {
    fn read(args: &mut Args<'a>) -> Result<PopFirst<'a>> {
        let keys = args.positive_or(Error::text("ERR numkeys should be greater than 0"))?;
        let keys = args.take(keys)?.iter().collect();
        let (side, mut count) = (side(args)?, 1);
        if args.option("COUNT") {
            count = args.positive_or(Error::text("ERR count should be greater than 0"))?;
        }
        args.end()?;
        Ok(PopFirst { keys, side, count })
    }

    /// Removes elements and answers them with their key. If there is no list, answers nothing, and
    /// says `false`.
    fn run(&self, call: &mut Call<'_, '_>) -> Result<bool> {
        let limits = call.keyspace.limits();
        for key in &self.keys {
            let Some(mut list) = call.keyspace.write_existing::<List>(key)? else {
                continue;
            };
            list.event(self.side.popped());
            call.reply.array(2);
            call.reply.bulk(key);
            answer_popped(call.reply, list, self.side, self.count, limits);
            return Ok(true);
        }
        Ok(false)
    }
}

fn blpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop_or_wait(call, Side::Left)
}

fn brpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop_or_wait(call, Side::Right)
}

fn pop_or_wait(call: &mut Call<'_, '_>, side: Side) -> Result<()> {
    let keys: Vec<&[u8]> = call
        .args
        .take(call.args.len().saturating_sub(1))?
        .iter()
        .collect();
    let timeout_us = call.timeout_s()?;
    let limits = call.keyspace.limits();

    for key in &keys {
        let Some(mut list) = call.keyspace.write_existing::<List>(key)? else {
            continue;
        };
        call.reply.array(2);
        call.reply.bulk(key);
        Str::write_or_null(list.peek(side), call.reply);
        list.discard(side, 1, limits);
        return Ok(());
    }
    wait_for_lists(call, &keys, timeout_us, Nothing::NullArray);
    Ok(())
}

fn wait_for_lists(
    call: &mut Call<'_, '_>,
    keys: &[&[u8]],
    timeout_us: Option<u64>,
    nothing: Nothing,
) {
    let mut keys: Vec<Box<[u8]>> = keys.iter().map(|&key| key.into()).collect();
    keys.sort_unstable();
    keys.dedup();
    call.wait_for(Wait {
        keys,
        kind: Some(Kind::List),
        timeout_us,
        nothing,
        request: None,
    });
}

impl Side {
    /// What a push at this side is called, as an event.
    fn pushed(self) -> &'static str {
        match self {
            Side::Left => "lpush",
            Side::Right => "rpush",
        }
    }

    /// What a pop from this side is called, as an event.
    fn popped(self) -> &'static str {
        match self {
            Side::Left => "lpop",
            Side::Right => "rpop",
        }
    }
}

// --- arguments and answers --------------------------------------------------------------------

const OUT_OF_LONG: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

fn side(args: &mut Args<'_>) -> Result<Side> {
    if args.option("LEFT") {
        Ok(Side::Left)
    } else if args.option("RIGHT") {
        Ok(Side::Right)
    } else {
        Err(Error::Syntax)
    }
}

/// The index that `index` means, which counts from the right end if it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 {
        (len as i64).checked_add(index)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// The indices from `start` to `stop`, both included.
fn places(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |index: i64| match index {
        ..0 => (len as i64).saturating_add(index),
        index => index,
    };
    let (start, stop) = (from_end(start).max(0) as usize, from_end(stop));
    let end = usize::try_from(stop).map_or(0, |stop| stop.saturating_add(1).min(len));
    if start < end { start..end } else { 0..0 }
}

fn answer_elements<'l>(
    reply: &mut dyn Reply,
    count: usize,
    elements: impl Iterator<Item = Str<'l>>,
) {
    reply.array(count);
    elements
        .take(count)
        .for_each(|element| element.write(reply));
}
