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
                let commands: Vec<String> = commands.iter().map(shortened).collect();
                f.write_str(&commands.join("; "))?;
                match fault {
                    Some(fault) => write!(f, " ({fault})"),
                    None => Ok(()),
                }
            }
            Asking::Happened(fault) => fault.fmt(f),
        }
    }
}

/// The most characters of a command that are shown, and of one of its arguments.
const SHOWN: usize = 160;
const ARGUMENT_SHOWN: usize = 48;

/// The length of a script's digest, and how much of it is enough to know it again.
const DIGEST: usize = 40;
const DIGEST_SHOWN: usize = 8;

/// A command as it stands in a report: what is long is cut.
fn shortened(command: &Command) -> String {
    let words = command.arguments().iter().map(|argument| {
        let text = String::from_utf8_lossy(argument);
        let is_digest = text.len() == DIGEST && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shown = if is_digest {
            DIGEST_SHOWN
        } else {
            ARGUMENT_SHOWN
        };
        text.chars().take(shown).collect::<String>()
    });
    let words: Vec<String> = words.collect();
    let text: String = words.join(" ").chars().take(SHOWN).collect();
    text.escape_debug().to_string()
}
