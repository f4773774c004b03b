//! What administrators ask: INFO, CONFIG, COMMAND, MEMORY and their kin.

pub(crate) mod config;
pub(crate) mod stats;

use crate::command::Command;

/// The version of Redis whose behaviour the engine has.
pub(crate) const REDIS_VERSION: &str = "7.2.0";

pub(crate) const COMMANDS: &[Command] = &[];
