//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use bytes::Bytes;
use larder_store::{Expires, Key, Refusal, Step, Value, Words};

use crate::twin::{flag, text};

pub(super) fn lookup(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (entry, lease) = (&keys[0], &keys[1]);
    let (token, granted_ms): (_, i64) = (words.bytes(0)?, words.number(1)?);

    let first: Bytes = step.call("GETRANGE", entry, &[&0, &8])?;
    if !first.is_empty() && first != words.bytes(2)? {
        return Ok(Value::Int(2));
    }
    let holder = step.get(lease)?;
    let is = |token: &[u8]| holder.as_deref() == Some(token);
    if holder.is_none() || is(token) || words.from(3).iter().any(is) {
        step.set(lease, token, Expires::AfterMs(granted_ms))?;
        return Ok(Value::Int(1));
    }
    if step.call::<i64>("PTTL", lease, &[])? > granted_ms {
        step.call::<()>("PEXPIRE", lease, &[&granted_ms])?;
    }
    Ok(Value::Int(0))
}

pub(super) fn put(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (entry, lease) = (&keys[0], &keys[1]);
    if step.get(lease)?.as_deref() != Some(words.bytes(0)?) {
        return Ok(flag(false));
    }
    let expires = match words.number(2)? {
        0 => Expires::Never,
        kept_ms => Expires::AfterMs(kept_ms),
    };
    step.del(lease)?;
    step.set(entry, words.bytes(1)?, expires)?;
    Ok(flag(true))
}

pub(super) fn extend(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    if step.get(&keys[0])?.as_deref() != Some(words.bytes(0)?) {
        return Ok(flag(false));
    }
    step.call("PEXPIRE", &keys[0], &[&words.bytes(1)?])
}

pub(super) fn tag(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let tag = &keys[0];
    let kept_ms: i64 = words.number(0)?;

    let Some(version) = step.get(tag)? else {
        let version = words.bytes(1)?;
        let expires = match kept_ms {
            1.. => Expires::AfterMs(2 * kept_ms),
            _ => Expires::Never,
        };
        step.set(tag, version, expires)?;
        return Ok(text(version));
    };
    let left_ms: i64 = step.call("PTTL", tag, &[])?;
    if left_ms >= 0 && kept_ms == 0 {
        step.call::<()>("PERSIST", tag, &[])?;
    } else if left_ms >= 0 && left_ms < kept_ms {
        step.call::<()>("PEXPIRE", tag, &[&(2 * kept_ms)])?;
    }
    Ok(Value::Bytes(version))
}

pub(super) fn marks(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (count, fresh): (i64, _) = (words.number(0)?, words.bytes(1)?);
    let mut marks = Vec::new();
    for number in 0..count {
        let mark: Option<Bytes> = step.call("HGET", &keys[0], &[&number])?;
        marks.push(match mark {
            Some(mark) => Value::Bytes(mark),
            None => {
                step.call::<()>("HSET", &keys[0], &[&number, &fresh])?;
                text(fresh)
            }
        });
    }
    step.call::<()>("PEXPIRE", &keys[0], &[&words.bytes(2)?])?;
    Ok(Value::Array(marks))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::lease::{EXTEND, LOOKUP, PUT};
    use super::super::versions::{MARKS, TAG};

    #[test]
    fn what_caches_do_in_lua_they_do_in_rust() {
        let keys = Keys::new("shop", "cache");
        let entry = keys.of("home");
        let filled = [entry.clone(), entry.part("lease")];
        let (tag, marks) = ([keys.of("tag")], [keys.only()]);
        compare_twins(0..100, |random| {
            let token = one_of(random, &["ann", "bob", "eve"]);
            let ms = one_of(random, &["1", "50", "300"]);
            let seen = one_of(random, &["", "entry one", "entry two"]);
            let kept = one_of(random, &["0", "20", "400"]);
            let number = one_of(random, &["0", "1", "2"]);
            match random.random_range(0..14) {
                0..3 => Turn::of(&LOOKUP, &filled, &[token, ms, seen]),
                3 => Turn::of(&LOOKUP, &filled, &[token, ms, seen, "bob", "carl"]),
                4..6 => Turn::of(&PUT, &filled, &[token, "entry two, of a page", kept]),
                6 => Turn::of(&EXTEND, &filled[1..], &[token, kept]),
                7..9 => Turn::of(&TAG, &tag, &[kept, token]),
                9 => Turn::of(&MARKS, &marks, &["4", token, ms]),
                10 => Turn::command("HDEL", &marks[0], &[number]),
                11 => Turn::command("UNLINK", &filled[0], &[]),
                12 => Turn::SetBack(Duration::from_millis(random.random_range(1..500))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..200_000))),
            }
        });
    }
}
