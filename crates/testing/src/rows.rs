//! What is known of commands by their shapes: it is the same for every store.

use larder_store::Command;
use larder_store::shape::{self, Flags};

/// Whether it may change something: whether it writes, or is a script, which may.
pub(crate) fn may_write(command: &Command) -> bool {
    let flags = flags(command);
    flags.has(Flags::WRITE) || flags.has(Flags::SCRIPT) || flags.has(Flags::MAY_REPLICATE)
}

/// Whether it runs a script whose text or digest is its first argument.
pub(crate) fn is_script(command: &Command) -> bool {
    shape::of(command.arguments()).is_some_and(|shape| shape.name.starts_with("EVAL"))
}

/// Whether it waits in the store until there is something.
pub(crate) fn waits(command: &Command) -> bool {
    command.waits().is_some()
}

/// What a command may do. Nothing in particular if it is not known.
pub(crate) fn flags(command: &Command) -> Flags {
    shape::of(command.arguments()).map_or(Flags::NONE, |shape| shape.flags)
}

/// The names of the commands with all of these flags.
pub(crate) fn names_with(wanted: Flags) -> impl Iterator<Item = &'static str> {
    shape::all()
        .filter(move |shape| shape.flags.has(wanted))
        .map(|shape| shape.name)
}
