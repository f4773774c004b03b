//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.
//!
//! Numbers are those of Lua, so that what is rounded is rounded alike.

mod fixed_window;
mod gcra;
mod kinds;
mod limit;
mod sliding_counter;
mod sliding_window;

use std::fmt::Write as _;

use larder_store::{Expires, Key, Refusal, Step, Value, Words};

use kinds::read_limits;
use limit::Limit;

/// The time, and what a call works on at it.
struct Now<'a, 's> {
    step: &'a mut Step<'s>,
    now: f64,
}

impl<'a, 's> Now<'a, 's> {
    fn new(step: &'a mut Step<'s>) -> Now<'a, 's> {
        let now = step.time_us() as f64;
        Now { step, now }
    }

    /// Keeps a state until it says nothing any more.
    fn set_until(&mut self, key: &Key, state: &str, moment: f64) -> Result<(), Refusal> {
        let at_ms = (moment / 1000.0).ceil() as i64;
        self.step.set(key, state, Expires::AtMs(at_ms))
    }

    /// The numbers of a state, if it is one of so many.
    fn numbers<const N: usize>(&mut self, key: &Key) -> Result<Option<[f64; N]>, Refusal> {
        let state = self.step.get(key)?;
        Ok(state.and_then(|state| {
            let mut numbers = [0.0; N];
            let mut words = state.split(|&byte| byte == b' ');
            for number in &mut numbers {
                *number = whole(words.next()?)?;
            }
            words.next().is_none().then_some(numbers)
        }))
    }
}

/// A number of decimal digits.
fn whole(digits: &[u8]) -> Option<f64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    // Most fit, and are read in a part of the time.
    match digits.parse::<u64>() {
        Ok(number) => Some(number as f64),
        Err(_) => digits.parse().ok(),
    }
}

/// Whole numbers as a text, with spaces between them.
fn text<const N: usize>(numbers: [f64; N]) -> String {
    let mut text = String::with_capacity(20 * N);
    for (place, number) in numbers.iter().enumerate() {
        let space = if place > 0 { " " } else { "" };
        // A text takes whatever is written to it.
        let _ = write!(text, "{space}{}", *number as i64);
    }
    text
}

/// What `decide.lua` answers.
struct Answer {
    taken: f64,
    left: f64,
    wait: f64,
    reset: f64,
    index: usize,
    marks: Vec<f64>,
}

impl From<Answer> for Value {
    fn from(answer: Answer) -> Value {
        let number = |number: f64| Value::Int(number as i64);
        Value::Array(vec![
            number(answer.taken),
            number(answer.left),
            number(answer.wait),
            number(answer.reset),
            Value::Int(answer.index as i64),
            Value::Array(answer.marks.into_iter().map(number).collect()),
        ])
    }
}

pub(super) fn take(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let wanted: f64 = words.number(0)?;
    let rate = gcra::Rate::read(words.from(1))?;
    let mut now = Now::new(step);
    let state = gcra::read(&mut now, &keys[0], &rate)?;

    let free = rate.free(state.missing);
    let after = state.missing + wanted * rate.cost;
    if wanted > free {
        let answer = Answer {
            taken: 0.0,
            left: free,
            wait: rate.us(after - rate.size * rate.cost),
            reset: rate.us(state.missing),
            index: 0,
            marks: Vec::new(),
        };
        return Ok(answer.into());
    }
    let taken = state.taken + wanted;
    if wanted > 0.0 {
        gcra::keep(&mut now, &keys[0], &rate, after, state.since, taken)?;
    }
    let answer = Answer {
        taken: wanted,
        left: free - wanted,
        wait: 0.0,
        reset: rate.us(after),
        index: 0,
        marks: vec![now.now, taken],
    };
    Ok(answer.into())
}

pub(super) fn decide(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let action = words.bytes(0)?;
    let (mut count, block): (f64, f64) = (words.number(1)?, words.number(2)?);
    let mut now = Now::new(step);

    let mut limits = read_limits(&mut now, &keys[1..], words.from(3))?;
    if action == b"take-up-to" {
        let free = limits
            .iter()
            .map(|limit| limit.free())
            .fold(count, f64::min);
        count = count.min(free.max(1.0));
    }
    let (index, wait, left) = worst(&mut now, &mut limits, count)?;

    if block > 0.0 {
        let mut blocked_until = match now.step.get(&keys[0])? {
            Some(until) => whole(&until).unwrap_or(0.0),
            None => 0.0,
        };
        if blocked_until > now.now + block {
            blocked_until = now.now + block;
            now.set_until(&keys[0], &text([blocked_until]), blocked_until)?;
        }
        if blocked_until > now.now {
            let rest = blocked_until - now.now;
            let answer = Answer {
                taken: 0.0,
                left: 0.0,
                wait: wait.max(rest),
                reset: limits[index].reset(now.now, 0.0).max(rest),
                index,
                marks: Vec::new(),
            };
            return Ok(answer.into());
        }
    }
    if wait > 0.0 {
        let mut wait = wait;
        if action != b"peek" && block > 0.0 {
            wait = wait.max(block);
            let until = now.now + block;
            now.set_until(&keys[0], &text([until]), until)?;
        }
        let answer = Answer {
            taken: 0.0,
            left: limits[index].free(),
            wait,
            reset: limits[index].reset(now.now, 0.0),
            index,
            marks: Vec::new(),
        };
        return Ok(answer.into());
    }

    let reset = limits[index].reset(now.now, count);
    let (mut taken, mut marks) = (0.0, Vec::new());
    if action != b"peek" && count != 0.0 {
        taken = count;
        marks.push(now.now);
        for limit in &mut limits {
            marks.push(limit.take(&mut now, count)?);
        }
    }
    Ok(Answer {
        taken,
        left,
        wait: 0.0,
        reset,
        index,
        marks,
    }
    .into())
}

/// Which limit denies so many for the longest or has the fewest left, how long, and how many.
fn worst(
    now: &mut Now<'_, '_>,
    limits: &mut [Box<dyn Limit + '_>],
    count: f64,
) -> Result<(usize, f64, f64), Refusal> {
    let mut worst: Option<(usize, f64, f64)> = None;
    for (index, limit) in limits.iter_mut().enumerate() {
        let left = limit.free() - count;
        let wait = if left < 0.0 {
            limit.wait(now, count)?
        } else {
            0.0
        };
        if worst.is_none_or(|(_, most, fewest)| wait > most || wait == most && left < fewest) {
            worst = Some((index, wait, left));
        }
    }
    worst.ok_or_else(|| Refusal::new("ERR there is no limit"))
}

pub(super) fn refund(
    step: &mut Step<'_>,
    keys: &[Key],
    words: Words<'_>,
) -> Result<Value, Refusal> {
    let count: f64 = words.number(0)?;
    let marks = words.from(1 + 4 * (keys.len() - 1));
    let at: f64 = marks.number(0)?;
    let mut now = Now::new(step);

    if at <= now.now {
        let limits = read_limits(&mut now, &keys[1..], words.from(1))?;
        for (place, mut limit) in limits.into_iter().enumerate() {
            limit.give(&mut now, count, at, marks.number(1 + place)?)?;
        }
    }
    let limits = read_limits(&mut now, &keys[1..], words.from(1))?;
    let fewest =
        limits
            .iter()
            .enumerate()
            .reduce(|fewest, other| match other.1.free() < fewest.1.free() {
                true => other,
                false => fewest,
            });
    let (index, fewest) = fewest.ok_or_else(|| Refusal::new("ERR there is no limit"))?;
    let answer = Answer {
        taken: 0.0,
        left: fewest.free(),
        wait: 0.0,
        reset: fewest.reset(now.now, 0.0),
        index,
        marks: Vec::new(),
    };
    Ok(answer.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins, one_of};
    use rand::RngExt;

    use super::super::limiter::{DECIDE, REFUND, TAKE};

    /// Limits of each kind, as a call names them.
    const KINDS: [[&str; 4]; 6] = [
        ["gcra", "5", "200000", "1"],
        ["gcra", "3", "7", "2"],
        ["fixed-window", "4", "900000", "0"],
        ["sliding-window", "4", "700000", "1000"],
        ["sliding-window", "9", "700000", "100000"],
        ["sliding-counter", "6", "500000", "5000"],
    ];

    #[test]
    fn what_limits_do_in_lua_they_do_in_rust() {
        let caller = Keys::new("shop", "limit").of("ann");
        compare_twins(0..100, |random| {
            let count = one_of(random, &["0", "1", "2", "3"]);
            let (one, other) = (one_of(random, &KINDS), one_of(random, &KINDS));
            let keys = [
                caller.part("block"),
                caller.part(one[0]),
                caller.part(&format!("{}2", other[0])),
            ];
            match random.random_range(0..10) {
                0..2 => Turn::of(
                    &TAKE,
                    &[caller.part("gcra")],
                    &[&[count], &KINDS[0][1..]].concat(),
                ),
                2..6 => {
                    let action = one_of(random, &["take", "take", "take-up-to", "peek"]);
                    let block = one_of(random, &["0", "0", "300000"]);
                    Turn::of(
                        &DECIDE,
                        &keys,
                        &[&[action, count, block], &one[..], &other[..]].concat(),
                    )
                }
                6..8 => {
                    let at = (1_700_000_000_000_000_u64 + random.random_range(0..100)).to_string();
                    let at = one_of(random, &["0", &at]);
                    let marks = [at, one_of(random, &["1", "2", "5"]), "3"];
                    Turn::of(
                        &REFUND,
                        &keys,
                        &[&[count], &one[..], &other[..], &marks[..]].concat(),
                    )
                }
                8 => Turn::SetBack(Duration::from_micros(random.random_range(1..900_000))),
                _ => Turn::Pass(Duration::from_micros(random.random_range(1..600_000))),
            }
        });
    }
}
