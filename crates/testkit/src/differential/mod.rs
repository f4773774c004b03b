//! Differential testing: random programs have to be answered alike by the engine and by a real
//! `redis-server`, and to leave the same behind.
//!
//! ```text
//! commands() ── syntax ── program(seed) ── run ── engine in this process ──┐
//!                  │                        │                              ├─ compare
//!               values                      └──── redis-server ────────────┘     │
//!                                                                    shrink, report
//! ```
//!
//! The next request is sent when all that the one before it has caused has come, on all connections of
//! both sides: so who was served, and when, is compared with each step.
//!
//! Requests are made from the syntax in the row of each command, so a new command is tested as soon
//! as it stands in the table. `program` says which commands are left out, and `compare` which
//! differences are meant, each with the reason.

mod client;
mod compare;
mod difference;
mod events;
mod next;
mod program;
mod run;
mod state;
mod syntax;
mod values;

use std::collections::BTreeMap;

pub use program::Wild;

use program::Programs;
use run::Sides;

use crate::server::ServerKind;

/// The words of a request.
pub(crate) type Words = Vec<Vec<u8>>;

/// A request of a program.
#[derive(Clone, Debug)]
struct Step {
    /// The connection, counted from 0.
    client: usize,
    words: Words,
}

/// What random programs are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Every command, mostly of one connection, with a second one beside it.
    Commands,
    /// Connections that wait, serve each other, watch, listen, and end, in a fixed order.
    Connections,
    /// Scripts: what Lua computes, what passes between it and commands, and what is answered.
    Scripts,
}

/// How many different differences are told before the run ends.
const DIFFERENCES_MAX: usize = 25;

/// A run of random programs.
#[derive(Clone, Copy, Debug)]
pub struct Differential {
    /// What the programs are about.
    pub subject: Subject,
    /// Whose server the engine is compared to.
    pub server: ServerKind,
    /// The seed of the first program. The others follow.
    pub seed: u64,
    /// How many programs.
    pub programs: u64,
}

impl Differential {
    /// Runs the programs on the engine and on a real server. If there is none, that is said on
    /// standard error, and nothing is run. Answers how many requests the programs had.
    ///
    /// # Errors
    ///
    /// The differences, as a text for people: each with its seed and the shortest program found.
    pub fn check(self) -> Result<u64, String> {
        let Some(mut sides) = Sides::start(self.server) else {
            return Ok(0);
        };
        let mut requests = 0;
        let programs = Programs::new(self.server);
        let mut told = BTreeMap::new();
        for seed in self.seed..self.seed.saturating_add(self.programs) {
            let program = programs.program(self.subject, seed);
            requests += program.len() as u64;
            let Some(difference) = sides.run(&program) else {
                continue;
            };
            if told.contains_key(&difference.class) {
                continue;
            }
            let text = sides.shrink(program, difference.clone());
            told.insert(difference.class, format!("seed {seed}\n{text}"));
            if told.len() == DIFFERENCES_MAX {
                break;
            }
        }
        match told.is_empty() {
            true => Ok(requests),
            false => Err(told.into_values().collect::<Vec<_>>().join("\n")),
        }
    }
}
