//! What clients of Valkey say of themselves, and what it means here: nothing.

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "CLIENT CAPA",
        run: capa,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: Flags::NO_SCRIPT,
        syntax: "capability [capability ...]",
        summary: "Says what the client can do: be sent to another server, which is not done here.",
        complexity: "O(n), n the number of capabilities.",
        since: "8.0.0",
    },
    Row {
        name: "CLIENT IMPORT-SOURCE",
        run: import_source,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: Flags::NO_SCRIPT,
        syntax: "<ON | OFF>",
        summary: "Has the client bring data from another server, or not: ON is refused, since the \
                  server is never in import mode.",
        complexity: "O(1)",
        since: "8.1.0",
    },
];

fn capa(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.ok();
    Ok(())
}

fn import_source(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.args.option("OFF") {
        return Err(Error::text("ERR Server is not in import mode"));
    }
    call.reply.ok();
    Ok(())
}
