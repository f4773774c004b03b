//! `redis`: what scripts have of the server, apart from its commands.

use std::ffi::c_int;

use larder_resp::ArgumentBuffer;
use mlua::Table;
use sha1_smol::Sha1;

use super::Purpose;
use super::calls;
use super::native::{Context, Functions, Maker, Raise};
use super::stack::Slot;
use crate::admin::REDIS_VERSION;
use crate::commands;
use crate::text::c_text;

const FUNCTIONS: Functions = &[
    ("call", calls::call),
    ("pcall", calls::pcall),
    ("sha1hex", sha1hex),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("setresp", setresp),
    ("set_repl", set_repl),
    ("acl_check_cmd", acl_check_cmd),
    ("log", log),
];

/// What only scripts have that are run by EVAL, not functions.
const OF_SCRIPTS: Functions = &[
    ("replicate_commands", replicate_commands),
    ("breakpoint", breakpoint),
    ("debug", debug),
];

/// What a library of functions may do while it is loaded, apart from registering them.
const WHILE_LOADING: Functions = &[("log", log)];

const LOG_LEVELS: &[(&str, u32)] = &[
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
];

const CONSTANTS: &[(&str, u32)] = &[
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", REPL_ALL),
];

const REPL_ALL: u32 = 3;

/// The table `redis`.
pub(super) fn library(maker: &Maker<'_>, purpose: Purpose) -> mlua::Result<Table> {
    let redis = maker.library(FUNCTIONS)?;
    if purpose == Purpose::Scripts {
        maker.add(&redis, OF_SCRIPTS)?;
    }
    for &(name, value) in CONSTANTS {
        redis.set(name, value)?;
    }
    add_facts(&redis)?;
    Ok(redis)
}

/// The table `redis` as a library of functions has it while it is loaded, with `more` functions.
pub(super) fn loading_library(maker: &Maker<'_>, more: Functions) -> mlua::Result<Table> {
    let redis = maker.library(WHILE_LOADING)?;
    maker.add(&redis, more)?;
    add_facts(&redis)?;
    Ok(redis)
}

/// Adds what is known at all times.
fn add_facts(redis: &Table) -> mlua::Result<()> {
    for &(name, value) in LOG_LEVELS {
        redis.set(name, value)?;
    }
    redis.set("REDIS_VERSION", REDIS_VERSION)?;
    redis.set("REDIS_VERSION_NUM", version_number())
}

/// A version such as 7.2.0 as 0x00070200.
fn version_number() -> u32 {
    REDIS_VERSION
        .split('.')
        .fold(0, |number, part| (number << 8) | part.parse().unwrap_or(0))
}

fn refuse<T>(text: &str) -> Result<T, Raise> {
    Err(Raise::Refusal(format!("ERR {text}")))
}

fn sha1hex(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if context.stack.len() != 1 {
        return refuse("wrong number of arguments");
    }
    let digest = Sha1::from(context.stack.read_text(1).unwrap_or_default());
    context.stack.push_text(digest.hexdigest().as_bytes());
    Ok(1)
}

/// The only argument, if it is a text; else what is answered instead of raising an error.
fn only_text(context: &mut Context<'_, '_, '_>) -> Option<Vec<u8>> {
    if context.stack.len() == 1
        && let Slot::Text(text) = context.stack.get(1)
    {
        return Some(text.to_vec());
    }
    context
        .stack
        .push_text(b"ERR wrong number or type of arguments");
    context.stack.tag("err");
    None
}

/// `redis.error_reply(text)`: a text of one word gets the code `ERR`. It is a text of C, which ends at a
/// zero.
fn error_reply(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let Some(text) = only_text(context) else {
        return Ok(1);
    };
    let text = c_text(&text);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (code, message) = match text.iter().position(|byte| *byte == b' ') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (&b"ERR"[..], text),
    };
    let line = [code, b" ", trim_line_ends(message)].concat();
    context.stack.push_text(&line);
    context.stack.tag("err");
    Ok(1)
}

/// A text without the ends of lines around it.
fn trim_line_ends(text: &[u8]) -> &[u8] {
    let is_other = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    match (
        text.iter().position(is_other),
        text.iter().rposition(is_other),
    ) {
        (Some(first), Some(last)) => &text[first..=last],
        _ => b"",
    }
}

fn status_reply(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if let Some(text) = only_text(context) {
        context.stack.push_text(&text);
        context.stack.tag("ok");
    }
    Ok(1)
}

/// `redis.setresp`: the types in which commands answer from here on.
fn setresp(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if context.stack.len() != 1 {
        return refuse("redis.setresp() requires one argument.");
    }
    context.running.work.session.resp3 = match context.stack.read_number(1) {
        Some(version) if version.trunc() == 2.0 => false,
        Some(version) if version.trunc() == 3.0 => true,
        _ => return refuse("RESP version must be 2 or 3."),
    };
    Ok(0)
}

/// `redis.set_repl`: effects go nowhere that a script could choose.
fn set_repl(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if context.stack.len() != 1 {
        return refuse("redis.set_repl() requires two arguments.");
    }
    let flags = context.stack.read_number(1).unwrap_or(0.0) as i64;
    if !(0..=i64::from(REPL_ALL)).contains(&flags) {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return refuse(text);
    }
    Ok(0)
}

/// `redis.replicate_commands`: effects are what is replicated since Redis 5.
fn replicate_commands(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    context.stack.push_bool(true);
    Ok(1)
}

/// `redis.acl_check_cmd`: whether the caller may run a command. That is not noted in ACL LOG.
fn acl_check_cmd(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    let mut words = ArgumentBuffer::new();
    let len_max = context.memory_max();
    calls::read(context.stack, &mut words, len_max)?;
    let request = words.as_arguments();
    let Ok(command) = commands::find(request) else {
        return refuse("Invalid command passed to redis.acl_check_cmd()");
    };
    let is_allowed = context.running.work.session.may_run(command, request);
    context.stack.push_bool(is_allowed);
    Ok(1)
}

/// `redis.log`: whoever listens to the traces of this crate hears it.
fn log(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if context.stack.len() < 2 {
        return refuse("redis.log() requires two arguments or more.");
    }
    let Some(level) = context.stack.read_number(1) else {
        return refuse("First argument must be a number (log level).");
    };
    let mut texts = Vec::new();
    for place in 2..=context.stack.len() {
        if let Some(text) = context.stack.read_text(place) {
            texts.push(String::from_utf8_lossy(text).into_owned());
        }
    }
    let text = texts.join(" ");
    match level as i64 {
        0 => tracing::trace!(target: "larder::script", "{text}"),
        1 => tracing::debug!(target: "larder::script", "{text}"),
        2 => tracing::info!(target: "larder::script", "{text}"),
        3 => tracing::warn!(target: "larder::script", "{text}"),
        _ => return refuse("Invalid debug level."),
    }
    Ok(0)
}

/// `redis.breakpoint`: nobody debugs the script.
fn breakpoint(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    context.stack.push_bool(false);
    Ok(1)
}

/// `redis.debug`: nobody debugs the script.
fn debug(_: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    Ok(0)
}
