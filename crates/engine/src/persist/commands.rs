//! SAVE and its like.
//!
//! Where nothing keeps what is saved, as in a store within a process, they are refused. To say `OK` there would
//! be to say that the data is safe, and whoever asks (a backup, an upgrade) goes on from there to end the
//! process.

use super::saving::Then;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::waiting::{Nothing, Wait};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SAVE",
        run: save,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: ADMIN.and(Flags::NO_MULTI).and(Flags::WHOLE),
        syntax: "",
        summary: "Writes all keys into the file `dbfilename`, and answers when that is done. Others go on meanwhile.",
        complexity: "O(n), n the number of keys, beside the other commands.",
        since: "1.0.0",
    },
    Row {
        name: "BGSAVE",
        run: bgsave,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: ADMIN.and(Flags::WHOLE),
        syntax: "[SCHEDULE | CANCEL]",
        summary: "Begins to write all keys, as they are now, into the file `dbfilename`; or gives that up.",
        complexity: "O(1), and O(n) beside the other commands, n the number of keys.",
        since: "1.0.0",
    },
    Row {
        name: "BGREWRITEAOF",
        run: bgrewriteaof,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Refused: there is no append-only file.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "LASTSAVE",
        run: lastsave,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::FAST,
        syntax: "",
        summary: "Gives the time of the last save, in seconds, or that of the start.",
        complexity: "O(1)",
        since: "1.0.0",
    },
];

fn save(call: &mut Call<'_, '_>) -> Result<()> {
    begin(call)?;
    call.wait_for(Wait::for_time(None, Nothing::Saved));
    Ok(())
}

fn bgsave(call: &mut Call<'_, '_>) -> Result<()> {
    let cancels = call.args.option("CANCEL");
    // Nothing but another snapshot could be in its way, and beside that none is scheduled.
    let _ = cancels || call.args.option("SCHEDULE");
    call.args.end()?;
    if !cancels {
        begin(call)?;
        call.reply.status("Background saving started");
        return Ok(());
    }
    match call.engine.cancel_snapshot() {
        true => call.reply.status("Background saving cancelled"),
        false => {
            return Err(Error::text(
                "ERR Background saving is currently not in progress or scheduled",
            ));
        }
    }
    Ok(())
}

fn begin(call: &mut Call<'_, '_>) -> Result<()> {
    let now = call.keyspace.now();
    call.engine
        .begin_snapshot(call.keyspace, Then::Nothing, now)
}

fn bgrewriteaof(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(
        "ERR nothing is rewritten: there is no append-only file (appendonly no)",
    ))
}

fn lastsave(call: &mut Call<'_, '_>) -> Result<()> {
    let started_s = call.engine.stats.started_s();
    let last_s = call.engine.saving.state().last_s(started_s);
    call.reply.int(last_s.cast_signed());
    Ok(())
}
