//! Lua scripts.

pub(crate) mod commands;

use larder_resp::Arguments;

use crate::command::Command;

/// The scripts that have been loaded.
#[derive(Debug, Default)]
pub(crate) struct Scripts {}

impl Scripts {
    /// Whether the script of this request says that it touches only the keys that it declares.
    pub(crate) fn is_bounded(&self, _command: &Command, _arguments: Arguments<'_>) -> bool {
        false
    }
}
