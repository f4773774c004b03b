//! MODULE, as a server answers that has no modules and may load none.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "MODULE LIST",
        run: list,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Lists the modules: there are none.",
        complexity: "O(1)",
        since: "4.0.0",
    },
    protected(
        "MODULE LOAD",
        Arity::AtLeast(3),
        "path [arg [arg ...]]",
        "4.0.0",
    ),
    protected(
        "MODULE LOADEX",
        Arity::AtLeast(3),
        "path [CONFIG name value [CONFIG name value ...]] [ARGS args [ARGS args ...]]",
        "7.0.0",
    ),
    protected("MODULE UNLOAD", Arity::Exactly(3), "name", "4.0.0"),
    help::row("MODULE HELP", "5.0.0"),
];

/// A subcommand that only those may use whom `enable-module-command` allows it: nobody.
const fn protected(
    name: &'static str,
    arity: Arity,
    syntax: &'static str,
    since: &'static str,
) -> Row {
    Row {
        name,
        run: refuse,
        arity,
        keys: KeySpec::None,
        flags: ADMIN,
        syntax,
        summary: "Refused: there are no modules.",
        complexity: "O(1)",
        since,
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(0);
    Ok(())
}

fn refuse(call: &mut Call<'_, '_>) -> Result<()> {
    admit(call.command)
}

/// Refuses the subcommands that nobody may use; all else may run.
pub(super) fn admit(command: &Row) -> Result<()> {
    match command.name {
        "MODULE LOAD" | "MODULE LOADEX" | "MODULE UNLOAD" => Err(Error::text(
            "ERR MODULE command not allowed. If the enable-module-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        )),
        _ => Ok(()),
    }
}
