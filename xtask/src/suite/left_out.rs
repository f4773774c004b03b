//! The tests of a suite that are not run against Larder, each with its reason.
//!
//! They stand in `left_out/`, a file a suite:
//!
//! ```text
//! [multi]
//! # What is sent to replicas is compared, and Larder has none.
//! MULTI / EXEC is not propagated (single write command)
//! ```
//!
//! A unit stands in brackets, and below a line that begins with `#` are the tests that are left out of
//! it for that reason, by their names or as `/` and a regular expression: as the suite's own
//! `--skipfile` has them. `*` is the whole unit.

use anyhow::{Context, Result, bail};

use super::source::Suite;

/// What stands for all tests of a unit.
const ALL: &str = "*";

/// The tests that are left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    entries: Vec<Entry>,
}

/// A test that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The last part of the unit's name.
    unit: &'static str,
    pub(super) reason: &'static str,
    pub(super) test: &'static str,
}

impl LeftOut {
    /// Those of a suite.
    pub(super) fn of(suite: Suite) -> Result<LeftOut> {
        let text = match suite {
            Suite::Redis => include_str!("left_out/redis.txt"),
            Suite::Redis8 => include_str!("left_out/redis8.txt"),
            Suite::Valkey => include_str!("left_out/valkey.txt"),
        };
        LeftOut::read(text)
    }

    fn read(text: &'static str) -> Result<LeftOut> {
        let (mut unit, mut reason) = (None, None);
        let mut entries = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(name) = bracketed(line) {
                (unit, reason) = (Some(name), None);
            } else if let Some(text) = line.strip_prefix("# ") {
                reason = Some(text);
            } else {
                let unit = unit.with_context(|| format!("{line} is of no unit"))?;
                let Some(reason) = reason else {
                    bail!("{line} has no reason");
                };
                let test = line;
                entries.push(Entry { unit, reason, test });
            }
        }
        Ok(LeftOut { entries })
    }

    /// Those of a unit, which is named in full.
    pub(super) fn of_unit(&self, unit: &str) -> Vec<Entry> {
        let last = unit.rsplit_once('/').map_or(unit, |(_, last)| last);
        let entries = self.entries.iter().copied();
        entries.filter(|entry| entry.unit == last).collect()
    }
}

impl Entry {
    /// Whether it is the whole unit.
    pub(super) fn is_all(&self) -> bool {
        self.test == ALL
    }
}

fn bracketed(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_left_out_for_the_reason_above_it() -> Result<()> {
        let text =
            "[list]\n# It takes too long.\na [b]\n# It differs.\n/^c .*\n\n[set]\n# No.\n*\n";
        let left_out = LeftOut::read(text)?;
        let entries = left_out.of_unit("unit/type/list");
        let shown: Vec<_> = entries.iter().map(|it| (it.test, it.reason)).collect();
        assert_eq!(
            shown,
            [("a [b]", "It takes too long."), ("/^c .*", "It differs.")]
        );
        assert!(left_out.of_unit("unit/type/set")[0].is_all());
        assert!(left_out.of_unit("unit/type/zset").is_empty());
        Ok(())
    }

    #[test]
    fn nothing_is_left_out_without_a_reason() {
        assert!(LeftOut::read("[list]\na\n").is_err());
        assert!(LeftOut::read("# It differs.\na\n").is_err());
        assert!(LeftOut::read("[list]\n# It differs.\na\n[set]\nb\n").is_err());
    }

    #[test]
    fn the_lists_that_are_kept_can_be_read() -> Result<()> {
        for suite in [Suite::Redis, Suite::Redis8, Suite::Valkey] {
            LeftOut::of(suite)?;
        }
        Ok(())
    }
}
