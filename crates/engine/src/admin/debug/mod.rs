//! DEBUG: what test suites of Redis ask of a server, for those who have allowed it.
//!
//! It is one command to Redis, without subcommands of its own, and so it is a row here; [`SUBCOMMANDS`]
//! are its own. Nearly all look at the whole keyspace, so it holds every shard. Switches of machinery that
//! is not here, such as the threshold of plain nodes of lists, are taken and change nothing.

mod access;
mod digest;
mod keys;
mod protocol;

pub use access::DebugAccess;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::modules;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::float::strtod;
use crate::session::Session;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "DEBUG",
    run: debug,
    arity: Arity::AtLeast(2),
    keys: KeySpec::None,
    flags: Flags::ADMIN.and(Flags::NO_SCRIPT).and(Flags::WHOLE),
    syntax: "subcommand [arg [arg ...]]",
    summary: "Helps to test the server, where enable-debug-command allows it.",
    complexity: "That of the subcommand.",
    since: "1.0.0",
}];

/// A subcommand.
struct Subcommand {
    name: &'static str,
    /// How many words may follow.
    words: std::ops::RangeInclusive<usize>,
    run: fn(&mut Call<'_, '_>) -> Result<()>,
    syntax: &'static str,
    summary: &'static str,
}

const ANY: usize = usize::MAX;

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "DICT-RESIZING",
        words: 1..=1,
        run: ok,
        syntax: "<0|1>",
        summary: "Changes nothing: tables grow and shrink by themselves.",
    },
    Subcommand {
        name: "DIGEST",
        words: 0..=0,
        run: digest::digest,
        syntax: "",
        summary: "Answers a hex signature of all keys with their values.",
    },
    Subcommand {
        name: "DIGEST-VALUE",
        words: 0..=ANY,
        run: digest::digest_value,
        syntax: "<key> [<key> ...]",
        summary: "Answers a hex signature of the value of each key.",
    },
    Subcommand {
        name: "ERROR",
        words: 1..=1,
        run: error,
        syntax: "<string>",
        summary: "Answers this error.",
    },
    Subcommand {
        name: "HELP",
        words: 0..=0,
        run: help,
        syntax: "",
        summary: "Lists the subcommands.",
    },
    Subcommand {
        name: "LISTPACK",
        words: 1..=1,
        run: keys::listpack,
        syntax: "<key>",
        summary: "Says whether the value is held as a listpack.",
    },
    Subcommand {
        name: "LOADAOF",
        words: 0..=0,
        run: keys::reload,
        syntax: "",
        summary: "The same as RELOAD.",
    },
    Subcommand {
        name: "OBJECT",
        words: 1..=1,
        run: keys::object,
        syntax: "<key>",
        summary: "Says how the value is held.",
    },
    Subcommand {
        name: "PAUSE-CRON",
        words: 1..=1,
        run: pause_cron,
        syntax: "<0|1>",
        summary: "Lets nothing happen by itself but what is due at a time, or again as before.",
    },
    Subcommand {
        name: "POPULATE",
        words: 1..=3,
        run: keys::populate,
        syntax: "<count> [<prefix>] [<size>]",
        summary: "Adds so many strings, as far as their keys are not there.",
    },
    Subcommand {
        name: "PROTOCOL",
        words: 1..=1,
        run: protocol::protocol,
        syntax: "<type>",
        summary: "Answers a value of this type.",
    },
    Subcommand {
        name: "QUICKLIST-PACKED-THRESHOLD",
        words: 1..=1,
        run: ok,
        syntax: "<size>",
        summary: "Changes nothing: an element has a node of its own where it is larger than one.",
    },
    Subcommand {
        name: "RELOAD",
        words: 0..=ANY,
        run: keys::reload,
        syntax: "[NOFLUSH MERGE]",
        summary: "Writes all values as DUMP does, and reads them again.",
    },
    Subcommand {
        name: "REPLYBUFFER",
        words: 2..=2,
        run: ok,
        syntax: "<PEAK-RESET-TIME|RESIZING> <value>",
        summary: "Changes nothing: answers are in chunks that come and go.",
    },
    Subcommand {
        name: "SET-ACTIVE-EXPIRE",
        words: 1..=1,
        run: set_active_expire,
        syntax: "<0|1>",
        summary: "Lets expired keys leave memory by themselves, or only when they are asked for.",
    },
    Subcommand {
        name: "SET-DISABLE-DENY-SCRIPTS",
        words: 1..=1,
        run: set_disable_deny_scripts,
        syntax: "<0|1>",
        summary: "Lets scripts call DEBUG.",
    },
    Subcommand {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        words: 1..=1,
        run: set_skip_checksums,
        syntax: "<0|1>",
        summary: "Lets RESTORE take payloads whose checksum is wrong.",
    },
    Subcommand {
        name: "SLEEP",
        words: 1..=1,
        run: sleep,
        syntax: "<seconds>",
        summary: "Keeps all keys from others for so long.",
    },
    Subcommand {
        name: "STRINGMATCH-TEST",
        words: 0..=0,
        run: ok,
        syntax: "",
        summary: "Changes nothing: patterns have tests of their own.",
    },
];

impl Engine {
    /// Refuses DEBUG where it is not allowed, and what loads modules; all else may run.
    pub(crate) fn admit_protected(&self, session: &Session, command: &Row) -> Result<()> {
        if command.name != "DEBUG" {
            return modules::admit(command);
        }
        if self.config.debug_access().allows(session) {
            return Ok(());
        }
        Err(Error::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ))
    }
}

fn debug(call: &mut Call<'_, '_>) -> Result<()> {
    call.engine.admit_protected(call.session, call.command)?;
    let name = call.args.bytes()?;
    let words = call.args.len();
    let found = SUBCOMMANDS.iter().find(|subcommand| {
        name.eq_ignore_ascii_case(subcommand.name.as_bytes()) && subcommand.words.contains(&words)
    });
    match found {
        Some(subcommand) => (subcommand.run)(call),
        None => Err(call.args.subcommand_syntax()),
    }
}

fn help(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(1 + 2 * SUBCOMMANDS.len());
    call.reply
        .status("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for Subcommand {
        name,
        syntax,
        summary,
        ..
    } in SUBCOMMANDS
    {
        call.reply.status(format!("{name} {syntax}").trim_end());
        call.reply.status(&format!("    {summary}"));
    }
    Ok(())
}

fn ok(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.ok();
    Ok(())
}

fn error(call: &mut Call<'_, '_>) -> Result<()> {
    let text = larder_resp::text_of(call.args.bytes()?).replace(['\r', '\n'], " ");
    Err(Error::text(text))
}

/// A switch as C's `atoi` reads it.
fn switch(call: &mut Call<'_, '_>) -> Result<bool> {
    Ok(crate::args::parse_int(call.args.bytes()?).unwrap_or(0) != 0)
}

fn set_active_expire(call: &mut Call<'_, '_>) -> Result<()> {
    let is_on = switch(call)?;
    call.engine.config.active_expire.store(is_on, Relaxed);
    ok(call)
}

fn pause_cron(call: &mut Call<'_, '_>) -> Result<()> {
    let is_on = switch(call)?;
    call.engine.config.cron_paused.store(is_on, Relaxed);
    ok(call)
}

/// Redis lets scripts call all that is forbidden to them. Here it is what tests of scripts need, since
/// a script in a script, or a script that subscribes, is not foreseen.
fn set_disable_deny_scripts(call: &mut Call<'_, '_>) -> Result<()> {
    let is_on = switch(call)?;
    call.engine.config.scripts_may_debug.store(is_on, Relaxed);
    ok(call)
}

fn set_skip_checksums(call: &mut Call<'_, '_>) -> Result<()> {
    let is_on = switch(call)?;
    call.engine.config.skips_checksums.store(is_on, Relaxed);
    ok(call)
}

fn sleep(call: &mut Call<'_, '_>) -> Result<()> {
    let seconds = strtod(call.args.bytes()?).unwrap_or(0.0);
    // What is no time is none.
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let sleep = call.engine.config.host().sleep;
    let sleep = sleep.ok_or_else(|| Error::text("ERR nobody here can sleep"))?;
    sleep(time);
    ok(call)
}
