//! SLOWLOG, COMMANDLOG and MONITOR: which commands run, and which of them were slow or large.
//!
//! COMMANDLOG is that of Valkey 8.1; SLOWLOG is the part of it that there was before.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::observe::slowlog::SlowLog;

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
        name: "COMMANDLOG GET",
        run: get_of_type,
        arity: Arity::Exactly(4),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "count <SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Gives the newest commands that were slow or large, so many, or all for -1. Valkey \
                  has it, and Redis does not.",
        complexity: "O(n), n the number of entries.",
        since: "8.1.0",
    },
    Row {
        name: "COMMANDLOG LEN",
        run: len_of_type,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Counts the commands that are kept since they were slow or large.",
        complexity: "O(1)",
        since: "8.1.0",
    },
    Row {
        name: "COMMANDLOG RESET",
        run: reset_type,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
        summary: "Forgets the commands that are kept since they were slow or large.",
        complexity: "O(n), n the number of entries.",
        since: "8.1.0",
    },
    help::row("COMMANDLOG HELP", "8.1.0"),
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
        false => last_count(call)?,
    };
    answer_entries(call, &call.engine.stats.slowlog, count);
    Ok(())
}

fn answer_entries(call: &mut Call<'_, '_>, log: &SlowLog, count: usize) {
    let entries = log.newest(count);
    call.reply.array(entries.len());
    for entry in entries {
        call.reply.array(6);
        call.reply.int(entry.id as i64);
        call.reply.int(entry.at_s as i64);
        call.reply.int(entry.measure as i64);
        call.reply.array(entry.words.len());
        entry.words.iter().for_each(|word| call.reply.bulk(word));
        call.reply.bulk(entry.address.as_bytes());
        call.reply.bulk(entry.name.as_bytes());
    }
}

/// How many entries are wanted; -1 is all. Nothing stands behind it.
fn last_count(call: &mut Call<'_, '_>) -> Result<usize> {
    let count = count(call);
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    count
}

/// How many entries are wanted; -1 is all.
fn count(call: &mut Call<'_, '_>) -> Result<usize> {
    match call.args.int() {
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

/// Reads which log is meant.
fn log<'e>(call: &mut Call<'_, 'e>) -> Result<&'e SlowLog> {
    let stats = &call.engine.stats;
    match () {
        () if call.args.option("SLOW") => Ok(&stats.slowlog),
        () if call.args.option("LARGE-REQUEST") => Ok(&stats.large_requests),
        () if call.args.option("LARGE-REPLY") => Ok(&stats.large_replies),
        () => Err(Error::text(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}

fn get_of_type(call: &mut Call<'_, '_>) -> Result<()> {
    let count = count(call)?;
    let log = log(call)?;
    answer_entries(call, log, count);
    Ok(())
}

fn len_of_type(call: &mut Call<'_, '_>) -> Result<()> {
    let log = log(call)?;
    call.reply.int(log.len() as i64);
    Ok(())
}

fn reset_type(call: &mut Call<'_, '_>) -> Result<()> {
    log(call)?.clear();
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
