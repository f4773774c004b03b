//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use std::collections::BTreeMap;

use bytes::Bytes;
use larder_store::{Command, FromValue, Key, Refusal, Step, ToArgument, Value, Words};

use crate::twin::{flag, text};

/// What an INFO command says of one thing, by name.
pub(super) struct About(BTreeMap<String, Value>);

impl About {
    pub(super) fn get<T: FromValue>(&self, name: &str) -> Option<T> {
        T::from_value(self.0.get(name)?.clone()).ok()
    }

    pub(super) fn name(&self) -> Bytes {
        self.get("name").unwrap_or_default()
    }
}

/// An entry of a stream: its id and its fields.
pub(super) type Raw = (Bytes, Vec<Bytes>);

/// What is said of each thing on a list.
pub(super) fn all_about(step: &mut Step<'_>, command: Command) -> Result<Vec<About>, Refusal> {
    let list: Vec<BTreeMap<String, Value>> = step.run(command)?;
    Ok(list.into_iter().map(About).collect())
}

pub(super) fn groups_of(step: &mut Step<'_>, stream: &Key) -> Result<Vec<About>, Refusal> {
    all_about(step, Command::new("XINFO").arg("GROUPS").arg(stream))
}

pub(super) fn consumers_of(
    step: &mut Step<'_>,
    stream: &Key,
    group: &[u8],
) -> Result<Vec<About>, Refusal> {
    all_about(
        step,
        Command::new("XINFO")
            .arg("CONSUMERS")
            .arg(stream)
            .arg(group),
    )
}

pub(super) fn body_of(fields: &[Bytes]) -> Option<&Bytes> {
    let mut pairs = fields.chunks_exact(2);
    pairs
        .find(|pair| &pair[0][..] == b"body")
        .map(|pair| &pair[1])
}

pub(super) fn or_null(bytes: Option<Bytes>) -> Value {
    bytes.map_or(Value::Null, Value::Bytes)
}

/// An id as two numbers, which are in its order.
fn sortable(id: &[u8]) -> Option<(u64, u64)> {
    let (ms, seq) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

fn is_before(id: &[u8], other: &[u8]) -> bool {
    sortable(id) < sortable(other)
}

fn append(
    step: &mut Step<'_>,
    stream: &Key,
    body: &[u8],
    trim: &[u8],
    bound: &[u8],
) -> Result<Value, Refusal> {
    let add = Command::new("XADD").arg(stream);
    let add = match trim {
        b"MAXLEN" => add.arg("MAXLEN").arg("~").arg(bound),
        b"MAXAGE" => {
            let bound = std::str::from_utf8(bound)
                .ok()
                .and_then(|bound| bound.parse().ok());
            let bound: i64 = bound.ok_or_else(|| Refusal::new("ERR the bound is no number"))?;
            add.arg("MINID")
                .arg("~")
                .arg((step.time_ms() - bound).max(0))
        }
        _ => add,
    };
    step.run(add.arg("*").arg("body").arg(body))
}

/// The time of a stream, and what the store's clock shows.
pub(super) fn time_of(step: &mut Step<'_>, clock: &Key) -> Result<(i64, i64), Refusal> {
    let shown = step.time_ms();
    let noted: (Option<i64>, Option<i64>) = step.call("HMGET", clock, &[&"shown", &"ahead"])?;
    let (before, mut ahead) = (noted.0.unwrap_or(0), noted.1.unwrap_or(0));
    if shown < before {
        ahead += before - shown;
    }
    if shown != before {
        // A store that is full refuses it.
        let noted: [&dyn ToArgument; 4] = [&"shown", &shown, &"ahead", &ahead];
        let _ = step.call::<()>("HSET", clock, &noted);
    }
    Ok((shown + ahead, shown))
}

/// Members with their scores, which are whole numbers.
pub(super) fn scored(found: &[Bytes]) -> Vec<(Bytes, i64)> {
    let score = |score: &Bytes| -> Option<f64> { std::str::from_utf8(score).ok()?.parse().ok() };
    let pairs = found.chunks_exact(2);
    let pairs = pairs.map(|pair| (pair[0].clone(), score(&pair[1]).unwrap_or_default() as i64));
    pairs.collect()
}

fn entry(step: &mut Step<'_>, stream: &Key, id: &[u8]) -> Result<Option<Raw>, Refusal> {
    let found: Vec<Raw> = step.call("XRANGE", stream, &[&id, &id])?;
    Ok(found.into_iter().next())
}

pub(super) fn add(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    append(
        step,
        &keys[0],
        words.bytes(0)?,
        words.bytes(1)?,
        words.bytes(2)?,
    )
}

pub(super) fn unique(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (stream, names) = (&keys[0], &keys[1]);
    let name = words.bytes(0)?;
    let is_there = |step: &mut Step<'_>, id: &Option<Bytes>| match id {
        Some(id) => Ok(entry(step, stream, id)?.is_some()),
        None => Ok::<bool, Refusal>(false),
    };

    let before: Option<Bytes> = step.call("HGET", names, &[&name])?;
    if is_there(step, &before)? {
        return Ok(Value::Array(vec![or_null(before), Value::Int(0)]));
    }
    for other in step.call::<Vec<Bytes>>("HRANDFIELD", names, &[&2])? {
        let id: Option<Bytes> = step.call("HGET", names, &[&other])?;
        if !is_there(step, &id)? {
            step.call::<()>("HDEL", names, &[&other])?;
        }
    }
    let id = append(
        step,
        stream,
        words.bytes(1)?,
        words.bytes(2)?,
        words.bytes(3)?,
    )?;
    if let Value::Bytes(id) = &id {
        step.call::<()>("HSET", names, &[&name, id])?;
    }
    Ok(Value::Array(vec![id, Value::Int(1)]))
}

pub(super) fn delay(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (delayed, bodies) = (&keys[0], &keys[1]);
    let (name, how, body) = (words.bytes(0)?, words.bytes(1)?, words.bytes(3)?);
    let (now, shown) = time_of(step, &keys[2])?;
    let mut due = now + words.number::<i64>(2)?;
    if how == b"at" {
        due -= shown;
    }
    step.call::<()>("HSET", bodies, &[&name, &body])?;
    step.call::<()>("ZADD", delayed, &[&due, &name])?;
    Ok(flag(true))
}

pub(super) fn due(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (stream, delayed, bodies) = (&keys[0], &keys[1], &keys[2]);
    let most: i64 = words.number(0)?;
    let (trim, bound) = (words.bytes(1)?, words.bytes(2)?);
    let (now, shown) = time_of(step, &keys[3])?;

    let (mut added, mut until_due) = (0, -1);
    let first: Vec<Bytes> = step.call("ZRANGE", delayed, &[&0, &most, &"WITHSCORES"])?;
    for (name, due) in scored(&first) {
        if due > now || added == most {
            until_due = (due - now).max(0);
            break;
        }
        let body: Option<Bytes> = step.call("HGET", bodies, &[&name])?;
        if let Some(body) = body {
            append(step, stream, &body, trim, bound)?;
            added += 1;
        }
        step.call::<()>("ZREM", delayed, &[&name])?;
        step.call::<()>("HDEL", bodies, &[&name])?;
    }

    let range: [&dyn ToArgument; 6] = [&"-inf", &shown, &"WITHSCORES", &"LIMIT", &0, &100];
    let schedules: Vec<Bytes> = step.call("ZRANGEBYSCORE", &keys[4], &range)?;
    let mut ticks = Vec::new();
    for (name, due) in scored(&schedules) {
        let expression: Option<Bytes> = step.call("HGET", &keys[5], &[&name])?;
        let expression = text(expression.unwrap_or_default());
        ticks.push(Value::Array(vec![
            Value::Bytes(name),
            expression,
            Value::Int(due),
        ]));
    }
    let numbers = [added, until_due, shown].map(Value::Int);
    Ok(Value::Array(
        numbers.into_iter().chain([Value::Array(ticks)]).collect(),
    ))
}

pub(super) fn schedule(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (name, expression) = (words.bytes(0)?, words.bytes(1)?);
    let known: Option<Bytes> = step.call("HGET", &keys[1], &[&name])?;
    let is_known = known.as_deref() == Some(expression)
        && step
            .call::<Option<f64>>("ZSCORE", &keys[0], &[&name])?
            .is_some();
    step.call::<()>("HSET", &keys[2], &[&name, &words.bytes(2)?])?;
    if !is_known {
        step.call::<()>("HSET", &keys[1], &[&name, &expression])?;
        step.call::<()>("ZADD", &keys[0], &[&words.bytes(3)?, &name])?;
    }
    Ok(flag(!is_known))
}

pub(super) fn tick(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (name, was_due): (_, f64) = (words.bytes(0)?, words.number(1)?);
    let due: Option<f64> = step.call("ZSCORE", &keys[1], &[&name])?;
    if due != Some(was_due) {
        return Ok(flag(false));
    }
    if words.bytes(3)? == b"add" {
        let body: Option<Bytes> = step.call("HGET", &keys[2], &[&name])?;
        let body = body.unwrap_or_default();
        append(step, &keys[0], &body, words.bytes(4)?, words.bytes(5)?)?;
    }
    step.call::<()>("ZADD", &keys[1], &[&words.bytes(2)?, &name])?;
    Ok(flag(true))
}

pub(super) fn redrive(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let id = words.bytes(0)?;
    let letter = entry(step, &keys[1], id)?;
    let Some(body) = letter.as_ref().and_then(|(_, fields)| body_of(fields)) else {
        return Ok(Value::Null);
    };
    let added = append(step, &keys[0], body, words.bytes(1)?, words.bytes(2)?)?;
    step.call::<()>("XDEL", &keys[1], &[&id])?;
    Ok(added)
}

pub(super) fn create(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    const MARKS: &str = "larder:marks";
    let (stream, position) = (&keys[0], &keys[1]);
    let (group, mut start) = (words.bytes(0)?, Bytes::copy_from_slice(words.bytes(1)?));
    let xgroup = |what: &str, group: &[u8], more: &dyn ToArgument| {
        Command::new("XGROUP")
            .arg(what)
            .arg(stream)
            .arg(group)
            .arg(more)
    };

    if words.bytes(2)? == b"anew" {
        let marks = consumers_of(step, stream, MARKS.as_bytes()).unwrap_or_default();
        let is_marked = marks.iter().any(|mark| mark.name() == group);
        start = match is_marked {
            true => step.get(position)?.unwrap_or(start),
            false => Bytes::from_static(b"0"),
        };
    }
    let made = step.run::<()>(xgroup("CREATE", group, &start).arg("MKSTREAM"));
    let is_new = match made {
        Ok(()) => true,
        Err(refusal) if refusal.text().contains("BUSYGROUP") => false,
        Err(refusal) => return Err(refusal),
    };

    // It may be there already.
    let _ = step.run::<()>(xgroup("CREATE", MARKS.as_bytes(), &"0"));
    step.run::<()>(xgroup("CREATECONSUMER", MARKS.as_bytes(), &group))?;
    if is_new {
        for about in groups_of(step, stream)? {
            if about.name() == group {
                let last: Bytes = about.get("last-delivered-id").unwrap_or_default();
                step.call::<()>("SET", position, &[&last])?;
            }
        }
    }
    Ok(flag(is_new))
}

pub(super) fn info(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (stream, group) = (&keys[0], words.bytes(0)?);
    if !step.call::<bool>("EXISTS", stream, &[])? {
        return Ok(Value::Null);
    }
    let groups = groups_of(step, stream)?;
    let Some(about) = groups.iter().find(|about| about.name() == group) else {
        return Ok(Value::Null);
    };
    let consumers = consumers_of(step, stream, group)?;
    let consumers = consumers
        .iter()
        .filter(|consumer| !consumer.name().starts_with(b"larder:"));

    let (_, mut first, _, _): (i64, Option<Bytes>, Value, Value) =
        step.call("XPENDING", stream, &[&group])?;
    let last: Bytes = about.get("last-delivered-id").unwrap_or_default();
    if first.is_none() {
        let from = [b"(", &last[..]].concat();
        let next: Vec<Raw> = step.call("XRANGE", stream, &[&from, &"+", &"COUNT", &1])?;
        first = next.into_iter().next().map(|(id, _)| id);
    }
    Ok(Value::Array(vec![
        Value::Int(consumers.count() as i64),
        Value::Int(about.get("pending").unwrap_or(0)),
        step.call("ZCARD", &keys[1], &[])?,
        step.call("XLEN", &keys[2], &[])?,
        Value::Bytes(last),
        about.get::<i64>("lag").map_or(Value::Null, Value::Int),
        or_null(first),
        Value::Int(step.time_ms()),
    ]))
}

pub(super) fn trim(step: &mut Step<'_>, keys: &[Key], _: Words<'_>) -> Result<Value, Refusal> {
    let stream = &keys[0];
    let none = || Value::Array(vec![Value::Int(0), text(""), Value::Int(-1)]);
    if !step.call::<bool>("EXISTS", stream, &[])? {
        return Ok(none());
    }

    let mut lowest: Option<(Bytes, Bytes)> = None;
    for about in groups_of(step, stream)? {
        let name = about.name();
        let mut first_kept = after(&about.get::<Bytes>("last-delivered-id").unwrap_or_default());
        if about.get::<i64>("pending").unwrap_or(0) > 0 {
            let (_, first, _, _): (i64, Bytes, Value, Value) =
                step.call("XPENDING", stream, &[&name])?;
            first_kept = first;
        }
        let is_lower = lowest
            .as_ref()
            .is_none_or(|(lowest, _)| is_before(&first_kept, lowest));
        if !name.starts_with(b"larder:") && is_lower {
            lowest = Some((first_kept, name));
        }
    }
    let Some((lowest, holder)) = lowest else {
        return Ok(none());
    };

    let consumers = consumers_of(step, stream, &holder)?;
    let idle = consumers
        .iter()
        .filter_map(|consumer| consumer.get::<i64>("idle"));
    let silence = idle.min().unwrap_or(-1);
    let dropped = step.call("XTRIM", stream, &[&"MINID", &lowest])?;
    Ok(Value::Array(vec![
        dropped,
        Value::Bytes(holder),
        Value::Int(silence),
    ]))
}

/// The first id that comes after this one; the id itself where Lua can't count that far.
fn after(id: &[u8]) -> Bytes {
    let id_text = String::from_utf8_lossy(id);
    match id_text.split_once('-') {
        Some((ms, seq)) if seq.len() <= 15 => {
            let seq: u64 = seq.parse().unwrap_or_default();
            format!("{ms}-{}", seq + 1).into()
        }
        _ => Bytes::copy_from_slice(id),
    }
}

pub(super) fn read(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let stream = &keys[0];
    let (last, most): (_, i64) = (words.bytes(0)?, words.number(1)?);
    let mut seen: Option<i64> = words.number(2).ok();

    let from = [b"(", last].concat();
    let entries: Vec<Value> = step.call("XRANGE", stream, &[&from, &"+", &"COUNT", &most])?;
    let count = entries.len() as i64;
    let answer = |missed: i64, seen: Option<i64>| {
        let seen = seen.map_or(Value::Null, Value::Int);
        Value::Array(vec![Value::Array(entries), Value::Int(missed), seen])
    };
    if !step.call::<bool>("EXISTS", stream, &[])? {
        return Ok(answer(0, None));
    }

    let about = About(step.run(Command::new("XINFO").arg("STREAM").arg(stream))?);
    let first: Option<Raw> = about.get("first-entry");
    let deleted: Bytes = about.get("max-deleted-entry-id").unwrap_or_default();
    let is_whole = first.is_none_or(|(first, _)| is_before(&deleted, &first));
    let (Some(ever), Some(length), true) = (
        about.get::<i64>("entries-added"),
        about.get::<i64>("length"),
        is_whole,
    ) else {
        return Ok(answer(0, None));
    };

    let (trimmed, mut missed) = (ever - length, 0);
    if last == b"0-0" {
        seen = Some(trimmed);
    } else if let Some(known) = seen.filter(|seen| *seen < trimmed) {
        missed = trimmed - known;
        seen = Some(trimmed);
    }
    seen = match count < most {
        true => Some(ever),
        false => seen.map(|seen| seen + count),
    };
    Ok(answer(missed, seen))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::cursor::READ;
    use super::super::group::{CREATE, INFO, REDRIVE};
    use super::super::log::{ADD, ADD_UNIQUE, TRIM};
    use super::super::schedule::{DELAY, DUE, SCHEDULE, TICK};

    #[test]
    fn what_streams_do_in_lua_they_do_in_rust() {
        let stream = Keys::new("shop", "stream").of("orders");
        let part = |name: &str| stream.part(name);
        let due = [
            stream.clone(),
            part("delayed"),
            part("bodies"),
            part("clock"),
            part("schedules"),
            part("expressions"),
            part("values"),
        ];
        let delay = [due[1].clone(), due[2].clone(), due[3].clone()];
        let schedules = [due[4].clone(), due[5].clone(), due[6].clone()];
        let tick = [stream.clone(), due[4].clone(), due[6].clone()];
        let [names, position, retries, dead] = ["names", "position", "retries", "dead"].map(part);
        let only = std::slice::from_ref(&stream);
        compare_twins(0..100, |random| {
            let name = one_of(random, &["one", "two", "three"]);
            let (trim, bound) = one_of(random, &[("", ""), ("MAXLEN", "3"), ("MAXAGE", "400")]);
            let group = one_of(random, &["mail", "stock"]);
            let soon = one_of(random, &["0", "50", "400"]);
            match random.random_range(0..22) {
                0..3 => Turn::of(&ADD, only, &["body", trim, bound]),
                3 => {
                    let keys = [stream.clone(), names.clone()];
                    Turn::of(&ADD_UNIQUE, &keys, &[name, "body", trim, bound])
                }
                4 => Turn::of(
                    &DELAY,
                    &delay,
                    &[name, one_of(random, &["in", "at"]), soon, "later"],
                ),
                5..7 => Turn::of(&DUE, &due[..6], &["2", trim, bound]),
                7 => Turn::of(&SCHEDULE, &schedules, &[name, "* * * * *", "tick", "1000"]),
                8 => Turn::of(&TICK, &tick, &[name, "1000", "2000", "add", trim, bound]),
                9..11 => {
                    let keys = [stream.clone(), position.clone()];
                    let how = one_of(random, &["first", "anew"]);
                    Turn::of(&CREATE, &keys, &[group, one_of(random, &["0", "$"]), how])
                }
                11..13 => {
                    let keys = [stream.clone(), retries.clone(), dead.clone()];
                    Turn::of(&INFO, &keys, &[group])
                }
                13 => Turn::of(
                    &REDRIVE,
                    &[stream.clone(), dead.clone()],
                    &["5-1", trim, bound],
                ),
                14 => Turn::command("XADD", &dead, &["5-1", "id", "1-1", "body", "lost"]),
                15 => Turn::of(&TRIM, only, &[]),
                16..18 => {
                    let last = one_of(random, &["0-0", "1-1", "99999999999999-0"]);
                    let seen = one_of(random, &["", "0", "2"]);
                    Turn::of(&READ, only, &[last, "3", seen])
                }
                18 => Turn::Command(
                    larder_store::Command::new("XREADGROUP")
                        .args(["GROUP", group, "ann", "COUNT", "2", "STREAMS"])
                        .arg(&stream)
                        .arg(">"),
                ),
                19 => Turn::command("DEL", one_of(random, &[&stream, &dead]), &[]),
                20 => Turn::SetBack(Duration::from_millis(random.random_range(1..400))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..300_000))),
            }
        });
    }
}
