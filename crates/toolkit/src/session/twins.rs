//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use bytes::Bytes;
use larder_store::{Command, End, Expires, Key, Refusal, Step, ToArgument, Value, Words};

use super::device;
use crate::twin::{flag, integers, text};

/// What all scripts on a user's sessions share: `common.lua`.
struct Sessions<'a, 's> {
    step: &'a mut Step<'s>,
    /// The sessions, the index, and in scripts on one session the word of where it went.
    keys: &'a [Key],
    now: i64,
}

/// What is known of a session.
struct Known {
    version: i64,
    created: i64,
    seen: i64,
    idle: i64,
    absolute: i64,
    save: Vec<u8>,
    expires: i64,
}

impl Known {
    /// Reads what a store has noted, as what it is now.
    fn read(noted: &[u8], now: i64) -> Option<Known> {
        let mut words = noted.split(|&byte| byte == b' ');
        let mut number = || {
            let word = words.next()?;
            let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
            let word = std::str::from_utf8(word).ok().filter(|_| is_number)?;
            word.parse::<i64>().ok()
        };
        let (version, created, seen) = (number()?, number()?, number()?);
        let (idle, absolute) = (number()?, number()?);
        let save = words.next().filter(|_| words.next().is_none())?;
        if save.is_empty() || !save.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let (created, seen) = (created.min(now), seen.min(now));
        Some(Known {
            version,
            created,
            seen,
            idle,
            absolute,
            save: save.to_vec(),
            expires: (seen + idle).min(created + absolute),
        })
    }

    fn shown(&self) -> Value {
        let ends = self.created + self.absolute;
        integers([self.version, self.created, self.seen, self.expires, ends])
    }
}

impl<'a, 's> Sessions<'a, 's> {
    fn new(step: &'a mut Step<'s>, keys: &'a [Key]) -> Sessions<'a, 's> {
        let now = step.time_ms();
        Sessions { step, keys, now }
    }

    fn read(&mut self, digest: &[u8]) -> Result<Option<Known>, Refusal> {
        let field = meta(digest);
        let noted = self.step.hget(&self.keys[0], &field)?;
        Ok(noted.and_then(|noted| Known::read(&noted, self.now)))
    }

    fn get(&mut self, digest: &[u8]) -> Result<Option<Known>, Refusal> {
        let session = self.read(digest)?;
        Ok(session.filter(|session| session.expires > self.now))
    }

    fn data(&mut self, digest: &[u8]) -> Result<Option<Bytes>, Refusal> {
        self.step.hget(&self.keys[0], digest)
    }

    fn set_data(&mut self, digest: &[u8], data: &[u8]) -> Result<(), Refusal> {
        self.step.hset(&self.keys[0], digest, data)
    }

    fn put(&mut self, digest: &[u8], session: &mut Known) -> Result<(), Refusal> {
        let Known {
            version,
            created,
            seen,
            idle,
            absolute,
            ..
        } = *session;
        let mut noted = format!("{version} {created} {seen} {idle} {absolute} ").into_bytes();
        noted.extend_from_slice(&session.save);
        self.step.hset(&self.keys[0], &meta(digest), &noted)?;
        session.expires = (seen + idle).min(created + absolute);
        self.step.zadd(&self.keys[1], session.expires, digest)
    }

    fn remove(&mut self, digests: &[Bytes]) -> Result<(), Refusal> {
        for digest in digests {
            self.step
                .call::<()>("HDEL", &self.keys[0], &[digest, &meta(digest)])?;
            self.step.call::<()>("ZREM", &self.keys[1], &[digest])?;
        }
        Ok(())
    }

    fn keep(&mut self) -> Result<(), Refusal> {
        if let Some(expires) = self.step.zscore_at(&self.keys[1], End::Highest)? {
            for key in &self.keys[..2] {
                self.step.pexpireat(key, expires as i64)?;
            }
        }
        Ok(())
    }

    fn prune(&mut self) -> Result<(), Refusal> {
        let (index, now) = (&self.keys[1], self.now);
        let first = self.step.zscore_at(index, End::Lowest)?;
        if first.is_none_or(|expires| expires as i64 > now) {
            return self.keep();
        }
        let some: [&dyn ToArgument; 5] = [&"-inf", &now, &"LIMIT", &0, &1000];
        let expired: Vec<Bytes> = self.step.call("ZRANGEBYSCORE", index, &some)?;
        self.remove(&expired)?;
        self.keep()
    }

    fn mend(&mut self) -> Result<(), Refusal> {
        let fields: i64 = self.step.call("HLEN", &self.keys[0], &[])?;
        if fields == 2 * self.step.call::<i64>("ZCARD", &self.keys[1], &[])? {
            return Ok(());
        }
        self.step.del(&self.keys[1])?;
        for field in self.step.call::<Vec<Bytes>>("HKEYS", &self.keys[0], &[])? {
            if let Some(digest) = field.strip_suffix(b":m")
                && let Some(session) = self.read(digest)?
            {
                self.step.zadd(&self.keys[1], session.expires, digest)?;
            }
        }
        self.keep()
    }

    /// How many have not expired.
    fn count(&mut self) -> Result<i64, Refusal> {
        let from = self.after_now();
        self.step.call("ZCOUNT", &self.keys[1], &[&from, &"+inf"])
    }

    fn after_now(&self) -> String {
        format!("({}", self.now)
    }

    /// The word of where a session went.
    fn word(&mut self) -> Result<Value, Refusal> {
        Ok(self
            .step
            .get(&self.keys[2])?
            .map_or(Value::Null, Value::Bytes))
    }

    /// What `save.lua` answers of a session that is another than was thought.
    fn conflict(&mut self, digest: &[u8], session: &Known) -> Result<Value, Refusal> {
        let data = self.data(digest)?.map_or(Value::Null, Value::Bytes);
        Ok(Value::Array(vec![Value::Int(1), session.shown(), data]))
    }

    /// What it answers if there is no such session.
    fn missing(&mut self) -> Result<Value, Refusal> {
        Ok(Value::Array(vec![Value::Int(0), Value::Null, self.word()?]))
    }
}

/// The field of what is known of a session.
fn meta(digest: &[u8]) -> Vec<u8> {
    [digest, b":m"].concat()
}

/// What `save.lua` answers if it is done.
fn saved(session: &Known) -> Value {
    Value::Array(vec![Value::Int(2), session.shown(), Value::Null])
}

pub(super) fn create(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let (digest, data) = (words.bytes(0)?, words.bytes(1)?);
    let most: i64 = words.number(4)?;
    let mut sessions = Sessions::new(step, keys);

    sessions.mend()?;
    let mut leaving = Vec::new();
    if most > 0 {
        if words.bytes(5)? == b"1" && sessions.count()? >= most {
            let text = "TOOMANY the user has as many sessions as are allowed";
            return Err(Refusal::new(text));
        }
        leaving = sessions.step.call("ZRANGE", &keys[1], &[&0, &-most])?;
    }
    let mut session = Known {
        version: 1,
        created: sessions.now,
        seen: sessions.now,
        idle: words.number(2)?,
        absolute: words.number(3)?,
        save: b"0".to_vec(),
        expires: 0,
    };
    sessions.set_data(digest, data)?;
    sessions.put(digest, &mut session)?;
    sessions.remove(&leaving)?;
    sessions.prune()?;
    Ok(session.shown())
}

pub(super) fn load(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let digest = words.bytes(0)?;
    let mut sessions = Sessions::new(step, keys);

    let session = sessions.get(digest)?;
    let data = match &session {
        Some(_) => sessions.data(digest)?,
        None => None,
    };
    let (Some(mut session), Some(data)) = (session, data) else {
        return Ok(Value::Array(vec![
            Value::Null,
            Value::Null,
            sessions.word()?,
        ]));
    };
    if (sessions.now - session.seen) * 100 >= session.idle {
        let seen = std::mem::replace(&mut session.seen, sessions.now);
        match sessions.put(digest, &mut session) {
            Ok(()) => sessions.keep()?,
            Err(_) => session.seen = seen,
        }
    }
    Ok(Value::Array(vec![
        Value::Bytes(data),
        session.shown(),
        Value::Null,
    ]))
}

pub(super) fn save(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (digest, version): (_, i64) = (words.bytes(0)?, words.number(1)?);
    let (data, id) = (words.bytes(2)?, words.bytes(3)?);
    let mut sessions = Sessions::new(step, keys);

    let Some(mut session) = sessions.get(digest)? else {
        return sessions.missing();
    };
    if session.version == version + 1 && session.save == id {
        return Ok(saved(&session));
    }
    if session.version != version {
        return sessions.conflict(digest, &session);
    }
    sessions.set_data(digest, data)?;
    session.version += 1;
    session.seen = sessions.now;
    session.save = id.to_vec();
    sessions.put(digest, &mut session)?;
    sessions.prune()?;
    Ok(saved(&session))
}

pub(super) fn leave(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (digest, version): (_, i64) = (words.bytes(0)?, words.number(1)?);
    let (word, kept_ms): (_, i64) = (words.bytes(2)?, words.number(3)?);
    let (new_digest, data) = (words.bytes(4)?, words.bytes(5)?);
    let mut sessions = Sessions::new(step, keys);

    let Some(mut session) = sessions.get(digest)? else {
        return sessions.missing();
    };
    if session.version != version {
        return sessions.conflict(digest, &session);
    }
    if !new_digest.is_empty() {
        session.seen = sessions.now;
        sessions.set_data(new_digest, data)?;
        sessions.put(new_digest, &mut session)?;
    }
    if kept_ms != 0 {
        sessions
            .step
            .set(&keys[2], word, Expires::AfterMs(kept_ms))?;
    }
    sessions.remove(&[Bytes::copy_from_slice(digest)])?;
    sessions.prune()?;
    Ok(saved(&session))
}

pub(super) fn destroy(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let digest = words.bytes(0)?;
    let mut sessions = Sessions::new(step, keys);
    if sessions.get(digest)?.is_none() {
        return Ok(Value::Array(vec![Value::Int(0), sessions.word()?]));
    }
    sessions.remove(&[Bytes::copy_from_slice(digest)])?;
    sessions.prune()?;
    Ok(Value::Array(vec![flag(true), Value::Null]))
}

pub(super) fn destroy_all(
    step: &mut Step<'_>,
    keys: &[Key],
    _: Words<'_>,
) -> Result<Value, Refusal> {
    let mut sessions = Sessions::new(step, keys);
    sessions.mend()?;
    let count = sessions.count()?;
    step.run::<()>(Command::new("DEL").args(&keys[..2]))?;
    Ok(Value::Int(count))
}

pub(super) fn list(step: &mut Step<'_>, keys: &[Key], _: Words<'_>) -> Result<Value, Refusal> {
    let mut sessions = Sessions::new(step, keys);
    sessions.mend()?;
    let from = sessions.after_now();
    let digests = sessions
        .step
        .call("ZREVRANGEBYSCORE", &keys[1], &[&"+inf", &from])?;
    let digests: Vec<Bytes> = digests;
    let mut listed = Vec::new();
    for digest in digests {
        if let Some(session) = sessions.get(&digest)? {
            let stored = sessions.data(&digest)?.unwrap_or_default();
            let device = device::split(&stored).0.map(Bytes::copy_from_slice);
            let device = device.map_or(Value::Null, Value::Bytes);
            listed.push(Value::Array(vec![text(&digest), session.shown(), device]));
        }
    }
    Ok(Value::Array(listed))
}

pub(super) fn count(step: &mut Step<'_>, keys: &[Key], _: Words<'_>) -> Result<Value, Refusal> {
    let mut sessions = Sessions::new(step, keys);
    sessions.mend()?;
    Ok(Value::Int(sessions.count()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::calls::{COUNT, CREATE, DESTROY, DESTROY_ALL, LEAVE, LIST, LOAD, SAVE};

    #[test]
    fn what_sessions_do_in_lua_they_do_in_rust() {
        let user = Keys::new("shop", "session").of("ann");
        let keys = [user.clone(), user.part("index"), user.part("left")];
        let digests = ["aa01", "bb02", "cc03", "dd04"];
        compare_twins(0..100, |random| {
            let (digest, other) = (one_of(random, &digests), one_of(random, &digests));
            let (idle, absolute) = (
                one_of(random, &["200", "900"]),
                one_of(random, &["500", "5000"]),
            );
            let version = one_of(random, &["1", "2", "3"]);
            let (most, refuses) = (one_of(random, &["0", "2"]), one_of(random, &["0", "1"]));
            let kept = one_of(random, &["0", "300"]);
            match random.random_range(0..20) {
                0..4 => {
                    let data = one_of(
                        random,
                        &["data", "\u{2}\0\u{2}abdata", "\u{2}\0\u{9}", "\u{2}"],
                    );
                    let words = [digest, data, idle, absolute, most, refuses];
                    Turn::of(&CREATE, &keys[..2], &words)
                }
                4..8 => Turn::of(&LOAD, &keys, &[digest]),
                8..11 => Turn::of(&SAVE, &keys, &[digest, version, "other data", "ab12"]),
                11..13 => Turn::of(
                    &LEAVE,
                    &keys,
                    &[digest, version, "word", kept, other, "moved"],
                ),
                13 => Turn::of(&LEAVE, &keys, &[digest, version, "word", kept, "", ""]),
                14 => Turn::of(&DESTROY, &keys, &[digest]),
                15 => match random.random_range(0..4) {
                    0 => Turn::of(&DESTROY_ALL, &keys[..2], &[]),
                    1 => Turn::command("UNLINK", one_of(random, &[&keys[0], &keys[1]]), &[]),
                    _ => Turn::command("HDEL", &keys[0], &[digest]),
                },
                16 => Turn::of(&LIST, &keys[..2], &[]),
                17 => Turn::of(&COUNT, &keys[..2], &[]),
                18 => Turn::SetBack(Duration::from_millis(random.random_range(1..400))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..300_000))),
            }
        });
    }
}
