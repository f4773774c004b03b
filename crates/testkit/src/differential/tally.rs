//! How often each row, and each word of its syntax, was drawn and answered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use larder_engine::commands;

use super::syntax::{Part, parts};
use super::{Family, Words};

/// What was asked in a run, and how it was answered.
#[derive(Debug, Default)]
pub struct Tally {
    rows: HashMap<&'static str, Row>,
    programs: u64,
    own: u64,
    all: u64,
    cut: u64,
}

/// What was asked of a command.
#[derive(Debug)]
struct Row {
    is_own: bool,
    /// The words that stand in its syntax as they are written.
    literals: Vec<String>,
    whole: Count,
    options: BTreeMap<String, Count>,
}

/// How often something was drawn, and how often it was answered without an error.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    drawn: u64,
    done: u64,
}

impl Count {
    fn add(&mut self, is_done: bool) {
        self.drawn += 1;
        self.done += u64::from(is_done);
    }
}

impl Tally {
    /// A tally in which the requests of a family are told apart from others; without one all are its own.
    pub(super) fn of(family: Option<Family>) -> Tally {
        let row = |(table_family, command): (&'static str, &'static larder_engine::Row)| {
            let name = command.name;
            let rows_family = super::program::family_of(table_family, name);
            let is_own = family.is_none_or(|family| family.rows.contains(&rows_family));
            let row = Row {
                is_own,
                literals: literals(&parts(command.syntax)),
                whole: Count::default(),
                options: BTreeMap::new(),
            };
            (name, row)
        };
        Tally {
            rows: commands().map(row).collect(),
            ..Tally::default()
        }
    }

    /// How many programs were run.
    pub fn programs(&self) -> u64 {
        self.programs
    }

    /// How many requests of the family were answered or waited.
    pub fn own_requests(&self) -> u64 {
        self.own
    }

    /// How many requests were answered or waited.
    pub fn requests(&self) -> u64 {
        self.all
    }

    /// How many programs were left at a difference that is meant.
    pub fn left_early(&self) -> u64 {
        self.cut
    }

    /// A program begins.
    pub(super) fn begin(&mut self) {
        self.programs += 1;
    }

    /// A program is left at a difference that is meant.
    pub(super) fn leave(&mut self) {
        self.cut += 1;
    }

    /// A request was answered, or waits.
    pub(super) fn add(&mut self, words: &Words, is_done: bool) {
        self.all += 1;
        let upper = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_uppercase();
        let Some(first) = words.first().map(upper) else {
            return;
        };
        let both = words.get(1).map(|word| format!("{first} {}", upper(word)));
        let is_row = |name: &&String| self.rows.contains_key(name.as_str());
        let Some(name) = both.as_ref().filter(is_row).or(Some(&first).filter(is_row)) else {
            return;
        };
        let Some(row) = self.rows.get_mut(name.as_str()) else {
            return;
        };
        self.own += u64::from(row.is_own);
        row.whole.add(is_done);
        let mut seen: Vec<String> = words.iter().skip(1).map(upper).collect();
        seen.sort();
        seen.dedup();
        for word in seen.into_iter().filter(|word| row.literals.contains(word)) {
            row.options.entry(word).or_default().add(is_done);
        }
    }
}

/// The words that are written as they stand.
fn literals(parts: &[Part]) -> Vec<String> {
    let all = |choices: &[Vec<Part>]| choices.iter().flat_map(|parts| literals(parts)).collect();
    let of_part = |part: &Part| match part {
        Part::Literal(word) => vec![word.clone()],
        Part::Value(_) => Vec::new(),
        Part::OneOf(choices) | Part::Optional(choices) => all(choices),
        Part::Repeated(parts) => literals(parts),
    };
    parts.iter().flat_map(of_part).collect()
}

/// A line for each row that was drawn, with its options: how often each was drawn, and answered without an error.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.rows.iter().filter(|(_, row)| row.is_own).collect();
        rows.sort_by_key(|(name, _)| **name);
        for (name, row) in rows {
            write!(f, "{name} {}/{}", row.whole.done, row.whole.drawn)?;
            for word in &row.literals {
                let count = row.options.get(word).copied().unwrap_or_default();
                write!(f, ", {word} {}/{}", count.done, count.drawn)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
