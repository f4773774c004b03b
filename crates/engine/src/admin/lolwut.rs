//! LOLWUT: a larder, with other jars each time.

use super::REDIS_VERSION;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::Result;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "LOLWUT",
    run: lolwut,
    arity: Arity::AtLeast(1),
    keys: KeySpec::None,
    flags: Flags::READONLY.and(Flags::FAST),
    syntax: "[VERSION version] [columns [shelves]]",
    summary: "Shows a small drawing, so many jars wide and so many shelves high, and the versions of Larder and of Redis.",
    complexity: "O(n), n the number of jars.",
    since: "5.0.0",
}];

/// How many jars stand on a shelf, and how many shelves there are, if nothing is said.
const COLUMNS: usize = 8;
const SHELVES: usize = 3;
/// As many as there may be.
const COLUMNS_MAX: i64 = 40;
const SHELVES_MAX: i64 = 40;

/// How many lines a jar has.
const LINES: usize = 2;

/// What stands on a shelf: a lid, and what is below it.
const JARS: [[&str; LINES]; 8] = [
    [" __  ", "|oo| "],
    [" __  ", "|::| "],
    [" __  ", "|~~| "],
    [" ,,  ", "(__) "],
    ["  .  ", " /_\\ "],
    [" []  ", " ()  "],
    ["     ", " oOo "],
    ["     ", "     "],
];

fn lolwut(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.option("VERSION") {
        // Each version has the same drawing.
        call.args.int()?;
    }
    let (mut columns, mut shelves) = (COLUMNS, SHELVES);
    if !call.args.is_empty() {
        columns = call.args.int()?.clamp(1, COLUMNS_MAX) as usize;
    }
    if !call.args.is_empty() {
        shelves = call.args.int()?.clamp(1, SHELVES_MAX) as usize;
    }
    let drawing = draw(columns, shelves, || call.engine.random());
    let version = env!("CARGO_PKG_VERSION");
    call.reply.verbatim(&format!(
        "{drawing}\nLarder ver. {version}, Redis ver. {REDIS_VERSION}\n"
    ));
    Ok(())
}

fn draw(columns: usize, shelves: usize, mut random: impl FnMut() -> u64) -> String {
    let width = columns * JARS[0][0].len();
    let board = format!("|{}|\n", "_".repeat(width + 1));
    let mut drawing = format!(" {}\n", "_".repeat(width + 1));
    for _ in 0..shelves {
        let jars: Vec<usize> = (0..columns)
            .map(|_| (random() % JARS.len() as u64) as usize)
            .collect();
        let lines = (0..LINES).map(|line| {
            let row: String = jars.iter().map(|jar| JARS[*jar][line]).collect();
            format!("| {row}|\n")
        });
        drawing.extend(lines);
        drawing += &board;
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_of_a_drawing_are_of_one_width() {
        let mut number = 0;
        let drawing = draw(9, 4, || {
            number += 1;
            number
        });
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!(lines.len(), 1 + 4 * 3);
        assert!(lines[1..].iter().all(|line| line.len() == lines[1].len()));
    }
}
