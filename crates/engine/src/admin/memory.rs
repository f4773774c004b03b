//! How much memory keys take.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "MEMORY USAGE",
        run: usage,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
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
