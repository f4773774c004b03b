//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use bytes::Bytes;
use larder_store::{Command, Expires, Key, Refusal, Step, Value, Words};

use crate::twin::{flag, integers};

const GONE_KEPT_US: i64 = 60_000_000;
const GONE_LEN: usize = 1000;

/// The owner and the token of a lock that is held.
fn held(step: &mut Step<'_>, lock: &Key) -> Result<(Option<Bytes>, Option<i64>), Refusal> {
    step.call("HMGET", lock, &[&"owner", &"token"])
}

pub(super) fn acquire(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (lock, last) = (&keys[0], &keys[1]);
    let owner = words.bytes(0)?;
    let (ttl, remember): (i64, i64) = (words.number(1)?, words.number(2)?);

    let (holder, token) = held(step, lock)?;
    let mut left: i64 = step.call("PTTL", lock, &[])?;
    let is_ours = holder.as_deref() == Some(owner);
    if is_ours || holder.is_some() && left < 0 {
        step.call::<()>("PEXPIRE", lock, &[&ttl])?;
        left = ttl;
    }
    if is_ours {
        return Ok(integers([1, token.unwrap_or(0), left]));
    }
    if holder.is_some() {
        return Ok(integers([0, 0, left]));
    }

    let now = step.time_us();
    // By far the most have nothing behind the token.
    let (before, gone) = match step.get_int(last) {
        Ok(before) => (before.unwrap_or(0), String::new()),
        Err(_) => last_and_gone(step, last, None)?,
    };
    if !gone.is_empty() && gone.contains(&format!(":{}", String::from_utf8_lossy(owner))) {
        return Ok(integers([0, 0, 0]));
    }
    let token = now.max(before + 1);
    let remember = Expires::AfterMs(remember);
    match gone.is_empty() || now - latest_us(&gone) > GONE_KEPT_US {
        true => step.set_int(last, token, remember)?,
        false => step.set(last, format!("{token}{gone}").as_bytes(), remember)?,
    }
    step.call::<()>("HSET", lock, &[&"owner", &owner, &"token", &token])?;
    step.call::<()>("PEXPIRE", lock, &[&ttl])?;
    Ok(integers([1, token, ttl]))
}

pub(super) fn extend(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (lock, last) = (&keys[0], &keys[1]);
    let (owner, ttl): (_, i64) = (words.bytes(0)?, words.number(1)?);

    let (holder, token) = held(step, lock)?;
    if holder.as_deref() != Some(owner) {
        return Ok(flag(false));
    }
    if step.call::<i64>("PTTL", lock, &[])? < ttl {
        step.call::<()>("PEXPIRE", lock, &[&ttl])?;
    }
    remember(step, last, token, words.number(2)?)?;
    Ok(flag(true))
}

pub(super) fn release(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (lock, last) = (&keys[0], &keys[1]);
    let (owner, channel) = (words.bytes(0)?, words.bytes(1)?);
    let (for_ms, may_come_late) = (words.number(2)?, words.bytes(3)? == b"1");
    let publish = String::from_utf8_lossy(words.bytes(4)?);

    let (holder, token) = held(step, lock)?;
    let is_held = holder.as_deref() == Some(owner);
    if is_held {
        step.del(lock)?;
    }
    if may_come_late {
        let now_ms = step.time_us() / 1000;
        let (token, gone) = last_and_gone(step, last, token.filter(|_| is_held))?;
        let mut gone = format!(" {now_ms}:{}{gone}", String::from_utf8_lossy(owner));
        gone.truncate(GONE_LEN);
        // A store that is full may not take it.
        let _ = step.set(
            last,
            format!("{token}{gone}").as_bytes(),
            Expires::AfterMs(for_ms),
        );
    } else if is_held {
        remember(step, last, token, for_ms)?;
    }
    if is_held {
        step.run::<()>(Command::new(&publish).arg(channel).arg("released"))?;
    }
    Ok(flag(is_held))
}

/// The last token, or else this one, or 0; and what stands behind it: the requests that were given up.
fn last_and_gone(
    step: &mut Step<'_>,
    last: &Key,
    or: Option<i64>,
) -> Result<(i64, String), Refusal> {
    let Some(text) = step.get(last)? else {
        return Ok((or.unwrap_or(0), String::new()));
    };
    let text = String::from_utf8_lossy(&text);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (token, gone) = text.split_at(digits);
    Ok((token.parse().unwrap_or(0), gone.to_owned()))
}

/// When the latest of these requests was given up.
fn latest_us(gone: &str) -> i64 {
    let ms = gone.trim_start().split(':').next();
    ms.and_then(|ms| ms.parse::<i64>().ok()).unwrap_or(0) * 1000
}

/// Remembers the last token for so many milliseconds from now.
fn remember(
    step: &mut Step<'_>,
    last: &Key,
    token: Option<i64>,
    for_ms: i64,
) -> Result<(), Refusal> {
    if !step.call::<bool>("PEXPIRE", last, &[&for_ms])?
        && let Some(token) = token
    {
        // A store that is full may not take it.
        let _ = step.set_int(last, token, Expires::AfterMs(for_ms));
    }
    Ok(())
}

pub(super) fn holder(step: &mut Step<'_>, keys: &[Key], _: Words<'_>) -> Result<Value, Refusal> {
    let token: Option<i64> = step.call("HGET", &keys[0], &[&"token"])?;
    let Some(token) = token else {
        return Ok(Value::Null);
    };
    Ok(integers([token, step.call("PTTL", &keys[0], &[])?]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::calls::{ACQUIRE, EXTEND, HOLDER, RELEASE};

    #[test]
    fn what_locks_do_in_lua_they_do_in_rust() {
        let lock = Keys::new("shop", "lock").of("stock");
        let keys = [lock.clone(), lock.part("fence")];
        compare_twins(0..100, |random| {
            let owner = one_of(random, &["ann", "bob"]);
            let ms = random.random_range(1..500).to_string();
            let late = one_of(random, &["0", "1"]);
            let (script, words) = match random.random_range(0..13) {
                0..3 => (&ACQUIRE, vec![owner, &ms, "90000"]),
                3..5 => (&EXTEND, vec![owner, &ms, "700"]),
                5..7 => (&RELEASE, vec![owner, "free", "90000", late, "PUBLISH"]),
                7 => return Turn::of(&HOLDER, &keys[..1], &[]),
                8 => return Turn::command("PERSIST", &keys[0], &[]),
                9 => return Turn::command("SET", &keys[1], &["9007199254740000"]),
                10 => return Turn::Pass(Duration::from_secs(random.random_range(1..80))),
                11 => return Turn::SetBack(Duration::from_millis(random.random_range(1..900))),
                _ => return Turn::Pass(Duration::from_micros(random.random_range(1..300_000))),
            };
            Turn::of(script, &keys, &words)
        });
    }
}
