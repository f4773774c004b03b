//! Differential testing: random programs have to be answered alike by the engine and by a real
//! server - Redis 7.0, Redis 8 or Valkey -, and to leave the same behind.
//!
//! ```text
//! commands() ── syntax ── program(seed) ── run ── engine in this process ──┐
//!               values, known               │                              ├─ compare
//!                                           └──── a real server ───────────┘     │
//!                                                                    shrink, report
//! ```
//!
//! The next request is sent when all that the one before it has caused has come, on all connections of
//! both sides: so who was served, and when, is compared with each step.
//!
//! Requests are made from the syntax in the row of each command, so a new command is tested as soon
//! as it stands in the table, on each server that says that it has the command and its options (`known`).
//! `program` says which commands are left out and which requests a server takes otherwise, and `meant` and
//! `compare` which differences are meant, each with the reason.

mod client;
mod compare;
mod difference;
mod events;
mod family;
mod functions;
mod known;
mod meant;
mod named;
mod next;
mod parameters;
mod program;
mod run;
mod scripts;
mod state;
mod syntax;
mod tally;
mod values;

use std::collections::HashSet;

pub use family::Family;
pub use program::Wild;
pub use tally::Tally;

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

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many programs.
    Programs(u64),
    /// As many programs as it takes until this many requests of the family were answered.
    Requests(u64),
}

/// A run of random programs.
#[derive(Clone, Copy, Debug)]
pub struct Differential {
    /// What the programs are about.
    pub subject: Subject,
    /// The one family that they are about; without it each is about one of several, or about none.
    pub family: Option<Family>,
    /// Whose server the engine is compared to.
    pub server: ServerKind,
    /// The seed of the first program. The others follow.
    pub seed: u64,
    /// When the run ends, if not by differences.
    pub length: Length,
}

/// What a run has found.
#[derive(Debug)]
pub struct Ran {
    /// What was asked, and how it was answered.
    pub tally: Tally,
    /// The differences, as texts for people: each with its seed and the shortest program found.
    pub differences: Vec<String>,
}

impl Differential {
    /// The run about a family: of a million requests, from seed 0, against Redis.
    pub fn about(family: Family) -> Differential {
        Differential {
            subject: family.subject,
            family: Some(family),
            server: ServerKind::Redis,
            seed: 0,
            length: Length::Requests(1_000_000),
        }
    }

    /// Runs the programs on the engine and on a real server. If there is none, that is said on
    /// standard error, and nothing is run.
    ///
    /// Each difference is given to `tell` when it is found. Another one of the same class is not told.
    pub fn run(self, mut tell: impl FnMut(&str)) -> Ran {
        let mut ran = Ran {
            tally: Tally::of(self.family),
            differences: Vec::new(),
        };
        let Some(mut sides) = Sides::start(self.server) else {
            return ran;
        };
        let programs = Programs::new(self.server, &sides.known(), self.family);
        let mut classes = HashSet::new();
        for seed in self.seed.. {
            if self.length.is_reached(&ran.tally) || classes.len() == DIFFERENCES_MAX {
                break;
            }
            let program = programs.program(self.subject, seed);
            let found = sides.run(&program, &mut ran.tally);
            let Some(difference) = found.filter(|found| classes.insert(found.class.clone())) else {
                continue;
            };
            let text = format!("seed {seed}\n{}", sides.shrink(program, difference));
            tell(&text);
            ran.differences.push(text);
        }
        ran
    }
}

impl Length {
    fn is_reached(self, tally: &Tally) -> bool {
        match self {
            Length::Programs(count) => tally.programs() >= count,
            Length::Requests(count) => tally.own_requests() >= count,
        }
    }
}
