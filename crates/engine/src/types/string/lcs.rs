//! LCS: the longest string that is in two strings, with gaps.
//!
//! The table of the textbook: `len(i, j)` is the length of the answer for the first `i` bytes of
//! one string and the first `j` of the other. Walking back from its last corner gives the answer,
//! and the ranges of bytes that it came from, last range first.

use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::keyspace::entry::Str;
use crate::reply::Reply;

/// What LCS answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Bytes,
    Len,
    Ranges,
}

struct Options {
    wanted: Wanted,
    len_min: u64,
    with_len: bool,
}

impl Options {
    fn read(args: &mut Args<'_>) -> Result<Options> {
        let (mut len, mut ranges) = (false, false);
        let (mut len_min, mut with_len) = (0, false);
        while !args.is_empty() {
            match () {
                () if args.option("LEN") => len = true,
                () if args.option("IDX") => ranges = true,
                () if args.option("WITHMATCHLEN") => with_len = true,
                () if args.option("MINMATCHLEN") => {
                    len_min = u64::try_from(args.int()?).unwrap_or(0);
                }
                () => return Err(Error::Syntax),
            }
        }
        let wanted = match (len, ranges) {
            (true, true) => {
                return Err(Error::text(
                    "ERR If you want both the length and indexes, please just use IDX.",
                ));
            }
            (true, false) => Wanted::Len,
            (false, true) => Wanted::Ranges,
            (false, false) => Wanted::Bytes,
        };
        Ok(Options {
            wanted,
            len_min,
            with_len,
        })
    }
}

pub(super) fn lcs(call: &mut Call<'_, '_>) -> Result<()> {
    let (one, other) = (call.args.key()?, call.args.key()?);
    let (one, other) = (string(call.keyspace, one)?, string(call.keyspace, other)?);
    let options = Options::read(&mut call.args)?;
    let cells = (one.len() as u64 + 1).saturating_mul(other.len() as u64 + 1);
    if cells.saturating_mul(4) > call.engine.config.bulk_len_max() {
        return Err(Error::text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }

    let table = Lengths::new(&one, &other);
    match options.wanted {
        Wanted::Len => call.reply.int(i64::from(table.whole())),
        Wanted::Bytes => call.reply.bulk(&table.bytes(&one, &other)),
        Wanted::Ranges => answer_ranges(&table, &one, &other, &options, call.reply),
    }
    Ok(())
}

fn string(keyspace: &Keyspace<'_>, key: &[u8]) -> Result<Vec<u8>> {
    match keyspace.read_string(key) {
        Ok(string) => Ok(string.map_or_else(Vec::new, Str::to_vec)),
        Err(_) => Err(Error::text(
            "ERR The specified keys must contain string values",
        )),
    }
}

fn answer_ranges(
    table: &Lengths,
    one: &[u8],
    other: &[u8],
    options: &Options,
    reply: &mut dyn Reply,
) {
    let mut matches = table.matches(one, other);
    matches.retain(|found| u64::from(found.len) >= options.len_min);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in &matches {
        reply.array(2 + usize::from(options.with_len));
        for start in [found.in_one, found.in_other] {
            reply.array(2);
            reply.int(start as i64);
            reply.int(start as i64 + i64::from(found.len) - 1);
        }
        if options.with_len {
            reply.int(i64::from(found.len));
        }
    }
    reply.bulk(b"len");
    reply.int(i64::from(table.whole()));
}

/// The lengths for all beginnings of two strings, a row for each beginning of the first.
struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

/// A range that is the same in both strings.
struct Match {
    in_one: usize,
    in_other: usize,
    len: u32,
}

/// A step of the walk back: a byte that is in the answer, or one that is not.
enum Step {
    Same,
    LeaveOne,
    LeaveOther,
}

impl Lengths {
    fn new(one: &[u8], other: &[u8]) -> Lengths {
        let width = other.len() + 1;
        let mut table = Lengths {
            cells: vec![0; (one.len() + 1) * width],
            width,
        };
        for (i, a) in one.iter().enumerate() {
            for (j, b) in other.iter().enumerate() {
                table.cells[(i + 1) * width + j + 1] = match a == b {
                    true => table.at(i, j) + 1,
                    false => table.at(i, j + 1).max(table.at(i + 1, j)),
                };
            }
        }
        table
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    fn whole(&self) -> u32 {
        self.cells.last().copied().unwrap_or(0)
    }

    /// Walks back from the ends of both strings. `visit` is told where each step leads.
    fn walk(&self, one: &[u8], other: &[u8], mut visit: impl FnMut(Step, usize, usize)) {
        let (mut i, mut j) = (one.len(), other.len());
        while i > 0 && j > 0 {
            let step = match () {
                () if one[i - 1] == other[j - 1] => Step::Same,
                () if self.at(i - 1, j) > self.at(i, j - 1) => Step::LeaveOne,
                () => Step::LeaveOther,
            };
            (i, j) = match step {
                Step::Same => (i - 1, j - 1),
                Step::LeaveOne => (i - 1, j),
                Step::LeaveOther => (i, j - 1),
            };
            visit(step, i, j);
        }
    }

    fn bytes(&self, one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.whole() as usize);
        self.walk(one, other, |step, i, _| {
            if let Step::Same = step {
                bytes.push(one[i]);
            }
        });
        bytes.reverse();
        bytes
    }

    /// The ranges that the answer came from, the last one first.
    fn matches(&self, one: &[u8], other: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let mut goes_on = false;
        self.walk(one, other, |step, i, j| {
            let is_same = matches!(step, Step::Same);
            match matches.last_mut() {
                Some(last) if is_same && goes_on => {
                    (last.in_one, last.in_other) = (i, j);
                    last.len += 1;
                }
                _ if is_same => matches.push(Match {
                    in_one: i,
                    in_other: j,
                    len: 1,
                }),
                _ => {}
            }
            goes_on = is_same;
        });
        matches
    }
}
