//! What a store was asked, and answered.

use std::fmt;

use larder_store::{Command, Error, Value};

use crate::fault::Fault;

/// What a pipeline is answered: a result for each command, or an error if nothing was answered.
pub(crate) type Answers = Result<Vec<Result<Value, Error>>, Error>;

/// What was asked of a store, or happened to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Asking {
    /// Commands: one, or those of a pipeline.
    Commands {
        /// What was sent, or was to be.
        commands: Vec<Command>,
        /// What happened to one of them.
        fault: Option<Fault>,
    },
    /// Something that happened to the store.
    Happened(Fault),
}

impl Asking {
    /// What it is, without its arguments.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Asking::Commands { commands, .. } => { commands.iter() }
                .map(|command| String::from_utf8_lossy(command.name()).into_owned())
                .collect(),
            Asking::Happened(fault) => vec![fault.to_string()],
        }
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asking::Commands { commands, fault } => {
                for (place, command) in commands.iter().enumerate() {
                    let separator = if place == 0 { "" } else { "; " };
                    let text: String = command.to_string().chars().take(120).collect();
                    write!(f, "{separator}{}", text.escape_debug())?;
                }
                match fault {
                    Some(fault) => write!(f, " ({fault})"),
                    None => Ok(()),
                }
            }
            Asking::Happened(fault) => fault.fmt(f),
        }
    }
}
