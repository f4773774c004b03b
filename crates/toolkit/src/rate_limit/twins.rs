//! The scripts of this folder in Rust: see [`larder_store::Twin`]. Each does what its Lua does, of which
//! it has the name; what that says of keys, words and answers holds here as well.

use larder_store::{Expires, Key, Refusal, Step, Value, Words};

use crate::twin::integers;

pub(super) fn gcra(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let wanted: i64 = words.number(0)?;
    let (size, interval): (i64, i64) = (words.number(1)?, words.number(2)?);
    let now = step.time_us();

    let full = step.get_int(&keys[0])?.map_or(now, |full| full.max(now));
    let (after, empty) = (full + wanted * interval, now + size * interval);
    if after > empty {
        let left = (empty - full).div_euclid(interval).max(0);
        return Ok(integers([0, left, after - empty, full - now, 0]));
    }
    step.set_int(&keys[0], after, Expires::AtMs((after + 999) / 1000))?;
    let left = (empty - after).div_euclid(interval);
    Ok(integers([1, left, 0, after - now, 0]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;
    use larder_testkit::{Turn, compare_twins};
    use rand::RngExt;

    use super::super::limiter::GCRA;

    #[test]
    fn gcra_is_what_its_twin_is() {
        let keys = Keys::new("shop", "limit");
        compare_twins(0..100, |random| match random.random_range(0..8) {
            0 => Turn::Pass(Duration::from_micros(random.random_range(1..3_000_000))),
            1 => Turn::SetBack(Duration::from_micros(random.random_range(1..3_000_000))),
            _ => Turn::Script {
                script: &GCRA,
                keys: vec![keys.of(["ann", "bob"][random.random_range(0..2)])],
                words: [
                    random.random_range(1..4),
                    5,
                    random.random_range(1..900_000),
                ]
                .map(|number: u32| number.to_string().into_bytes())
                .into(),
            },
        });
    }
}
