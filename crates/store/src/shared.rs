//! What may not be sent to a store, because all callers share its connection.
//!
//! A store inside the process has no connection that could be spoiled. It refuses the same, so that
//! a program finds out before it moves to a server.

use crate::{Command, Error};

/// Refuses a command that would change the connection for everybody.
///
/// # Examples
///
/// ```
/// use larder_store::{Command, refuse_state};
///
/// assert!(refuse_state(&Command::new("SELECT").arg(1)).is_some());
/// assert!(refuse_state(&Command::new("GET").arg("a")).is_none());
/// ```
#[inline]
pub fn refuse_state(command: &Command) -> Option<Error> {
    // By length, since this is asked for every command.
    let names: &[&'static str] = match command.name().len() {
        4 => &["EXEC", "AUTH", "QUIT", "SYNC"],
        5 => &["MULTI", "WATCH", "HELLO", "RESET", "PSYNC"],
        6 => return refuse_client(command).or_else(|| refuse_one_of(&["SELECT"], command)),
        7 => &["DISCARD", "UNWATCH", "MONITOR"],
        9 => &["SUBSCRIBE"],
        10 => &["PSUBSCRIBE", "SSUBSCRIBE"],
        11 => &["UNSUBSCRIBE"],
        12 => &["PUNSUBSCRIBE", "SUNSUBSCRIBE"],
        _ => return None,
    };
    refuse_one_of(names, command)
}

/// Refuses a batch that would leave its connection in another state.
pub fn refuse_batch(commands: &[Command]) -> Option<Error> {
    let mut is_open = false;
    for command in commands {
        if is_named(command, "MULTI") && !is_open {
            is_open = true;
        } else if is_open && (is_named(command, "EXEC") || is_named(command, "DISCARD")) {
            is_open = false;
        } else if let Some(error) = refuse_state(command) {
            return Some(error);
        }
    }
    is_open.then(|| Error::not_sent("the batch has a MULTI without an EXEC"))
}

fn is_named(command: &Command, name: &str) -> bool {
    command.name().eq_ignore_ascii_case(name.as_bytes())
}

fn refuse_one_of(names: &[&'static str], command: &Command) -> Option<Error> {
    let name = names.iter().find(|name| is_named(command, name))?;
    Some(refusal(name))
}

/// Of `CLIENT`, what changes which answers come, and what comes without being asked for.
fn refuse_client(command: &Command) -> Option<Error> {
    if !is_named(command, "CLIENT") {
        return None;
    }
    let word = command.arguments().get(1)?;
    [
        ("REPLY", "CLIENT REPLY"),
        ("TRACKING", "CLIENT TRACKING"),
        ("CACHING", "CLIENT CACHING"),
    ]
    .into_iter()
    .find(|(subcommand, _)| word.eq_ignore_ascii_case(subcommand.as_bytes()))
    .map(|(_, name)| refusal(name))
}

#[cold]
fn refusal(name: &str) -> Error {
    Error::not_sent(format_args!(
        "{name} changes the state of a connection, and this one is shared; send MULTI ... EXEC as \
         one batch with `call_all`, and listen with `subscribe`"
    ))
}
