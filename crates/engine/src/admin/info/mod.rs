//! INFO: what can be said of the server, in sections.
//!
//! It waits for nobody: what is counted is read without locks, and of the keys only such shards are
//! looked at as nobody holds. So it answers while a script hangs.
//!
//! Fields have the names that Redis gives them, for those who watch servers. One that stands for
//! something that is not done here, such as replication, says that none of it has happened; one that
//! would have to be invented is left out, and stands in [`absent`].

mod absent;
mod elsewhere;
mod process;
mod traffic;

use std::fmt::Write as _;

pub use absent::{AbsentFields, absent_fields};

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::Result;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "INFO",
    run: info,
    arity: Arity::AtLeast(1),
    keys: KeySpec::None,
    flags: Flags::NONE,
    syntax: "[section [section ...]]",
    summary: "Says how the server is, in sections.",
    complexity: "O(1)",
    since: "1.0.0",
}];

/// Writes the lines of a section.
type Section = fn(&Call<'_, '_>, &mut Lines);

/// The sections, by name and title, and whether they are shown if nothing is said.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, process::server),
    ("clients", "Clients", true, process::clients),
    ("memory", "Memory", true, process::memory),
    ("persistence", "Persistence", true, elsewhere::persistence),
    ("stats", "Stats", true, traffic::stats),
    ("replication", "Replication", true, elsewhere::replication),
    ("cpu", "CPU", true, process::cpu),
    ("modules", "Modules", true, elsewhere::modules),
    ("commandstats", "Commandstats", false, traffic::commandstats),
    ("errorstats", "Errorstats", true, traffic::errorstats),
    ("latencystats", "Latencystats", false, traffic::latencystats),
    ("cluster", "Cluster", true, elsewhere::cluster),
    ("keyspace", "Keyspace", true, traffic::keyspace),
];

/// The text of an answer.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        let _ = write!(self.0, "# {title}\r\n");
    }

    fn add_all(&mut self, values: &[(&str, u64)]) {
        values
            .iter()
            .for_each(|(name, value)| self.add(name, value));
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Two lines: the bytes, and the same for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human(bytes));
    }
}

fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: Vec<&[u8]> = call.args.rest().collect();
    let is_wanted = |name: &str, is_default: bool| {
        let is_any = |word: &&[u8]| {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            is(name) || is("all") || is("everything") || (is_default && is("default"))
        };
        match wanted.is_empty() {
            true => is_default,
            false => wanted.iter().any(is_any),
        }
    };
    let mut lines = Lines::default();
    for (name, title, is_default, write) in SECTIONS {
        if is_wanted(name, *is_default) {
            lines.section(title);
            write(call, &mut lines);
        }
    }
    call.reply.verbatim(&lines.0);
    Ok(())
}

/// A number of bytes as Redis writes it for people: `1.50M`.
fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.2}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_for_people() {
        assert_eq!(human(200), "200B");
        assert_eq!(human(1_572_864), "1.50M");
    }
}
