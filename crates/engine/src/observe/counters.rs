//! How often each command was called and refused, and how long it took.

use crate::command::Row;
use crate::commands::{self, ROWS};
use crate::per_thread::{Count, PerThread};

/// The counters of all rows, for each thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    of_threads: PerThread<Tallies>,
}

/// The counters of all rows, by the row's number.
#[derive(Debug)]
struct Tallies(Box<[Tally; ROWS]>);

#[derive(Debug, Default)]
struct Tally {
    calls: Count,
    us: Count,
    rejected: Count,
    failed: Count,
}

/// What INFO commandstats says of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// How often it ran.
    pub(crate) calls: u64,
    /// How long that took, about, in microseconds.
    pub(crate) us: u64,
    /// How often it was refused before it ran.
    pub(crate) rejected: u64,
    /// How often it ran and answered a refusal.
    pub(crate) failed: u64,
}

impl Default for Tallies {
    fn default() -> Tallies {
        let rows: Vec<Tally> = std::iter::repeat_with(Tally::default).take(ROWS).collect();
        let rows: Result<Box<[Tally; ROWS]>, _> = rows.into_boxed_slice().try_into();
        Tallies(rows.expect("as many were made"))
    }
}

impl Counters {
    /// Counts a call, and answers how many this thread has counted before.
    #[inline]
    pub(super) fn count_call(&self, command: &'static Row) -> u64 {
        self.add(command, |row| &row.calls, 1)
    }

    /// The call that was counted last did not happen.
    pub(super) fn take_back_call(&self, command: &'static Row) {
        self.add(command, |row| &row.calls, u64::MAX);
    }

    pub(super) fn count_time(&self, command: &'static Row, us: u64) {
        self.add(command, |row| &row.us, us);
    }

    pub(super) fn count_rejection(&self, command: &'static Row) {
        self.add(command, |row| &row.rejected, 1);
    }

    pub(super) fn count_failure(&self, command: &'static Row) {
        self.add(command, |row| &row.failed, 1);
    }

    #[inline]
    fn add(&self, command: &'static Row, count: fn(&Tally) -> &Count, more: u64) -> u64 {
        let (rows, is_shared) = self.of_threads.own_or_shared();
        let row = &rows.0[commands::number(command)];
        count(row).add(more, is_shared)
    }

    /// What has been counted of a command.
    pub(crate) fn of(&self, command: &'static Row) -> Counted {
        let number = commands::number(command);
        let rows = self.of_threads.iter().map(|rows| &rows.0[number]);
        rows.fold(Counted::default(), |sum, row| Counted {
            calls: sum.calls + row.calls.get(),
            us: sum.us + row.us.get(),
            rejected: sum.rejected + row.rejected.get(),
            failed: sum.failed + row.failed.get(),
        })
    }

    /// How many commands have run.
    pub(crate) fn calls(&self) -> u64 {
        let rows = self.of_threads.iter().flat_map(|rows| rows.0.iter());
        rows.map(|row| row.calls.get()).sum()
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        for row in self.of_threads.iter().flat_map(|rows| rows.0.iter()) {
            let counts = [&row.calls, &row.us, &row.rejected, &row.failed];
            counts.iter().for_each(|count| count.reset());
        }
    }
}
