//! COMMAND and its subcommands: what the table of commands says, for clients to read.

pub(crate) mod categories;
mod described;
mod docs;
mod facts;
mod info;
mod keys;
mod list;
mod specs;
mod standing;

use super::help;
use crate::command::{Arity, Flags, KeySpec, Row};
#[cfg(feature = "lua")]
pub(crate) use facts::may_run_beside_scripts;

const FLAGS: Flags = Flags::NONE;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "COMMAND",
        run: info::all,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Describes all commands.",
        complexity: "O(n), n the number of commands.",
        since: "2.8.13",
    },
    Row {
        name: "COMMAND COUNT",
        run: info::count,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Counts the commands.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "COMMAND DOCS",
        run: docs::docs,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[command-name [command-name ...]]",
        summary: "Gives the documentation of commands, or of all.",
        complexity: "O(n), n the number of commands.",
        since: "7.0.0",
    },
    Row {
        name: "COMMAND GETKEYS",
        run: keys::getkeys,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "command [arg [arg ...]]",
        summary: "Lists the keys of a request.",
        complexity: "O(n), n the number of its words.",
        since: "2.8.13",
    },
    Row {
        name: "COMMAND GETKEYSANDFLAGS",
        run: keys::getkeysandflags,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "command [arg [arg ...]]",
        summary: "Lists the keys of a request, and whether they are read or written.",
        complexity: "O(n), n the number of its words.",
        since: "7.0.0",
    },
    Row {
        name: "COMMAND INFO",
        run: info::info,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[command-name [command-name ...]]",
        summary: "Describes commands, or all.",
        complexity: "O(n), n the number of commands.",
        since: "2.8.13",
    },
    Row {
        name: "COMMAND LIST",
        run: list::list,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        summary: "Lists the names of commands.",
        complexity: "O(n), n the number of commands.",
        since: "7.0.0",
    },
    help::row("COMMAND HELP", "5.0.0"),
];
