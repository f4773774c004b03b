//! What a unit of a suite printed, read.

use std::collections::BTreeSet;

/// How many characters of a line are kept: some tests compare values of megabytes.
const LINE_MAX: usize = 300;

/// What came of a unit's tests.
#[derive(Default)]
pub(super) struct Outcome {
    /// Whether the suite came as far as its first test.
    pub(super) has_begun: bool,
    pub(super) passed: Vec<String>,
    pub(super) failed: Vec<Failure>,
    /// Tests, and groups of tests, that are not for a server like this.
    pub(super) skipped: usize,
    /// The test that had begun last and was not seen to end.
    pub(super) unended: Option<String>,
}

/// A test that failed, or what happened between two tests.
pub(super) struct Failure {
    pub(super) name: String,
    pub(super) message: String,
}

impl Outcome {
    /// Reads what the suite printed: a line for each test, and lines that say more of a failure.
    pub(super) fn read(printed: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let mut is_of_failure = false;
        // At the end the suite says all failures again.
        for line in printed.lines().take_while(|line| line.trim() != "The End") {
            let Some((status, rest)) = status(line) else {
                if let (true, Some(failure)) = (is_of_failure, outcome.failed.last_mut()) {
                    failure.say(line);
                }
                continue;
            };
            is_of_failure = matches!(status, "err" | "exception");
            // The next test may be said to have begun before the last is said to have ended.
            outcome.unended.take_if(|it| rest.starts_with(it.as_str()));
            match status {
                "ready" => outcome.has_begun = true,
                "testing" => outcome.unended = Some(rest.to_owned()),
                "ok" => outcome.passed.push(without_time(rest).to_owned()),
                "err" | "exception" => outcome.failed.push(Failure::begun(rest)),
                "skip" | "ignore" => outcome.skipped += 1,
                _ => {}
            }
        }
        outcome
    }

    /// The names of the tests that never failed: a unit may run a test in more than one way.
    pub(super) fn names_passed(&self) -> BTreeSet<&str> {
        let names = self.passed.iter().map(String::as_str);
        names.filter(|name| !self.has_failed(name)).collect()
    }

    /// Whether a test of this name is among the failures.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.failed.iter().any(|it| it.name == name)
    }
}

/// The status that a line begins with, and what it is said of.
fn status(line: &str) -> Option<(&str, &str)> {
    let (status, rest) = line.strip_prefix('[')?.split_once("]: ")?;
    let is_known = [
        "ok",
        "err",
        "exception",
        "skip",
        "ignore",
        "testing",
        "ready",
    ]
    .contains(&status);
    // `[3/61 done]` stands between units.
    (is_known || status.ends_with(" done")).then_some((status, rest))
}

/// `SET and GET an item (3 ms)` without the time.
fn without_time(test: &str) -> &str {
    match test.rsplit_once(" (") {
        Some((name, time)) if time.ends_with(" ms)") => name,
        _ => test,
    }
}

impl Failure {
    fn begun(line: &str) -> Failure {
        let (name, message) = match line.rsplit_once(" in tests/") {
            Some((name, _)) => (name, None),
            // What failed stands between tests, and the line is its message.
            None => ("(between tests)", Some(line)),
        };
        let mut failure = Failure {
            name: name.to_owned(),
            message: String::new(),
        };
        message.into_iter().for_each(|line| failure.say(line));
        failure
    }

    /// Adds a line to the message, not all of it if it is a long one.
    fn say(&mut self, line: &str) {
        self.message.extend(line.chars().take(LINE_MAX));
        self.message.push('\n');
    }

    /// What is to blame, where the message tells: a command or a setting that is not there.
    pub(super) fn cause(&self) -> Option<String> {
        let quoted_after = |text: &str| {
            let (_, rest) = self.message.split_once(text)?;
            let (_, rest) = rest.split_once('\'')?;
            Some(rest.split_once('\'')?.0.to_owned())
        };
        // The suite cuts the beginning of a message off that is not of an assertion.
        if let Some(command) = quoted_after("nown command ") {
            return Some(format!("unknown command {}", command.to_uppercase()));
        }
        if let Some(subcommand) = quoted_after("nown subcommand ") {
            return Some(format!("unknown subcommand {}", subcommand.to_uppercase()));
        }
        if let Some(setting) = quoted_after("for CONFIG SET") {
            return Some(format!("unknown setting {setting}"));
        }
        let lost = [
            "I/O error",
            "connection refused",
            "broken pipe",
            "connection reset",
        ];
        let is_lost = lost.iter().any(|it| self.message.contains(it));
        is_lost.then(|| "the connection was lost".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Starting test server at port 21079
[ready]: 4242
Testing unit/type/incr
[testing]: INCR against non existing key
[ok]: INCR against non existing key (1 ms)
[testing]: INCR over 32bit value (again)
[testing]: INCR that hangs
[err]: INCR over 32bit value (again) in tests/unit/type/incr.tcl
Expected '2' to be equal to '3'
[ignore]: large: Tag: slow denied
";

    #[test]
    fn each_test_is_found_with_what_came_of_it() {
        let outcome = Outcome::read(PRINTED);

        assert_eq!(outcome.passed, ["INCR against non existing key"]);
        assert_eq!(outcome.failed.len(), 1);
        assert_eq!(outcome.failed[0].name, "INCR over 32bit value (again)");
        assert_eq!(
            outcome.failed[0].message,
            "Expected '2' to be equal to '3'\n"
        );
        assert!(outcome.has_begun);
        assert_eq!(outcome.skipped, 1);
        assert_eq!(outcome.unended.as_deref(), Some("INCR that hangs"));
    }

    #[test]
    fn a_test_that_fails_in_one_of_two_ways_has_not_passed() {
        let printed = "[ok]: one (1 ms)\n[err]: one in tests/a.tcl\n[ok]: two (1 ms)\n";

        let outcome = Outcome::read(printed);

        assert_eq!(outcome.passed.len(), 2);
        assert_eq!(Vec::from_iter(outcome.names_passed()), ["two"]);
    }

    #[test]
    fn a_failure_that_is_said_again_at_the_end_counts_once() {
        let printed = "[err]: one in tests/a.tcl\n\n                   The End\n\n*** [err]: one in tests/a.tcl\n[err]: one in tests/a.tcl\n";

        assert_eq!(Outcome::read(printed).failed.len(), 1);
    }

    #[test]
    fn a_command_that_is_not_there_is_the_cause() {
        let failure = Failure {
            name: "DUMP / RESTORE".into(),
            message: "own command 'dump', with args\n".into(),
        };
        assert_eq!(failure.cause(), None);

        let failure = Failure {
            name: "DUMP / RESTORE".into(),
            message: "x\nERR unknown command 'dump', with args beginning with: 'a'\n".into(),
        };
        assert_eq!(failure.cause().as_deref(), Some("unknown command DUMP"));
    }
}
