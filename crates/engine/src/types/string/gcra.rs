//! GCRA: a rate limit by the generic cell rate algorithm, in one command. It is that of Redis 8.8, after
//! its documentation.
//!
//! A key holds one number: the time, in microseconds since 1970, at which its bucket would be full
//! again. Tokens that are taken put it off, by the time in which so many come back; tokens are refused
//! that would put it off by more than a full bucket takes from now. So `now` and that time are all there
//! is to know:
//!
//! ```text
//!        now                          full again
//!   ------+----------------------------+----------------+---> time
//!         |<-- what has been taken --->|<--- left ----->|
//!         |<------------- a full bucket --------------->|
//! ```

use crate::args::parse_int;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::Expiry;
use crate::reply::Reply;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "GCRA",
    run: gcra,
    arity: Arity::AtLeast(5),
    keys: KeySpec::First,
    flags: Flags::WRITE.and(Flags::DENY_OOM).and(Flags::FAST),
    syntax: "key max-burst tokens-per-period period [TOKENS count]",
    summary: "Takes tokens from a bucket that fills at an even rate, if there are so many.",
    complexity: "O(1)",
    since: "8.8.0",
}];

/// The periods that are allowed, in seconds, are below this.
const PERIOD_END_S: f64 = 1e12;

/// A bucket, and how many tokens are wanted of it.
struct Wanted {
    /// How many tokens a full bucket has.
    capacity: i64,
    /// How long it takes for one token to come back, in microseconds.
    interval_us: i64,
    /// How long it takes for a whole bucket to come back, in microseconds.
    bucket_us: i64,
    /// How long it takes for what is wanted to come back, in microseconds.
    tokens_us: i64,
}

impl Wanted {
    fn read(call: &mut Call<'_, '_>) -> Result<Wanted> {
        if call.args.len() > 5 {
            return Err(Error::WrongArity(call.command.full_name()));
        }
        let burst = call.args.natural()? as i64;
        let per_period = positive(call)?;
        let period_s = call.args.float()?;
        if !(period_s > 0.0 && period_s < PERIOD_END_S) {
            return Err(Error::text("ERR period must be > 0 and < 1e12"));
        }
        let tokens = match call.args.is_empty() {
            true => 1,
            false if !call.args.option("TOKENS") => return Err(Error::Syntax),
            false if call.args.is_empty() => return Err(Error::text("ERR Missing TOKENS value")),
            false => positive(call)?,
        };

        let capacity = burst.saturating_add(1);
        let interval_us = (period_s * 1e6 / per_period as f64).round().max(1.0) as i64;
        let times = |count: i64, name| interval_us.checked_mul(count).ok_or_else(|| too_long(name));
        Ok(Wanted {
            capacity,
            interval_us,
            tokens_us: times(tokens, "TOKENS")?,
            bucket_us: times(capacity, "max_burst")?,
        })
    }
}

/// What is refused where times are beyond 63 bits.
fn too_long(name: &str) -> Error {
    Error::text(format!(
        "ERR GCRA limiting uses microsecond accuracy. Combination of period, tokens_per_period and \
         {name} would cause an overflow"
    ))
}

/// Reads a number above 0.
fn positive(call: &mut Call<'_, '_>) -> Result<i64> {
    let refusal =
        Error::text("ERR value is out of range, value must between 1 and 9223372036854775807");
    Some(call.args.int()?)
        .filter(|number| *number > 0)
        .ok_or(refusal)
}

fn gcra(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let wanted = Wanted::read(call)?;
    // To the millisecond, as the times at which keys expire.
    let now_us = (call.keyspace.now_ms() * 1000) as i64;
    let full_us = match call.keyspace.read_string(key)? {
        None => now_us,
        Some(string) => {
            let number = string.with_bytes(parse_int);
            number.ok_or(Error::text("ERR Invalid GCRA key"))?
        }
    };
    if full_us <= 0 {
        return Err(Error::text("ERR Negative time is invalid value for GCRA"));
    }

    let put_off_us = full_us.max(now_us).checked_add(wanted.tokens_us);
    let put_off_us = put_off_us.ok_or_else(|| too_long("TOKENS"))?;
    let beyond_us = put_off_us - now_us - wanted.bucket_us;
    if beyond_us > 0 {
        // What is more than a full bucket never comes.
        let can_come = wanted.tokens_us <= wanted.bucket_us;
        let retry_after_s = if can_come { seconds(beyond_us) } else { -1 };
        answer(call.reply, &wanted, Some(retry_after_s), full_us - now_us);
        return Ok(());
    }
    let expiry = Expiry::At(put_off_us as u64 / 1000);
    call.keyspace.put_int(key, put_off_us, expiry);
    answer(call.reply, &wanted, None, put_off_us - now_us);
    Ok(())
}

/// Answers whether the tokens were refused, and then after how many seconds they would not be; how many
/// tokens are left, and when all of them are.
fn answer(reply: &mut dyn Reply, wanted: &Wanted, refused: Option<i64>, taken_us: i64) {
    let left_us = wanted.bucket_us.saturating_sub(taken_us);
    reply.array(5);
    reply.int(i64::from(refused.is_some()));
    reply.int(wanted.capacity);
    reply.int((left_us / wanted.interval_us).max(0));
    reply.int(refused.unwrap_or(-1));
    reply.int(seconds(taken_us));
}

/// So many whole seconds, or one more if there is a rest.
fn seconds(us: i64) -> i64 {
    us.div_euclid(1_000_000) + i64::from(us.rem_euclid(1_000_000) > 0)
}
