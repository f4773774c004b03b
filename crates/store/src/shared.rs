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
    // By length and first letter, which leave one name: this is asked for every command.
    let word = command.name();
    let name = match (word.len(), word.first()?.to_ascii_uppercase()) {
        (4, b'A') => "AUTH",
        (4, b'E') => "EXEC",
        (4, b'Q') => "QUIT",
        (4, b'S') => "SYNC",
        (5, b'H') => "HELLO",
        (5, b'M') => "MULTI",
        (5, b'P') => "PSYNC",
        (5, b'R') => "RESET",
        (5, b'W') => "WATCH",
        (6, b'C') => return refuse_client(command),
        (6, b'S') => "SELECT",
        (7, b'D') => "DISCARD",
        (7, b'M') => "MONITOR",
        (7, b'U') => "UNWATCH",
        (9, b'S') => "SUBSCRIBE",
        (10, b'P') => "PSUBSCRIBE",
        (10, b'S') => "SSUBSCRIBE",
        (11, b'U') => "UNSUBSCRIBE",
        (12, b'P') => "PUNSUBSCRIBE",
        (12, b'S') => "SUNSUBSCRIBE",
        _ => return None,
    };
    is_named(command, name).then(|| refusal(name))
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
    is_open.then(|| Error::invalid("the batch has a MULTI without an EXEC"))
}

fn is_named(command: &Command, name: &str) -> bool {
    command.name().eq_ignore_ascii_case(name.as_bytes())
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
    Error::invalid(format_args!(
        "{name} changes the state of a connection, and this one is shared; send MULTI ... EXEC as \
         one batch with `call_all`, and listen with `subscribe`"
    ))
}
