//! CLIENT and its subcommands.

use crate::command::Command;
use crate::error::{Error, Result};

pub(crate) const COMMANDS: &[Command] = &[];

/// A name for a connection: visible ASCII without spaces, as Redis wants it.
pub(super) fn client_name(name: &[u8]) -> Result<String> {
    match name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        true => Ok(String::from_utf8_lossy(name).into_owned()),
        false => Err(Error::text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        )),
    }
}
