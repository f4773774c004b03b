//! Commands on the server as a whole.

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::Result;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "TIME",
    run: time,
    arity: Arity::Exactly(1),
    keys: KeySpec::None,
    flags: Flags::FAST,
    syntax: "",
    summary: "Gives the server's time: seconds since the epoch, and microseconds.",
    complexity: "O(1)",
    since: "2.6.0",
}];

fn time(call: &mut Call<'_, '_>) -> Result<()> {
    let us = call.now().unix_us();
    call.reply.array(2);
    for number in [us / 1_000_000, us % 1_000_000] {
        let mut digits = itoa::Buffer::new();
        call.reply.bulk(digits.format(number).as_bytes());
    }
    Ok(())
}
