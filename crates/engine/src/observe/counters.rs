//! How often each command was called and refused, and how long it took.

use crate::command::Command;
use crate::lanes::{Count, Lanes};
use crate::table::{self, ROWS};

/// The counters of all rows, for each thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    lanes: Lanes<Rows>,
}

/// The counters of all rows, by the row's number.
#[derive(Debug)]
struct Rows(Box<[Row; ROWS]>);

#[derive(Debug, Default)]
struct Row {
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

impl Default for Rows {
    fn default() -> Rows {
        let rows: Vec<Row> = std::iter::repeat_with(Row::default).take(ROWS).collect();
        let rows: Result<Box<[Row; ROWS]>, _> = rows.into_boxed_slice().try_into();
        Rows(rows.expect("as many were made"))
    }
}

impl Counters {
    /// Counts a call, and answers how many this thread has counted before.
    #[inline]
    pub(super) fn count_call(&self, command: &'static Command) -> u64 {
        self.add(command, |row| &row.calls, 1)
    }

    /// The call that was counted last did not happen.
    pub(super) fn take_back_call(&self, command: &'static Command) {
        self.add(command, |row| &row.calls, u64::MAX);
    }

    pub(super) fn count_time(&self, command: &'static Command, us: u64) {
        self.add(command, |row| &row.us, us);
    }

    pub(super) fn count_rejection(&self, command: &'static Command) {
        self.add(command, |row| &row.rejected, 1);
    }

    pub(super) fn count_failure(&self, command: &'static Command) {
        self.add(command, |row| &row.failed, 1);
    }

    #[inline]
    fn add(&self, command: &'static Command, count: fn(&Row) -> &Count, more: u64) -> u64 {
        let (rows, is_shared) = self.lanes.own_or_shared();
        let row = &rows.0[table::number(command)];
        count(row).add(more, is_shared)
    }

    /// What has been counted of a command.
    pub(crate) fn of(&self, command: &'static Command) -> Counted {
        let number = table::number(command);
        let rows = self.lanes.iter().map(|rows| &rows.0[number]);
        rows.fold(Counted::default(), |sum, row| Counted {
            calls: sum.calls + row.calls.get(),
            us: sum.us + row.us.get(),
            rejected: sum.rejected + row.rejected.get(),
            failed: sum.failed + row.failed.get(),
        })
    }

    /// How many commands have run.
    pub(crate) fn calls(&self) -> u64 {
        let rows = self.lanes.iter().flat_map(|rows| rows.0.iter());
        rows.map(|row| row.calls.get()).sum()
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        for row in self.lanes.iter().flat_map(|rows| rows.0.iter()) {
            let counts = [&row.calls, &row.us, &row.rejected, &row.failed];
            counts.iter().for_each(|count| count.reset());
        }
    }
}
