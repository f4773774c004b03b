//! What the units have shown, told.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::left_out::Entry;
use super::outcome::{Failure, Outcome};

/// What a unit has shown of a server.
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) timed_out: bool,
    /// How the server has come out of it.
    pub(super) server: String,
    pub(super) took: Duration,
}

impl Seen {
    /// Whether nothing in the unit is for a server like this.
    pub(super) fn is_empty(&self) -> bool {
        self.outcome.passed.is_empty() && self.outcome.failed.is_empty() && !self.timed_out
    }

    fn row(&self, unit: &str) -> String {
        let mut server = self.server.clone();
        if self.timed_out {
            let test = self
                .outcome
                .unended
                .as_deref()
                .unwrap_or("it is not known which");
            let _ = write!(server, "; **the unit did not end**, in: {test}");
        }
        let Outcome {
            passed,
            failed,
            skipped,
            ..
        } = &self.outcome;
        let (passed, failed) = (passed.len(), failed.len());
        let s = self.took.as_secs();
        format!("| {unit} | {passed} | {failed} | {skipped} | {server} | {s} |")
    }
}

/// The table, and what is said below it.
#[derive(Default)]
pub(super) struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// What is left out of the units, by the reason.
    left_out: BTreeMap<&'static str, Vec<String>>,
    /// Whether the suite's own server was asked as well.
    has_own: bool,
    /// Tests that the suite's own server passes.
    own: usize,
    /// Those of them that the server passes.
    both: usize,
    /// The tests that failed, by what is to blame.
    causes: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Prints the head of the table.
    pub(super) fn begin() -> Report {
        println!("\n| unit | passed | failed | skipped | server | s |");
        println!("|---|---|---|---|---|---|");
        Report::default()
    }

    /// Notes what is left out of a unit.
    pub(super) fn leave_out(&mut self, unit: &str, entries: &[Entry]) {
        for entry in entries {
            let tests = self.left_out.entry(entry.reason).or_default();
            tests.push(format!("{unit}: {}", entry.test));
        }
    }

    /// Prints the row of a unit. Gives its failures in full, those of the suite's own server marked.
    pub(super) fn add(&mut self, unit: &str, seen: &Seen, own: Option<&Seen>) -> String {
        println!("{}", seen.row(unit));
        let Outcome {
            passed,
            failed,
            skipped,
            ..
        } = &seen.outcome;
        self.passed += passed.len();
        self.failed += failed.len();
        self.skipped += skipped;
        if let Some(own) = own {
            self.has_own = true;
            let own = own.outcome.names_passed();
            self.own += own.len();
            self.both += own.intersection(&seen.outcome.names_passed()).count();
        }

        let mut text = String::new();
        for failure in failed {
            let is_excused = own.is_some_and(|own| own.outcome.has_failed(&failure.name));
            let mark = match is_excused {
                true => " (it fails on the suite's own server too)",
                false => "",
            };
            let _ = writeln!(text, "== {}{mark}\n{}", failure.name, failure.message);
            if !is_excused {
                self.blame(unit, failure);
            }
        }
        text
    }

    fn blame(&mut self, unit: &str, failure: &Failure) {
        let cause = failure.cause().unwrap_or_else(|| "its behaviour".into());
        let tests = self.causes.entry(cause).or_default();
        tests.push(format!("{unit}: {}", failure.name));
    }

    /// Prints what is said below the table.
    pub(super) fn end(&self) {
        let (passed, failed, skipped) = (self.passed, self.failed, self.skipped);
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        for (reason, tests) in &self.left_out {
            println!("\nLeft out. {reason}");
            for test in tests {
                println!("  {test}");
            }
        }
        if self.has_own {
            let (own, both) = (self.own, self.both);
            println!("of the {own} names of tests that the suite's own server passes, {both} pass");
        }
        let mut by_count: Vec<_> = self.causes.iter().collect();
        by_count.sort_by_key(|(_, tests)| Reverse(tests.len()));
        for (cause, tests) in by_count {
            println!("\n{}, because of {cause}:", tests.len());
            for test in tests {
                println!("  {test}");
            }
        }
    }
}
