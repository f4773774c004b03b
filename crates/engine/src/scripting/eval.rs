//! What the commands of scripts do.

use std::sync::Arc;

use super::work::{Bounds, Declared, Work};
use super::{Purpose, Script, Scripts};
use crate::args::parse_int;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long a script's digest is, in hexadecimal digits.
const DIGEST_LEN: usize = 40;

pub(super) fn eval(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, false, evaluated)
}

pub(super) fn eval_ro(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, true, evaluated)
}

pub(super) fn evalsha(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, false, known)
}

pub(super) fn evalsha_ro(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, true, known)
}

fn evaluated(scripts: &Scripts, text: &[u8]) -> Result<Arc<Script>> {
    scripts.load(text, false)
}

fn known(scripts: &Scripts, digest: &[u8]) -> Result<Arc<Script>> {
    scripts.find(digest).ok_or(Error::NoScript)
}

/// Runs the script that `find` finds by the first word. The words behind it are looked at first.
fn run(
    call: &mut Call<'_, '_>,
    is_readonly: bool,
    find: impl FnOnce(&Scripts, &[u8]) -> Result<Arc<Script>>,
) -> Result<()> {
    let word = call.args.bytes()?;
    let names_no_script = call.command.name.starts_with("EVALSHA") && word.len() != DIGEST_LEN;
    if names_no_script {
        return Err(Error::NoScript);
    }
    let count = parse_int(call.args.bytes()?).ok_or(Error::NotAnInteger)?;
    if count < 0 {
        return Err(Error::text("ERR Number of keys can't be negative"));
    }
    let too_many = || Error::text("ERR Number of keys can't be greater than number of args");
    let keys = call.args.take(count as usize).map_err(|_| too_many())?;
    let arguments = call.args.rest();

    let script = &find(&call.engine.scripts, word)?;
    let shebang = script.shebang();
    if is_readonly && shebang.is_some_and(|shebang| !shebang.is_readonly) {
        return Err(Error::text(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    let mut vm = call.engine.scripts.take(Purpose::Scripts)?;
    vm.limit_memory(call.engine.config.script_memory_max());
    let mut session = Session::in_script(call.session);
    let work = Work {
        engine: call.engine,
        session: &mut session,
        keyspace: call.keyspace,
        bounds: script
            .is_bounded
            .then(|| Bounds::new(Declared::Words(keys))),
        is_readonly: is_readonly || shebang.is_some_and(|shebang| shebang.is_readonly),
        may_take_memory: shebang.is_some_and(|shebang| shebang.allows_oom)
            || !call.engine.is_over_limit(),
    };
    let db = work.keyspace.db();
    let answered = vm.run(script, keys.iter(), arguments, work, call.reply);
    call.keyspace.select(db);
    let refusal = answered.as_ref().err();
    call.is_passed_on = refusal.is_some_and(|refusal| session.passes_on(refusal));
    call.engine.scripts.give_back(vm);
    // Before its shards are let go: whoever needed them is not to be refused any more.
    if call.engine.shards.any_busy() {
        call.engine.note_overdue_scripts(call.keyspace.ticks());
    }
    answered
}

pub(super) fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    let threshold_ms = call.engine.config.script_busy_ms();
    let watchdogs = &call.engine.scripts.watchdogs;
    watchdogs.kill(Purpose::Scripts, call.keyspace.ticks(), threshold_ms)?;
    call.reply.ok();
    Ok(())
}

pub(super) fn load(call: &mut Call<'_, '_>) -> Result<()> {
    let script = call.engine.scripts.load(call.args.bytes()?, true)?;
    call.reply.bulk(script.name().as_bytes());
    Ok(())
}

pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<()> {
    let digests = call.args.rest();
    call.reply.array(digests.len());
    for digest in digests {
        call.reply
            .int(i64::from(call.engine.scripts.find(digest).is_some()));
    }
    Ok(())
}

pub(super) fn flush(call: &mut Call<'_, '_>) -> Result<()> {
    let has_option = !call.args.is_empty();
    let is_option = call.args.option("ASYNC") || call.args.option("SYNC");
    if (has_option && !is_option) || !call.args.is_empty() {
        return Err(Error::text(
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
        ));
    }
    call.engine.scripts.flush();
    call.reply.ok();
    Ok(())
}

pub(super) fn debug(call: &mut Call<'_, '_>) -> Result<()> {
    match () {
        () if call.args.option("NO") => call.reply.ok(),
        () if call.args.option("YES") || call.args.option("SYNC") => {
            return Err(Error::text("ERR Larder has no debugger for scripts"));
        }
        () => return Err(Error::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
    Ok(())
}

pub(super) fn show(call: &mut Call<'_, '_>) -> Result<()> {
    let script = call.engine.scripts.find(call.args.bytes()?);
    let script = script.ok_or(Error::text("NOSCRIPT No matching script."))?;
    call.reply.bulk(&script.text);
    Ok(())
}
