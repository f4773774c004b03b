//! How much memory keys take.

use super::help;
use crate::command::{Arity, Call, Command, Flags, Keys};
use crate::error::{Error, Result};
use crate::keyspace::entry::Entry;

/// How many keys of a database an estimate looks at.
const SAMPLES: usize = 32;

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "MEMORY USAGE",
        run: usage,
        arity: Arity::AtLeast(3),
        keys: Keys::First,
        flags: Flags::READONLY,
        syntax: "key [SAMPLES count]",
        summary: "Says how many bytes a key and its value take. Nothing is sampled: all is counted.",
        complexity: "O(1)",
        since: "4.0.0",
    },
    help::row("MEMORY HELP", "4.0.0"),
];

fn usage(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    while !call.args.is_empty() {
        if !call.args.option("SAMPLES") {
            return Err(Error::Syntax);
        }
        if call.args.int()? < 0 {
            return Err(Error::Syntax);
        }
    }
    match call.keyspace.entry(key) {
        Some(entry) => call.reply.int(entry.bytes() as i64),
        None => call.reply.null(),
    }
    Ok(())
}

/// The average time that keys with an expiry have left, as a sample of all keys says.
pub(super) fn average_ttl_ms(call: &Call<'_, '_>) -> u64 {
    let now_ms = call.keyspace.now_ms();
    let times = sample(call).filter_map(Entry::expires_at);
    average(times.map(|at| at.saturating_sub(now_ms)))
}

/// Some entries of the database, chosen at random.
fn sample<'a>(call: &'a Call<'_, '_>) -> impl Iterator<Item = &'a Entry> {
    let samples = SAMPLES.min(call.engine.keys(call.keyspace.db()));
    (0..samples).filter_map(|_| call.keyspace.sample(|| call.engine.random()))
}

fn average(numbers: impl Iterator<Item = u64>) -> u64 {
    let (sum, count) = numbers.fold((0, 0), |(sum, count), number| (sum + number, count + 1));
    u64::checked_div(sum, count).unwrap_or(0)
}
