//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use std::collections::HashSet;

use bytes::Bytes;
use larder_store::{Command, Key, Refusal, Step, ToArgument, Value, Words};

use crate::stream::twins::{Raw, body_of, consumers_of, groups_of, or_null, scored, time_of};
use crate::twin::flag;

/// Who holds the entries that wait for a retry.
const PARKED: &[u8] = b"larder:parked";

/// What the scripts of a worker share: `common.lua`.
struct Worker<'a, 's> {
    step: &'a mut Step<'s>,
    stream: &'a Key,
    retries: &'a Key,
    alive: &'a Key,
    position: &'a Key,
    group: &'a [u8],
    consumer: &'a [u8],
    idle: i64,
    now: i64,
}

impl<'a, 's> Worker<'a, 's> {
    fn new(
        step: &'a mut Step<'s>,
        keys: &'a [Key],
        words: Words<'a>,
    ) -> Result<Worker<'a, 's>, Refusal> {
        Ok(Worker {
            now: time_of(step, &keys[4])?.0,
            step,
            stream: &keys[0],
            retries: &keys[1],
            alive: &keys[2],
            position: &keys[3],
            group: words.bytes(0)?,
            consumer: words.bytes(1)?,
            idle: words.number(2)?,
        })
    }

    /// Whose an entry is, and how often it was delivered, if it is pending.
    fn pending(&mut self, id: &[u8]) -> Result<Option<(Bytes, i64)>, Refusal> {
        let found = self.pending_in(&[&id, &id, &1])?;
        Ok(found
            .into_iter()
            .next()
            .map(|(_, whose, count)| (whose, count)))
    }

    /// The pending entries that these words choose: id, whose, how often delivered.
    fn pending_in(
        &mut self,
        words: &[&dyn ToArgument],
    ) -> Result<Vec<(Bytes, Bytes, i64)>, Refusal> {
        let command = Command::new("XPENDING").arg(self.stream).arg(self.group);
        let found: Vec<(Bytes, Bytes, i64, i64)> = self.step.run(command.args(words))?;
        let found = found
            .into_iter()
            .map(|(id, whose, _, count)| (id, whose, count));
        Ok(found.collect())
    }

    fn is_ours(&mut self, id: &[u8], deliveries: i64) -> Result<bool, Refusal> {
        let consumer = self.consumer;
        let pending = self.pending(id)?;
        Ok(pending.is_some_and(|(whose, count)| whose == consumer && count == deliveries))
    }

    /// `XCLAIM` by a consumer, of an entry that need not have been idle.
    fn claim(&self, by: &[u8], id: &[u8]) -> Command {
        let claim = Command::new("XCLAIM").arg(self.stream).arg(self.group);
        claim.arg(by).arg(0).arg(id)
    }

    fn acknowledge(&mut self, id: &[u8]) -> Result<Value, Refusal> {
        self.step.call("XACK", self.stream, &[&self.group, &id])
    }

    fn note_position(&mut self) -> Result<(), Refusal> {
        for about in groups_of(self.step, self.stream)? {
            if about.name() == self.group {
                let last: Bytes = about.get("last-delivered-id").unwrap_or_default();
                // A store that is full may refuse it.
                let _ = self.step.call::<()>("SET", self.position, &[&last]);
            }
        }
        Ok(())
    }
}

pub(super) fn beat(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let mut worker = Worker::new(step, keys, words)?;
    let sign: [&dyn ToArgument; 2] = [&worker.now, &worker.consumer];
    let is_noted = worker.step.call::<()>("ZADD", worker.alive, &sign).is_ok();

    let entries = words.from(3);
    let mut answers = Vec::new();
    for place in (0..entries.len()).step_by(2) {
        let is_ours = worker.is_ours(entries.bytes(place)?, entries.number(place + 1)?)?;
        answers.push(flag(is_ours));
    }
    Ok(Value::Array(vec![flag(is_noted), Value::Array(answers)]))
}

/// What `claim.lua` takes over.
struct Taken {
    most: usize,
    page: i64,
    at_work: HashSet<Bytes>,
    taken: Vec<Value>,
    gone: i64,
}

impl Taken {
    fn is_full(&self) -> bool {
        self.taken.len() >= self.most
    }

    fn take(
        &mut self,
        worker: &mut Worker<'_, '_>,
        id: &[u8],
        deliveries: i64,
    ) -> Result<(), Refusal> {
        let id = Bytes::copy_from_slice(id);
        // From here on it is this consumer's own, and is not to be taken for left behind.
        self.at_work.insert(id.clone());
        let claim = worker.claim(worker.consumer, &id);
        let claimed: Vec<Option<Raw>> = worker.step.run(claim)?;
        let Some(Some((_, fields))) = claimed.into_iter().next() else {
            worker.acknowledge(&id)?;
            self.gone += 1;
            return Ok(());
        };
        let body = or_null(body_of(&fields).cloned());
        let taken = vec![Value::Bytes(id), Value::Int(deliveries + 1), body];
        self.taken.push(Value::Array(taken));
        Ok(())
    }

    fn take_from(&mut self, worker: &mut Worker<'_, '_>, whose: &[u8]) -> Result<(), Refusal> {
        if self.is_full() {
            return Ok(());
        }
        for (id, _, deliveries) in worker.pending_in(&[&"-", &"+", &self.page, &whose])? {
            if !self.is_full() && !self.at_work.contains(&id[..]) {
                self.take(worker, &id, deliveries)?;
            }
        }
        Ok(())
    }

    /// Takes the retries that are due. Answers how long it is until the next one.
    fn take_due(&mut self, worker: &mut Worker<'_, '_>) -> Result<i64, Refusal> {
        let range: [&dyn ToArgument; 3] = [&0, &self.page, &"WITHSCORES"];
        let waiting: Vec<Bytes> = worker.step.call("ZRANGE", worker.retries, &range)?;
        for (id, due) in scored(&waiting) {
            if self.at_work.contains(&id[..]) {
                continue;
            }
            if due > worker.now || self.is_full() {
                return Ok((due - worker.now).max(0));
            }
            worker.step.call::<()>("ZREM", worker.retries, &[&id])?;
            if let Some((whose, deliveries)) = worker.pending(&id)?
                && whose == PARKED
            {
                self.take(worker, &id, deliveries)?;
            }
        }
        Ok(-1)
    }
}

pub(super) fn claim(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let mut worker = Worker::new(step, keys, words)?;
    let in_hand = words.from(6);
    let most: usize = words.number(3)?;
    let mut taken = Taken {
        most,
        page: (most + in_hand.len()) as i64,
        at_work: in_hand.iter().map(Bytes::copy_from_slice).collect(),
        taken: Vec::new(),
        gone: 0,
    };

    let until_due = taken.take_due(&mut worker)?;
    if words.bytes(4)? == b"own" {
        let own = worker.consumer;
        taken.take_from(&mut worker, own)?;
    }
    let dead_since = match words.bytes(5)? {
        b"silent" => worker.now - worker.idle,
        _ => 0,
    };
    let range: [&dyn ToArgument; 2] = [&"-inf", &dead_since];
    let dead: Vec<Bytes> = worker.step.call("ZRANGEBYSCORE", worker.alive, &range)?;
    for other in dead
        .iter()
        .filter(|other| other[..] != *worker.consumer)
        .collect::<Vec<_>>()
    {
        taken.take_from(&mut worker, other)?;
    }

    worker.note_position()?;
    Ok(Value::Array(vec![
        Value::Array(taken.taken),
        Value::Int(taken.gone),
        Value::Int(until_due),
    ]))
}

pub(super) fn leave(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let mut worker = Worker::new(step, keys, words)?;
    let entries = words.from(3);
    for place in (0..entries.len()).step_by(2) {
        let (id, deliveries): (_, i64) = (entries.bytes(place)?, entries.number(place + 1)?);
        if worker.is_ours(id, deliveries)? {
            let claim = worker.claim(worker.consumer, id).arg("RETRYCOUNT");
            worker
                .step
                .run::<()>(claim.arg(deliveries - 1).arg("JUSTID"))?;
        }
    }

    let page = words.len() as i64 + 1000;
    let consumer = worker.consumer;
    let left = worker.pending_in(&[&"-", &"+", &page, &consumer])?.len();
    if left == 0 {
        worker.remove(consumer)?;
    } else {
        // A store that is full may refuse it.
        let _ = worker
            .step
            .call::<()>("ZADD", worker.alive, &[&0, &consumer]);
    }
    Ok(Value::Int(left as i64))
}

impl Worker<'_, '_> {
    /// Removes a consumer.
    fn remove(&mut self, consumer: &[u8]) -> Result<(), Refusal> {
        let remove = Command::new("XGROUP").arg("DELCONSUMER").arg(self.stream);
        self.step.run::<()>(remove.arg(self.group).arg(consumer))?;
        self.step.call("ZREM", self.alive, &[&consumer])
    }

    fn park(&mut self, id: &[u8], delay: i64) -> Result<Value, Refusal> {
        let due: [&dyn ToArgument; 2] = [&(self.now + delay), &id];
        if self.step.call::<()>("ZADD", self.retries, &due).is_err() {
            return Ok(Value::Int(2));
        }
        let claim = self.claim(PARKED, id).arg("JUSTID");
        self.step.run::<()>(claim)?;
        Ok(Value::Int(1))
    }

    fn bury(
        &mut self,
        dead: &Key,
        kept: &[u8],
        id: &[u8],
        deliveries: i64,
        message: &[u8],
    ) -> Result<Value, Refusal> {
        let found: Vec<Raw> = self.step.call("XRANGE", self.stream, &[&id, &id])?;
        let letter = Command::new("XADD")
            .arg(dead)
            .args(["MAXLEN", "~"])
            .arg(kept)
            .arg("*");
        let letter = letter.arg("id").arg(id).arg("deliveries").arg(deliveries);
        let mut letter = letter.arg("error").arg(message);
        if let Some(body) = found.first().and_then(|(_, fields)| body_of(fields)) {
            letter = letter.arg("body").arg(body);
        }
        match self.step.run::<()>(letter) {
            Ok(()) => self.acknowledge(id),
            Err(_) => Ok(Value::Int(2)),
        }
    }
}

pub(super) fn settle(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let mut worker = Worker::new(step, keys, words)?;
    let (dead, kept) = (&keys[5], words.bytes(3)?);
    let ends = words.from(4);
    let mut answers = Vec::new();
    for place in (0..ends.len()).step_by(5) {
        let end = ends.from(place);
        let (id, deliveries): (_, i64) = (end.bytes(0)?, end.number(1)?);
        let answer = match end.bytes(2)? {
            _ if !worker.is_ours(id, deliveries)? => Value::Int(0),
            b"retry" => worker.park(id, end.number(3)?)?,
            b"dead" => worker.bury(dead, kept, id, deliveries, end.bytes(4)?)?,
            _ => worker.acknowledge(id)?,
        };
        answers.push(answer);
    }
    worker.note_position()?;
    Ok(Value::Array(answers))
}

pub(super) fn sweep(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let mut worker = Worker::new(step, keys, words)?;
    let silent_since = worker.now - words.number::<i64>(3)?;

    let (mut consumers, mut removed) = (HashSet::new(), 0);
    for other in consumers_of(worker.step, worker.stream, worker.group)? {
        let name = other.name();
        let heard: Option<f64> = worker.step.call("ZSCORE", worker.alive, &[&name])?;
        consumers.insert(name.clone());
        if name == worker.consumer || name == PARKED {
            continue;
        }
        match heard {
            None => {
                let now: [&dyn ToArgument; 2] = [&worker.now, &name];
                // A store that is full may refuse it.
                let _ = worker.step.call::<()>("ZADD", worker.alive, &now);
            }
            Some(heard) if heard < silent_since as f64 && other.get("pending") == Some(0_i64) => {
                worker.remove(&name)?;
                removed += 1;
            }
            Some(_) => {}
        }
    }

    let range: [&dyn ToArgument; 2] = [&"-inf", &format!("({silent_since}")];
    let silent: Vec<Bytes> = worker.step.call("ZRANGEBYSCORE", worker.alive, &range)?;
    for name in silent.iter().filter(|name| !consumers.contains(*name)) {
        worker.step.call::<()>("ZREM", worker.alive, &[name])?;
    }
    Ok(Value::Int(removed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::{Command, Keys};
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::calls::{BEAT, CLAIM, LEAVE, SETTLE, SWEEP};

    #[test]
    fn what_workers_do_in_lua_they_do_in_rust() {
        let stream = Keys::new("shop", "stream").of("orders");
        let parts = ["retries", "alive", "position", "clock", "dead"];
        let mut keys = vec![stream.clone()];
        keys.extend(parts.map(|part| stream.part(part)));
        let worker = &keys[..5];
        let ids = ["1-1", "1-2", "1-3", "1-4"];
        compare_twins(0..100, |random| {
            let consumer = one_of(random, &["ann", "bob"]);
            let (id, other) = (one_of(random, &ids), one_of(random, &ids));
            let (count, again) = (one_of(random, &["1", "2"]), one_of(random, &["1", "2"]));
            let begin = ["mail", consumer, "200"];
            let how = one_of(random, &["done", "retry", "dead"]);
            let group = |words: &[&str]| {
                Turn::Command(
                    Command::new("XGROUP")
                        .arg(words[0])
                        .arg(&stream)
                        .args(&words[1..]),
                )
            };
            match random.random_range(0..20) {
                0..2 => Turn::command("XADD", &stream, &[id, "body", "order"]),
                2 => group(&["CREATE", "mail", "0", "MKSTREAM"]),
                3..6 => Turn::Command(
                    Command::new("XREADGROUP")
                        .args(["GROUP", "mail", consumer, "COUNT", "2", "STREAMS"])
                        .arg(&stream)
                        .arg(">"),
                ),
                6 => Turn::command("XDEL", &stream, &[id]),
                7..9 => Turn::of(&BEAT, worker, &[&begin[..], &[id, count]].concat()),
                9..12 => {
                    let own = one_of(random, &["own", ""]);
                    let silent = one_of(random, &["silent", ""]);
                    Turn::of(
                        &CLAIM,
                        worker,
                        &[&begin[..], &["2", own, silent, other]].concat(),
                    )
                }
                12..16 => {
                    let ends = [
                        id, count, how, "50", "it broke", other, again, "done", "0", "",
                    ];
                    Turn::of(&SETTLE, &keys, &[&begin[..], &["5"], &ends[..]].concat())
                }
                16 => Turn::of(&LEAVE, worker, &[&begin[..], &[id, count]].concat()),
                17 => Turn::of(&SWEEP, worker, &[&begin[..], &["300"]].concat()),
                18 => Turn::SetBack(Duration::from_millis(random.random_range(1..400))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..300_000))),
            }
        });
    }
}
