//! The figures of a run, as a line of a table.

use std::io::Write;
use std::time::Duration;

/// What a run has cost.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    /// Without service from the fault on, and from the moment that the new master was known.
    pub(crate) from_fault: Option<Duration>,
    pub(crate) from_known: Option<Duration>,
    pub(crate) answered: u64,
    pub(crate) away: u64,
    pub(crate) in_doubt: u64,
    /// Refusals that say something of the servers, by their codes.
    pub(crate) refused: String,
    pub(crate) worst: Duration,
    pub(crate) late: Duration,
    /// Acknowledged writes that are not there any more.
    pub(crate) lost: u64,
    /// Holders of before whom the resource has refused.
    pub(crate) fenced: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) connections: u64,
    pub(crate) growth: u64,
    /// The laws that were broken.
    pub(crate) broken: Vec<String>,
}

/// Prints a row, and adds it to the file that `LARDER_TEST_TABLE` names.
pub(crate) fn tell(row: &Row) {
    let ms =
        |time: Option<Duration>| time.map_or("-".to_owned(), |time| time.as_millis().to_string());
    let line = format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {}/{} | {} | {} |",
        row.name,
        row.seed,
        row.seconds,
        ms(row.from_fault),
        ms(row.from_known),
        row.answered,
        row.away,
        row.in_doubt,
        row.refused,
        row.worst.as_millis(),
        row.late.as_millis(),
        row.lost,
        row.fenced,
        row.opened,
        row.closed,
        row.connections,
        row.growth >> 20,
    );
    println!("{line}");
    if let Some(path) = std::env::var_os("LARDER_TEST_TABLE") {
        let mut file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
