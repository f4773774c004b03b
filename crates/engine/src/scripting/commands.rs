//! EVAL and its kin.

use crate::command::Command;

pub(crate) const COMMANDS: &[Command] = &[];
