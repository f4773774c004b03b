//! What clients of Valkey say of themselves: what they can do, and that they bring data from another
//! server.

use std::sync::atomic::Ordering::Relaxed;

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
        summary: "Has the client bring data from another server, or not: while `import-mode` is on, \
                  it sees keys that have expired. Others don't, but they stay.",
        complexity: "O(1)",
        since: "8.1.0",
    },
];

fn capa(call: &mut Call<'_, '_>) -> Result<()> {
    let mut capabilities = call.args.rest();
    if let Some(client) = call.session.client()
        && capabilities.any(|capability| capability.eq_ignore_ascii_case(b"redirect"))
    {
        client.allow_redirection();
    }
    call.reply.ok();
    Ok(())
}

fn import_source(call: &mut Call<'_, '_>) -> Result<()> {
    let is_off = call.args.option("OFF");
    if !is_off && !call.engine.shards.imports().load(Relaxed) {
        return Err(Error::text("ERR Server is not in import mode"));
    }
    if !is_off && !call.args.option("ON") {
        return Err(Error::Syntax);
    }
    if let Some(client) = call.session.client() {
        client.set_importing(!is_off);
    }
    call.reply.ok();
    Ok(())
}
