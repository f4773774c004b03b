//! Running a program on both sides, and making it shorter.

use std::sync::LazyLock;

use larder_engine::Flags;

use super::Step;
use super::client::Client;
use super::compare::depends_on_moments;
use super::difference::{Difference, Served};
use super::events::Listeners;
use super::known::Known;
use super::named::is;
use super::next::PATIENCE;
use super::parameters;
use super::state::State;
use super::tally::Tally;
use super::values;
use crate::server::ServerKind;
use crate::transcript::target::{InProcess, Open, Real};

/// What a client is told is not compared if this occurs: Redis takes keys of the same name in all
/// databases for one, does not tell of databases that are swapped, removes what has expired at its own
/// time, and before 7.2 took the keys of a script for those of its commands.
const SPECIAL: &[&str] = &[
    "SELECT",
    "SWAPDB",
    "MOVE",
    "DB",
    "EXPIRE",
    "PEXPIRE",
    "EXPIREAT",
    "PEXPIREAT",
    "HEXPIRE",
    "HPEXPIRE",
    "HEXPIREAT",
    "HPEXPIREAT",
    "SETEX",
    "PSETEX",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "EVAL",
    "EVAL_RO",
    "EVALSHA",
    "EVALSHA_RO",
];

/// The engine and a real server.
pub(super) struct Sides {
    ours: InProcess,
    theirs: Box<dyn Open>,
    kind: ServerKind,
    /// Whether a program has changed users or parameters.
    is_changed: bool,
}

impl Sides {
    /// The engine and a server of this kind, if this machine has one.
    pub(super) fn start(kind: ServerKind) -> Option<Sides> {
        Some(Sides {
            ours: InProcess::default(),
            theirs: Real::start(kind)?,
            kind,
            is_changed: true,
        })
    }

    /// What the server knows.
    pub(super) fn known(&mut self) -> Known {
        Known::by(self.theirs.connect().as_mut())
    }

    /// Runs a program from an empty store on. Answers the first difference, unless it is meant.
    pub(super) fn run(&mut self, program: &[Step], tally: &mut Tally) -> Option<Difference> {
        tally.begin();
        let difference = self.first_difference(program, tally)?;
        if difference.is_meant {
            tally.leave();
            return None;
        }
        Some(difference)
    }

    fn first_difference(&mut self, program: &[Step], tally: &mut Tally) -> Option<Difference> {
        self.ours.begin();
        self.theirs.begin();
        self.reset(program);
        let clients = program.iter().map(|step| step.client + 1).max();
        let clients = 0..clients.unwrap_or_default();
        let mut clients: Vec<Client> = clients.map(|_| self.connect()).collect();
        let ids: Vec<_> = clients.iter().map(|client| client.ids.clone()).collect();
        let mut listeners = Listeners::new(self.ours.connect(), self.theirs.connect());
        let trims = program.iter().any(|step| is(&step.words, "LTRIM"));
        clients.iter_mut().for_each(|client| client.trims = trims);
        // Changes that come at once are told at once to whoever is told of all.
        let is_broadcast = |step: &Step| step.words.iter().any(|word| word == b"BCAST");
        let stretch_max = match program.iter().any(is_broadcast) {
            true => 1,
            false => STRETCH_MAX,
        };
        let mut left = program;
        while let Some(first) = left.first() {
            let (steps, after) = left.split_at(stretch(left, stretch_max));
            left = after;
            let sender = first.client;
            if clients[sender].is_waiting || clients[sender].is_closed {
                continue;
            }
            clients[sender].send_to_theirs(steps, &ids);
            for step in steps {
                clients[sender].send_to_ours(&step.words, &ids);
                // One request may have answers for many: for those that it serves or ends. What is meant for one
                // of them decides what is left for the others.
                let differences = clients.iter_mut().filter_map(Client::answers);
                let difference = differences.min_by_key(|difference| !difference.is_meant);
                tally.add(&step.words, clients[sender].is_content);
                if difference.is_some() {
                    return difference;
                }
                if clients[sender].is_closed {
                    break;
                }
            }
            let is_answered = !clients[sender].is_waiting;
            let last = &steps[steps.len() - 1].words;
            let events = listeners.events(is_answered);
            let served = Served {
                by_swap: clients[sender].swaps_databases(),
                in_group: clients.iter().any(|client| client.has_waited_in_group),
            };
            let difference = match steps.iter().any(|step| depends_on_moments(&step.words)) {
                true => None,
                false => Difference::in_events(last, self.kind, served, events),
            };
            let difference = difference.or_else(|| clients.iter_mut().find_map(Client::rest));
            if difference.is_some() {
                return difference;
            }
        }
        let mut control = self.connect();
        let ended = clients
            .iter_mut()
            .find_map(|client| client.unblock(&mut control));
        let told = clients.iter_mut().find_map(Client::told);
        let told = told.filter(|_| !program.iter().any(is_special));
        ended
            .or(told)
            .or_else(|| State::after(program, &mut control).difference())
    }

    /// Takes back what a program of before may have done to the server itself.
    fn reset(&mut self, program: &[Step]) {
        let has = |name| program.iter().any(|step| is(&step.words, name));
        if std::mem::replace(&mut self.is_changed, has("CONFIG") || has("ACL")) {
            let mut theirs = self.theirs.connect();
            let deluser = ["ACL", "DELUSER", "u1", "u2", "u3"];
            let deluser = deluser
                .iter()
                .map(|word| word.as_bytes().to_vec())
                .collect();
            for words in [parameters::reset(), deluser] {
                theirs.send(&words);
                theirs.receive_bytes(PATIENCE);
            }
        }
    }

    fn connect(&mut self) -> Client {
        Client::new(self.ours.connect(), self.theirs.connect(), self.kind)
    }

    /// The shortest program with the same kind of difference that leaving out steps leads to, as a
    /// text with the difference itself.
    pub(super) fn shrink(&mut self, mut program: Vec<Step>, mut found: Difference) -> String {
        let mut len = program.len();
        while len > 0 {
            let mut start = program.len();
            while start > 0 {
                start = start.saturating_sub(len);
                let end = (start + len).min(program.len());
                let mut shorter = program.clone();
                shorter.drain(start..end);
                if let Some(same) = self
                    .run(&shorter, &mut Tally::default())
                    .filter(|other| other.class == found.class)
                {
                    (program, found) = (shorter, same);
                }
            }
            len /= 2;
        }
        let line = |step: &Step| {
            let client = match step.client {
                0 => String::new(),
                other => format!("(client {other}) "),
            };
            let line: String = values::shown(&step.words).chars().take(3000).collect();
            format!("  > {client}{line}\n")
        };
        program.iter().map(line).collect::<String>() + &found.text
    }
}

/// How many steps are sent at once, at most.
const STRETCH_MAX: usize = 16;

/// How many of the next steps can be sent to the server before the first of them is answered, at most
/// `len_max`: they are of one connection, and none but the last may wait, close connections, or have events in any order.
fn stretch(steps: &[Step], len_max: usize) -> usize {
    let stands_alone = |step: &Step| {
        let is_named = |name: &str| is(&step.words, name);
        BLOCKING.iter().any(|name| is_named(name))
            || ["CLIENT", "SWAPDB", "RESET", "ACL", "AUTH", "HELLO"]
                .iter()
                .any(|name| is_named(name))
            || step.words.iter().any(|word| values::is_dump(word))
    };
    let client = steps[0].client;
    let is_next = |step: &&Step| step.client == client && !stands_alone(step);
    steps
        .iter()
        .take(len_max)
        .take_while(is_next)
        .count()
        .max(1)
}

/// Commands that may wait.
static BLOCKING: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let all = larder_engine::commands();
    let names = all.filter(|(_, row)| row.flags.has(Flags::BLOCKING));
    names.map(|(_, row)| row.name).collect()
});

/// Whether a step does what clients are told about in other ways.
fn is_special(step: &Step) -> bool {
    let mut words = step.words.iter().map(|word| word.to_ascii_uppercase());
    words.any(|word| SPECIAL.iter().any(|name| word == name.as_bytes()))
}
