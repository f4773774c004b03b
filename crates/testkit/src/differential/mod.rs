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
//! Requests are made from the syntax in the row of each command, so a new command is tested as soon
//! as it stands in the table. `program` says which commands are left out, and `compare` which
//! differences are meant, each with the reason.

mod compare;
mod events;
mod next;
mod program;
mod run;
mod syntax;
mod values;

use std::collections::BTreeMap;

use program::Programs;
use run::Sides;

/// The words of a request.
pub(crate) type Words = Vec<Vec<u8>>;

/// A request of a program.
#[derive(Clone, Debug)]
struct Step {
    /// The connection, 0 or 1.
    client: usize,
    words: Words,
}

/// How many different differences are told before the run ends.
const DIFFERENCES_MAX: usize = 25;

/// A run of random programs.
#[derive(Clone, Copy, Debug)]
pub struct Differential {
    /// The seed of the first program. The others follow.
    pub seed: u64,
    /// How many programs.
    pub programs: u64,
}

impl Differential {
    /// Runs the programs on the engine and on a real server. If there is none, that is said on
    /// standard error, and nothing is run.
    ///
    /// # Errors
    ///
    /// The differences, as a text for people: each with its seed and the shortest program found.
    pub fn check(self) -> Result<(), String> {
        let Some(mut sides) = Sides::start() else {
            return Ok(());
        };
        let programs = Programs::new();
        let mut told = BTreeMap::new();
        for seed in self.seed..self.seed.saturating_add(self.programs) {
            let program = programs.program(seed);
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
            true => Ok(()),
            false => Err(told.into_values().collect::<Vec<_>>().join("\n")),
        }
    }
}
