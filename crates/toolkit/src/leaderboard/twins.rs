//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use bytes::Bytes;
use larder_store::{Command, End, Key, Refusal, Step, ToArgument, Value, Words};

use crate::twin::{flag, text};

/// Integers up to this are exact in a score.
const MOST: i64 = 9_007_199_254_740_991;

/// A full board is cut by so many members in a call.
const CUT: i64 = 1000;

/// How many digits an arrival has.
const ARRIVAL_LEN: usize = 16;

/// When the epoch of dense ranks begins.
const DENSE: i64 = 5_000_000_000_000_000;

/// What the scripts of a board share: `common.lua`.
struct Board<'a, 's> {
    step: &'a mut Step<'s>,
    keys: &'a [Key],
    order: &'a Key,
    arrivals: &'a Key,
    distinct: &'a Key,
    len: i64,
}

fn ties_refused() -> Refusal {
    Refusal::new("TIES the board is kept for other ties")
}

fn lost_refused() -> Refusal {
    Refusal::new("LOST a part of the board is not that of its members")
}

/// What `window.lua` answers if there is nothing.
fn none() -> Value {
    found(0, 0, Vec::new())
}

fn found(first: i64, rank: i64, found: Vec<Bytes>) -> Value {
    let found = found.into_iter().map(Value::Bytes).collect();
    Value::Array(vec![
        Value::Int(first),
        Value::Int(rank),
        Value::Array(found),
    ])
}

impl<'a, 's> Board<'a, 's> {
    fn new(step: &'a mut Step<'s>, keys: &'a [Key]) -> Result<Board<'a, 's>, Refusal> {
        Ok(Board {
            len: step.call("ZCARD", &keys[0], &[])?,
            step,
            keys,
            order: &keys[0],
            arrivals: &keys[1],
            distinct: &keys[2],
        })
    }

    fn has_distinct(&mut self) -> Result<bool, Refusal> {
        self.step.call("EXISTS", self.distinct, &[])
    }

    fn is_dense(&mut self) -> Result<bool, Refusal> {
        if self.has_distinct()? {
            return Ok(true);
        }
        let first: Vec<Bytes> = self.step.call("ZRANGE", self.order, &[&0, &0])?;
        let arrival = first.first().and_then(|entry| arrival_of(entry));
        Ok(arrival.is_some_and(|arrival| arrival >= DENSE))
    }

    fn lacks_points(&mut self) -> Result<bool, Refusal> {
        let last = self.step.zscore_at(self.order, End::Highest)?;
        let known = self.step.zscore_at(self.distinct, End::Highest)?;
        Ok(known.is_none() || known != last)
    }

    fn check_dense_ranks(&mut self) -> Result<(), Refusal> {
        if !self.lacks_points()? {
            return Ok(());
        }
        match self.is_dense()? {
            true => Err(lost_refused()),
            false => Err(ties_refused()),
        }
    }

    fn is_lost(&mut self) -> Result<bool, Refusal> {
        Ok(self.step.call::<i64>("HLEN", self.arrivals, &[])? != self.len)
    }

    fn arrival(&mut self, member: &[u8]) -> Result<Option<Bytes>, Refusal> {
        self.step.hget(self.arrivals, member)
    }

    fn points(&mut self, entry: &[u8]) -> Result<i64, Refusal> {
        let points: f64 = self.step.call("ZSCORE", self.order, &[&entry])?;
        Ok(points as i64)
    }

    /// How many have fewer points than these.
    fn fewer(&mut self, key: &Key, points: &str) -> Result<i64, Refusal> {
        self.step
            .call("ZCOUNT", key, &[&"-inf", &format!("({points}")])
    }

    fn arrival_at(&mut self, points: i64, is_dense: bool) -> Result<String, Refusal> {
        let range: [&dyn ToArgument; 7] = [&points, &points, &"BYSCORE", &"REV", &"LIMIT", &0, &1];
        let last: Vec<Bytes> = self.step.call("ZRANGE", self.order, &range)?;
        let after = last.first().and_then(|last| arrival_of(last));
        let now = self.step.time_us() + if is_dense { DENSE } else { 0 };
        Ok(format!("{:016}", now.max(after.map_or(0, |last| last + 1))))
    }

    /// Nobody may have these points any more.
    fn forget(&mut self, points: i64) -> Result<(), Refusal> {
        let count: i64 = self.step.call("ZCOUNT", self.order, &[&points, &points])?;
        match count {
            0 => self.step.call("ZREM", self.distinct, &[&points]),
            _ => Ok(()),
        }
    }

    fn take_off(&mut self, entry: &[u8], points: i64, is_dense: bool) -> Result<(), Refusal> {
        self.step.call::<()>("ZREM", self.order, &[&entry])?;
        let member = &entry[ARRIVAL_LEN.min(entry.len())..];
        self.step.call::<()>("HDEL", self.arrivals, &[&member])?;
        match is_dense {
            true => self.forget(points),
            false => Ok(()),
        }
    }

    fn rank(&mut self, entry: &[u8], points: i64, ties: &[u8]) -> Result<i64, Refusal> {
        let ahead: i64 = match ties {
            b"ordinal" => self.step.call("ZRANK", self.order, &[&entry])?,
            b"dense" => self.fewer(self.distinct, &points.to_string())?,
            _ => self.fewer(self.order, &points.to_string())?,
        };
        Ok(ahead + 1)
    }

    fn set_ttl(&mut self, ttl: i64, is_last: bool) -> Result<(), Refusal> {
        let rest: i64 = self.step.call("PTTL", self.order, &[])?;
        if ttl == 0 && rest < 0 {
            return Ok(());
        }
        for key in self.keys {
            if ttl == 0 {
                self.step.call::<()>("PERSIST", key, &[])?;
            } else if is_last {
                self.step.call::<()>("PEXPIRE", key, &[&ttl])?;
            } else if self.step.call::<i64>("PTTL", key, &[])? == -1 {
                let ttl = if rest > 0 { rest } else { ttl };
                self.step.call::<()>("PEXPIRE", key, &[&ttl])?;
            }
        }
        Ok(())
    }

    /// Refuses a board of other ties, or one that has lost its arrivals.
    fn check(&mut self, is_dense: bool) -> Result<(), Refusal> {
        if self.len == 0 {
            let left_behind = Command::new("UNLINK").arg(self.arrivals).arg(self.distinct);
            return self.step.run(left_behind);
        }
        if is_dense {
            self.check_dense_ranks()?;
        } else if self.has_distinct()? {
            return Err(ties_refused());
        }
        match self.is_lost()? {
            true => Err(lost_refused()),
            false => Ok(()),
        }
    }

    /// Gives a member another score. Answers its entry.
    fn place(
        &mut self,
        member: &[u8],
        old: Option<(Bytes, i64)>,
        points: i64,
        is_dense: bool,
    ) -> Result<Vec<u8>, Refusal> {
        let arrival = self.arrival_at(points, is_dense)?;
        let entry = [arrival.as_bytes(), member].concat();
        self.step.zadd(self.order, points, &entry)?;
        self.step.hset(self.arrivals, member, &arrival)?;
        if is_dense {
            self.step
                .zadd(self.distinct, points, points.to_string().as_bytes())?;
        }
        if let Some((old, before)) = old {
            if old != arrival.as_bytes() {
                let old = [&old, member].concat();
                self.step.call::<()>("ZREM", self.order, &[&old])?;
            }
            if is_dense {
                self.forget(before)?;
            }
        }
        Ok(entry)
    }

    /// Cuts a board to its size. Answers whether the entry is none of it.
    fn cut(
        &mut self,
        keep: i64,
        entry: &[u8],
        points: i64,
        is_dense: bool,
    ) -> Result<bool, Refusal> {
        if keep <= 0 {
            return Ok(false);
        }
        let mut over = self.step.call::<i64>("ZCARD", self.order, &[])? - keep;
        let is_over = over > 0 && self.step.call::<i64>("ZRANK", self.order, &[&entry])? >= keep;
        if is_over {
            self.take_off(entry, points, is_dense)?;
            over -= 1;
        }
        if over > 0 {
            let range: [&dyn ToArgument; 3] = [&-over.min(CUT), &-1, &"WITHSCORES"];
            let worst: Vec<(Bytes, f64)> = {
                let worst: Vec<Bytes> = self.step.call("ZRANGE", self.order, &range)?;
                worst.chunks_exact(2).map(pair).collect()
            };
            for (entry, points) in worst {
                self.take_off(&entry, points as i64, is_dense)?;
            }
        }
        Ok(is_over)
    }
}

/// When the member of an entry came to its points.
fn arrival_of(entry: &[u8]) -> Option<i64> {
    std::str::from_utf8(entry.get(..ARRIVAL_LEN)?)
        .ok()?
        .parse()
        .ok()
}

/// A member and its score.
fn pair(pair: &[Bytes]) -> (Bytes, f64) {
    let score = std::str::from_utf8(&pair[1]).ok();
    let score = score.and_then(|score| score.parse().ok());
    (pair[0].clone(), score.unwrap_or_default())
}

pub(super) fn write(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (how, member, ties) = (words.bytes(0)?, words.bytes(1)?, words.bytes(3)?);
    let mut points: i64 = words.number(2)?;
    let (keep, ttl): (i64, i64) = (words.number(4)?, words.number(5)?);
    let is_dense = ties == b"dense";
    let mut board = Board::new(step, keys)?;
    board.check(is_dense)?;

    let mut old = None;
    if let Some(arrival) = board.arrival(member)? {
        let before = board.points(&[&arrival, member].concat())?;
        points = match how {
            b"add" => before.saturating_add(points),
            b"improve" => before.min(points),
            _ => points,
        };
        old = Some((arrival, before));
    }
    if !(-MOST..=MOST).contains(&points) {
        return Err(Refusal::new("RANGE the score would not be exact"));
    }

    let (changed, entry) = match old {
        Some((arrival, before)) if before == points => (false, [&arrival, member].concat()),
        old => (true, board.place(member, old, points, is_dense)?),
    };
    board.set_ttl(ttl, words.bytes(6)? == b"last")?;
    let rank = match board.cut(keep, &entry, points, is_dense)? {
        true => 0,
        false => board.rank(&entry, points, ties)?,
    };
    Ok(Value::Array(vec![
        flag(changed),
        text(points.to_string()),
        Value::Int(rank),
    ]))
}

pub(super) fn window(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let ties = words.bytes(0)?;
    let (mut first, mut count): (i64, i64) = (words.number(1)?, words.number(2)?);
    let mut board = Board::new(step, keys)?;

    if board.len == 0 {
        return Ok(none());
    }
    if ties == b"dense" {
        board.check_dense_ranks()?;
    }
    if let Ok(member) = words.bytes(3) {
        if board.is_lost()? {
            return Err(lost_refused());
        }
        let Some(arrival) = board.arrival(member)? else {
            return Ok(none());
        };
        let entry = [&arrival, member].concat();
        first += board.step.call::<i64>("ZRANK", board.order, &[&entry])?;
        if first < 0 {
            (first, count) = (0, count + first);
        }
    }
    if count <= 0 {
        return Ok(none());
    }

    let range: [&dyn ToArgument; 3] = [&first, &(first + count - 1), &"WITHSCORES"];
    let members: Vec<Bytes> = board.step.call("ZRANGE", board.order, &range)?;
    let Some(points) = members
        .get(1)
        .map(|points| String::from_utf8_lossy(points).into_owned())
    else {
        return Ok(none());
    };
    let rank = match ties {
        b"ordinal" => first + 1,
        b"dense" => board.fewer(board.distinct, &points)? + 1,
        _ => board.fewer(board.order, &points)? + 1,
    };
    Ok(found(first, rank, members))
}

pub(super) fn range(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (ties, fewest) = (words.bytes(0)?, words.bytes(1)?);
    let (most, limit) = (words.bytes(2)?, words.bytes(3)?);
    let is_dense = ties == b"dense";
    let mut board = Board::new(step, keys)?;
    if is_dense && board.len > 0 {
        board.check_dense_ranks()?;
    }

    let range: [&dyn ToArgument; 7] = [
        &fewest,
        &most,
        &"BYSCORE",
        &"LIMIT",
        &0,
        &limit,
        &"WITHSCORES",
    ];
    let members: Vec<Bytes> = board.step.call("ZRANGE", board.order, &range)?;
    let fewest = String::from_utf8_lossy(fewest);
    let first = board.fewer(board.order, &fewest)?;
    let rank = match is_dense {
        true => board.fewer(board.distinct, &fewest)? + 1,
        false => first + 1,
    };
    Ok(found(first, rank, members))
}

pub(super) fn remove(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let member = words.bytes(0)?;
    let mut board = Board::new(step, keys)?;
    if board.is_lost()? || (board.is_dense()? && board.lacks_points()?) {
        return Err(lost_refused());
    }
    let Some(arrival) = board.arrival(member)? else {
        return Ok(flag(false));
    };
    let entry = [&arrival, member].concat();
    let points = board.points(&entry)?;
    board.take_off(&entry, points, true)?;
    Ok(flag(true))
}

pub(super) fn mend(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (from, count): (i64, i64) = (words.number(0)?, words.number(1)?);
    let mut board = Board::new(step, keys)?;
    if board.len == 0 {
        let left_behind = Command::new("UNLINK").args(&keys[1..]);
        board.step.run::<()>(left_behind)?;
        return Ok(Value::Int(0));
    }
    let is_dense = board.is_dense()?;
    let range: [&dyn ToArgument; 3] = [&from, &(from + count - 1), &"WITHSCORES"];
    let entries: Vec<Bytes> = board.step.call("ZRANGE", board.order, &range)?;
    if board.step.call::<i64>("HLEN", board.arrivals, &[])? > board.len {
        board.step.call::<()>("UNLINK", board.arrivals, &[])?;
    }
    for (entry, points) in entries.chunks_exact(2).map(pair) {
        let (arrival, member) = entry.split_at(ARRIVAL_LEN.min(entry.len()));
        board.step.hset(board.arrivals, member, arrival)?;
        if is_dense {
            let points = points as i64;
            board
                .step
                .zadd(board.distinct, points, points.to_string().as_bytes())?;
        }
    }
    let ttl: i64 = board.step.call("PTTL", board.order, &[])?;
    if ttl > 0 {
        for key in &keys[1..] {
            board.step.call::<()>("PEXPIRE", key, &[&ttl])?;
        }
    }
    Ok(Value::Int(entries.len() as i64 / 2))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::board::{MEND, RANGE, REMOVE, WINDOW, WRITE};

    #[test]
    fn what_boards_do_in_lua_they_do_in_rust() {
        let names = Keys::new("shop", "board");
        let ties = ["competition", "ordinal", "dense"];
        compare_twins(0..100, |random| {
            let its_ties = one_of(random, &ties);
            let board = names.of(its_ties);
            let keys = [
                board.clone(),
                board.part("arrivals"),
                board.part("distinct"),
            ];
            let asked = one_of(random, &[its_ties, its_ties, its_ties, "dense", "ordinal"]);
            let member = one_of(random, &["ann", "bob", "eve", "dan", "kim"]);
            let points = one_of(random, &["-3", "0", "1", "2", "7", "9007199254740991"]);
            let how = one_of(random, &["set", "add", "improve"]);
            let (keep, ttl) = (
                one_of(random, &["0", "0", "3"]),
                one_of(random, &["0", "900"]),
            );
            let from = one_of(random, &["first", "last"]);
            match random.random_range(0..20) {
                0..9 => Turn::of(
                    &WRITE,
                    &keys,
                    &[how, member, points, asked, keep, ttl, from],
                ),
                9..11 => Turn::of(&WINDOW, &keys, &[asked, one_of(random, &["0", "2"]), "3"]),
                11..13 => {
                    let first = one_of(random, &["-1", "0", "1"]);
                    Turn::of(&WINDOW, &keys, &[asked, first, "3", member])
                }
                13 => Turn::of(&RANGE, &keys, &[asked, points, "10", "4"]),
                14..16 => Turn::of(&REMOVE, &keys, &[member]),
                16 => Turn::of(&MEND, &keys, &[one_of(random, &["0", "2"]), "2"]),
                17 => Turn::command("UNLINK", one_of(random, &[&keys[1], &keys[2]]), &[]),
                18 => Turn::SetBack(Duration::from_millis(random.random_range(1..400))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..300_000))),
            }
        });
    }
}
