//! What the units have shown, told.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};

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
    /// The units that did not run at all.
    missed: Vec<String>,
    /// Those that had to be ended.
    unended: Vec<String>,
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
        if seen.timed_out {
            self.unended.push(unit.to_owned());
        }
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

    /// Prints the row of a unit that did not run. Gives what kept it from running.
    pub(super) fn miss(&mut self, unit: &str, error: &anyhow::Error) -> String {
        self.missed.push(unit.to_owned());
        // A row is a line, and a server that does not start has said more than one.
        let text = format!("{error:#}");
        let first = text.lines().next().unwrap_or_default();
        println!("| {unit} | | | | **the unit did not run**: {first} | |");
        text
    }

    fn blame(&mut self, unit: &str, failure: &Failure) {
        let cause = failure.cause().unwrap_or_else(|| "its behaviour".into());
        let tests = self.causes.entry(cause).or_default();
        tests.push(format!("{unit}: {}", failure.name));
    }

    /// Prints what is said below the table.
    ///
    /// # Errors
    ///
    /// If a unit did not run: the figures are then not those of the suite.
    pub(super) fn end(&self) -> Result<()> {
        let (passed, failed, skipped) = (self.passed, self.failed, self.skipped);
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        let left_out: usize = self.left_out.values().map(Vec::len).sum();
        println!("{left_out} left out by name");
        if !self.unended.is_empty() {
            println!("units that had to be ended: {}", self.unended.join(", "));
        }
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
        if !self.missed.is_empty() {
            bail!("units that did not run: {}", self.missed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_unit_that_does_not_run_fails_the_run_at_its_end() {
        let mut report = Report::default();
        let printed = "[ready]: 1\n[ok]: one (1 ms)\n";
        let seen = Seen {
            outcome: Outcome::read(printed),
            timed_out: false,
            server: "well".into(),
            took: Duration::ZERO,
        };

        report.miss("unit/a", &anyhow!("it did not begin"));
        report.add("unit/b", &seen, None);

        let error = report.end().expect_err("a unit did not run");
        assert_eq!(error.to_string(), "units that did not run: unit/a");
    }

    #[test]
    fn a_unit_that_had_to_be_ended_is_named_with_the_test_it_was_in() {
        let seen = Seen {
            outcome: Outcome::read("[ready]: 1\n[testing]: one that hangs\n"),
            timed_out: true,
            server: "well".into(),
            took: Duration::from_secs(150),
        };

        assert_eq!(
            seen.row("unit/a"),
            "| unit/a | 0 | 0 | 0 | well; **the unit did not end**, in: one that hangs | 150 |"
        );
    }
}
