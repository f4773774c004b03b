//! Saving, as a server answers that keeps nothing on disk: what would have to save is refused.
//!
//! A Redis without save points saves all the same when it is told to. To say `OK` here would be to say
//! that the data is safe, and whoever asks (a backup, an upgrade) goes on from there to end the process.

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SAVE",
        run: save,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: ADMIN.and(Flags::NO_MULTI),
        syntax: "",
        summary: "Refused: nothing is kept on disk.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "BGSAVE",
        run: bgsave,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "[SCHEDULE | CANCEL]",
        summary: "Refused: nothing is kept on disk.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "BGREWRITEAOF",
        run: save,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Refused: nothing is kept on disk.",
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
        summary: "Gives the time of the last save, in seconds: that of the start, when there was nothing \
                  to save.",
        complexity: "O(1)",
        since: "1.0.0",
    },
];

fn save(_: &mut Call<'_, '_>) -> Result<()> {
    Err(refusal())
}

fn bgsave(call: &mut Call<'_, '_>) -> Result<()> {
    let cancels = call.args.option("CANCEL");
    let _ = cancels || call.args.option("SCHEDULE");
    call.args.end()?;
    match cancels {
        true => Err(Error::text(
            "ERR Background saving is currently not in progress or scheduled",
        )),
        false => save(call),
    }
}

fn lastsave(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.int(call.engine.stats.started_s() as i64);
    Ok(())
}

/// The refusal of whoever wants the data on disk.
pub(super) fn refusal() -> Error {
    Error::text("ERR nothing is saved: Larder keeps nothing on disk (save \"\", appendonly no)")
}
