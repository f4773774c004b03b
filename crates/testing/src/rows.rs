//! What is known of commands, by the engine's table: it is the same for every store.

use std::collections::HashMap;
use std::sync::OnceLock;

use larder_engine::{Flags, Row, commands};
use larder_store::Command;

/// Whether it may change something: whether it writes, or is a script, which may.
pub(crate) fn may_write(command: &Command) -> bool {
    let flags = flags(command);
    flags.has(Flags::WRITE) || flags.has(Flags::SCRIPT) || flags.has(Flags::MAY_REPLICATE)
}

/// Whether it runs a script whose text or digest is its first argument.
pub(crate) fn is_script(command: &Command) -> bool {
    flags(command).has(Flags::SCRIPT)
}

/// Whether it waits in the store until there is something.
pub(crate) fn waits(command: &Command) -> bool {
    let is_option = |word: &[u8]| word.eq_ignore_ascii_case(b"BLOCK");
    let may_read = command.name().to_ascii_uppercase().starts_with(b"XREAD");
    flags(command).has(Flags::BLOCKING) && (!may_read || command.arguments().iter().any(is_option))
}

/// What a command may do. Nothing in particular if the engine does not know it.
pub(crate) fn flags(command: &Command) -> Flags {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| commands().map(|(_, row)| (row.name, row)).collect());
    let mut words = command.arguments().iter().take(2);
    let mut upper = || Some(String::from_utf8_lossy(words.next()?).to_ascii_uppercase());
    let name = upper().unwrap_or_default();
    let subcommand = upper().map(|second| format!("{name} {second}"));
    { subcommand.and_then(|both| by_name.get(both.as_str())) }
        .or_else(|| by_name.get(name.as_str()))
        .map_or(Flags::NONE, |row| row.flags)
}

/// The names of the commands with all of these flags.
pub(crate) fn names_with(wanted: Flags) -> impl Iterator<Item = &'static str> {
    let rows = commands().map(|(_, row)| row);
    rows.filter(move |row| row.flags.has(wanted))
        .map(|row| row.name)
}
