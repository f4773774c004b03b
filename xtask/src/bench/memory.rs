//! What a key takes of a server's memory.

use anyhow::Result;

use super::load::load;
use super::process::resident_bytes;
use crate::servers::{Kind, Server};

/// How long a server may give back what it needed while it was filled.
const SETTLES_IN: std::time::Duration = std::time::Duration::from_secs(1);
const THIRTY_DAYS_MS: usize = 30 * 24 * 60 * 60 * 1000;
const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Something that there are many of.
struct Shape {
    name: &'static str,
    count: usize,
    /// The command that makes one of them.
    make: fn(usize) -> Vec<String>,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "string: key of 16 bytes, value of 32",
        count: 1_000_000,
        make: |at| words(&["SET", &key(at), VALUE]),
    },
    Shape {
        name: "the same, all to expire in 30 days",
        count: 1_000_000,
        make: |at| words(&["SET", &key(at), VALUE, "PX", &THIRTY_DAYS_MS.to_string()]),
    },
    Shape {
        name: "the same, to expire at some time within 30 days",
        count: 1_000_000,
        make: |at| {
            // A step that shares no divisor with the days' milliseconds; none expires meanwhile.
            let ttl = THIRTY_DAYS_MS / 100 + at * 617_327 % (THIRTY_DAYS_MS / 100 * 99);
            words(&["SET", &key(at), VALUE, "PX", &ttl.to_string()])
        },
    },
    Shape {
        name: "hash of three fields (name, mail, age)",
        count: 500_000,
        make: |at| {
            let (name, mail) = (format!("name of {at:08}"), format!("{at:08}@example.org"));
            words(&["HSET", &key(at), "name", &name, "mail", &mail, "age", "42"])
        },
    },
    Shape {
        name: "member of 16 bytes of a sorted set of a million",
        count: 1_000_000,
        make: |at| {
            let score = at * 617_327 % 1_000_000;
            words(&["ZADD", "board", &score.to_string(), &key(at)])
        },
    },
    Shape {
        name: "element of 32 bytes of a list of a million",
        count: 1_000_000,
        make: |at| words(&["RPUSH", "list", &format!("{at:032}")]),
    },
];

/// Measures each shape on a fresh server of each kind, and prints a table.
pub(super) fn measure(kinds: &[Kind], start: impl Fn(&Kind) -> Result<Server>) {
    println!("\nResident bytes that one of many takes:\n");
    let names: Vec<_> = kinds.iter().map(Kind::to_string).collect();
    println!("| one | {} | to valkey |", names.join(" | "));
    println!("|---|{}---|", "---|".repeat(names.len()));
    for shape in SHAPES {
        let bytes = kinds.iter().map(|kind| {
            let bytes = start(kind).and_then(|server| bytes_of_one(shape, &server));
            bytes.unwrap_or_else(|error| refused(shape, *kind, &error))
        });
        let bytes: Vec<f64> = bytes.collect();
        let cells: Vec<_> = bytes.iter().map(|it| format!("{it:.1}")).collect();
        let of = |wanted: Kind| {
            kinds
                .iter()
                .position(|it| *it == wanted)
                .map(|at| bytes[at])
        };
        let ratio = match of(Kind::Larder).zip(of(Kind::Valkey)) {
            Some((ours, valkey)) => format!("{:.2}", ours / valkey),
            None => "-".into(),
        };
        println!("| {} | {} | {ratio} |", shape.name, cells.join(" | "));
    }
}

/// Says that a server does not have this, and stands in for its figure.
fn refused(shape: &Shape, kind: Kind, error: &anyhow::Error) -> f64 {
    eprintln!("{} on {kind}: {error:#}", shape.name);
    f64::NAN
}

/// The resident memory that each adds to an empty server.
fn bytes_of_one(shape: &Shape, server: &Server) -> Result<f64> {
    let before = resident_bytes(server.pid())?;
    load(server, shape.count, shape.make)?;
    std::thread::sleep(SETTLES_IN);
    let after = resident_bytes(server.pid())?;
    Ok(after.saturating_sub(before) as f64 / shape.count as f64)
}

fn key(at: usize) -> String {
    format!("key:{at:012}")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
