//! Where a command goes in a store that is spread over several servers.

use crate::{Command, Error, slot};

/// Commands without keys that say, or do, something else on each server.
const ABOUT_ONE: [&str; 10] = [
    "CONFIG",
    "DBSIZE",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION",
    "KEYS",
    "RANDOMKEY",
    "SCAN",
    "SCRIPT",
    "SWAPDB",
];

/// The slot in which the keys of a command stand; `None` if it has no keys, and any server will do.
///
/// # Errors
///
/// [`Error::Invalid`] if its keys stand in different slots, or if it is about one server and does not
/// say which.
pub fn slot_of(command: &Command) -> Result<Option<u16>, Error> {
    let mut slots = command.keys().map(slot);
    match slots.next() {
        Some(first) if slots.all(|slot| slot == first) => Ok(Some(first)),
        Some(_) => Err(Error::invalid(format_args!(
            "the keys of this {} are in different slots of a cluster (CROSSSLOT): keys that are used \
             together need the same name in braces, as {{user.42}}:a and {{user.42}}:b",
            String::from_utf8_lossy(command.name())
        ))),
        None if command.delivery().part.is_some() => Ok(None),
        None => match about_one(command) {
            Some(name) => Err(Error::invalid(format_args!(
                "{name} is about one server, and a cluster has several: say which with `Command::on`, \
                 of those that `Store::parts` names"
            ))),
            None => Ok(None),
        },
    }
}

fn about_one(command: &Command) -> Option<&'static str> {
    let is_named = |name: &&str| command.name().eq_ignore_ascii_case(name.as_bytes());
    ABOUT_ONE.into_iter().find(|name| is_named(name))
}
