//! MSETEX: several strings, a condition on all their keys, and one time at which they expire. It is
//! that of Valkey 9.1, and of Redis 8.4.

use super::commands::put_until;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::generic::expiry::{ExpireOption, expire_option};
use crate::keyspace::Expiry;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "MSETEX",
    run: msetex,
    arity: Arity::AtLeast(4),
    keys: KeySpec::CountedPairs(1),
    flags: Flags::WRITE.and(Flags::DENY_OOM),
    syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | \
             EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    summary: "Gives keys their strings, if all of them are there or none is, and says when they expire.",
    complexity: "O(n), n the number of keys.",
    since: "8.4.0",
}];

fn msetex(call: &mut Call<'_, '_>) -> Result<()> {
    let count = call.args.positive_or(bad_count())?;
    let count = i32::try_from(count).map_err(|_| bad_count())?;
    let pairs = call.args.take(2 * count as usize)?;
    let (wanted, expiry) = read_options(call)?;

    let mut keys = pairs.iter().step_by(2);
    let is_allowed =
        wanted.is_none_or(|is_there| keys.all(|key| call.keyspace.exists(key) == is_there));
    if is_allowed {
        let values = pairs.iter().skip(1).step_by(2);
        for (key, value) in pairs.iter().step_by(2).zip(values) {
            put_until(call.keyspace, key, value, expiry);
        }
    }
    call.reply.int(i64::from(is_allowed));
    Ok(())
}

fn bad_count() -> Error {
    Error::text("ERR invalid numkeys value or out of range")
}

/// Reads whether all keys have to be there, or none, and when they expire. An option may be given twice,
/// and then the last one counts.
fn read_options(call: &mut Call<'_, '_>) -> Result<(Option<bool>, Expiry)> {
    let (mut is_there, mut keeps) = (None, false);
    let mut until: Option<(&[u8], Result<ExpireOption>)> = None;
    let now_ms = call.keyspace.now_ms();
    while let Some(word) = call.args.peek() {
        let is_same_unit = |(unit, _): &(&[u8], _)| word.eq_ignore_ascii_case(unit);
        if is_there != Some(true) && call.args.option("NX") {
            is_there = Some(false);
        } else if is_there != Some(false) && call.args.option("XX") {
            is_there = Some(true);
        } else if until.is_none() && call.args.option("KEEPTTL") {
            keeps = true;
        } else if !keeps
            && until.as_ref().is_none_or(is_same_unit)
            && let Some(option) = expire_option(&mut call.args, "msetex", now_ms).transpose()
        {
            until = Some((word, option));
        } else {
            return Err(Error::Syntax);
        }
    }
    // A time is refused when all options have been read.
    let expiry = match until {
        Some((_, option)) => Expiry::At(option?.at_ms),
        None if keeps => Expiry::Keep,
        None => Expiry::Clear,
    };
    Ok((is_there, expiry))
}
