//! Requests of every row of the table, with numbers and texts in them that nobody would send.

use larder_engine::commands;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::request::Request;
use super::{Row, Subject, Words, parts, values};

/// What is not sent: it stops or slows down what sends it, or changes how much memory may be taken.
const LEFT_OUT: &[&str] = &[
    "DEBUG",
    "CLIENT PAUSE",
    "CONFIG",
    "PFSELFTEST",
    "SHUTDOWN",
    "ACL",
    "AUTH",
];

/// Numbers at which something ends.
const NUMBERS: &str = "0 -1 1 127 128 255 256 32767 65535 65536 1000000 16777215 16777216 536870911 \
    536870912 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 4503599627370496 \
    9007199254740993 4611686018427387904 9223372036854775806 9223372036854775807 \
    -9223372036854775807 -9223372036854775808 9223372036854775808 18446744073709551615 \
    18446744073709551616 1e308 -1e308 1e-320 nan inf -inf 0x7fffffff 1e19 \
    18446744073709551615-18446744073709551615 9223372036854775807-0 -9223372036854775808-1";

/// Makes sequences of requests that try what breaks.
pub struct Wild {
    rows: Vec<Row>,
}

impl Wild {
    /// A generator.
    pub fn new() -> Wild {
        let is_sent = |name: &str| {
            let is_left_out = |out: &&str| name == *out || name.starts_with(&format!("{out} "));
            !LEFT_OUT.iter().any(is_left_out)
        };
        let rows = commands().filter(|(_, command)| is_sent(command.name));
        Wild {
            rows: rows
                .map(|(family, command)| Row {
                    command,
                    family,
                    parts: parts(command.syntax),
                })
                .collect(),
        }
    }

    /// A sequence of requests, most of which are about one family.
    pub fn program(&self, random: &mut StdRng) -> Vec<Words> {
        let families = Subject::Commands.families();
        let theme = families.choose(random).copied().unwrap_or_default();
        let own: Vec<&Row> = self.rows.iter().filter(|row| row.family == theme).collect();
        let any: Vec<&Row> = self.rows.iter().collect();
        let count = random.random_range(5..60);
        let mut program = Vec::new();
        for _ in 0..count {
            let rows = if random.random_bool(0.7) { &own } else { &any };
            let Some(row) = rows.choose(random) else {
                continue;
            };
            let family = match row.family {
                "generic" | "server" | "transactions" => theme,
                family => family,
            };
            let mut words = Request::of(random, row, family);
            // The names of the command stay.
            let name = row.command.name.split(' ').count();
            for word in words.iter_mut().skip(name) {
                if random.random_bool(0.12) {
                    *word = wild(random);
                }
            }
            program.push(words);
        }
        program
    }
}

impl Default for Wild {
    fn default() -> Wild {
        Wild::new()
    }
}

fn wild(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..20) {
        0..14 => values::one_of(random, &NUMBERS.split_whitespace().collect::<Vec<_>>()),
        14 => vec![b'a'; 70_000],
        15 => vec![0xff; random.random_range(0..300)],
        16 => (0..random.random_range(0..30))
            .map(|_| random.random())
            .collect(),
        _ => values::odd(random),
    }
}
