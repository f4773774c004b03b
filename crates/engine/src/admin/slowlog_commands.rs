//! SLOWLOG and MONITOR: which commands run, and which of them were slow.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

const FLAGS: Flags = Flags::ADMIN;

/// How many entries SLOWLOG GET answers if nothing is said.
const SHOWN: usize = 10;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SLOWLOG GET",
        run: get,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[count]",
        summary: "Gives the newest entries of the slow log: 10, or so many, or all for -1.",
        complexity: "O(n), n the number of entries.",
        since: "2.2.12",
    },
    Row {
        name: "SLOWLOG LEN",
        run: len,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Counts the entries of the slow log.",
        complexity: "O(1)",
        since: "2.2.12",
    },
    Row {
        name: "SLOWLOG RESET",
        run: reset,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Forgets the entries of the slow log.",
        complexity: "O(n), n the number of entries.",
        since: "2.2.12",
    },
    help::row("SLOWLOG HELP", "6.2.0"),
    Row {
        name: "MONITOR",
        run: monitor,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::ADMIN.and(Flags::NO_SCRIPT),
        syntax: "",
        summary: "Shows each command that runs, but those of administrators.",
        complexity: "O(1)",
        since: "1.0.0",
    },
];

fn get(call: &mut Call<'_, '_>) -> Result<()> {
    let count = match call.args.is_empty() {
        true => SHOWN,
        false => count(call)?,
    };
    let entries = call.engine.stats.slowlog.newest(count);
    call.reply.array(entries.len());
    for entry in entries {
        call.reply.array(6);
        call.reply.int(entry.id as i64);
        call.reply.int(entry.at_s as i64);
        call.reply.int(entry.took_us as i64);
        call.reply.array(entry.words.len());
        entry.words.iter().for_each(|word| call.reply.bulk(word));
        call.reply.bulk(entry.address.as_bytes());
        call.reply.bulk(entry.name.as_bytes());
    }
    Ok(())
}

/// How many entries are wanted; -1 is all.
fn count(call: &mut Call<'_, '_>) -> Result<usize> {
    let count = call.args.int();
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    match count {
        Ok(-1) => Ok(usize::MAX),
        Ok(count @ 0..) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
        _ => Err(Error::text(
            "ERR count should be greater than or equal to -1",
        )),
    }
}

fn len(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.int(call.engine.stats.slowlog.len() as i64);
    Ok(())
}

fn reset(call: &mut Call<'_, '_>) -> Result<()> {
    call.engine.stats.slowlog.clear();
    call.reply.ok();
    Ok(())
}

fn monitor(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.may_wait() {
        return Err(Error::text(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    call.session.monitor(call.engine)?;
    call.reply.ok();
    Ok(())
}
