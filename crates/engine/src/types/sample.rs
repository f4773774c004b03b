//! Elements chosen at random: for HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER.

use std::collections::HashSet;
use std::hash::Hash;

use crate::args::Args;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::random::Random;

/// The most elements that may be asked for with repetition. Redis has no such bound, and runs out of
/// memory: nothing else limits an answer that is longer than what is stored.
const REPEATED_MAX: usize = 1 << 24;

/// Random numbers for one call.
pub(super) fn randoms(engine: &Engine) -> impl FnMut() -> u64 + use<> {
    let random = Random::new(engine.random());
    move || random.next()
}

/// How many elements are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One, by itself.
    One,
    /// So many at most, none twice.
    Distinct(usize),
    /// So many, each chosen from all.
    Repeated(usize),
}

impl Wanted {
    /// Reads a count, if one comes next: a negative one allows repetition.
    ///
    /// # Errors
    ///
    /// If it is no integer of 64 bits that can be negated, or asks for more than [`REPEATED_MAX`]
    /// with repetition.
    pub(super) fn read(args: &mut Args<'_>) -> Result<Wanted> {
        if args.is_empty() {
            return Ok(Wanted::One);
        }
        let count = args.int()?;
        if count == i64::MIN {
            let range = "ERR value is out of range, value must between -9223372036854775807 and \
                         9223372036854775807";
            return Err(Error::text(range));
        }
        if let Ok(count) = usize::try_from(count) {
            return Ok(Wanted::Distinct(count));
        }
        match count.unsigned_abs() as usize {
            count @ ..=REPEATED_MAX => Ok(Wanted::Repeated(count)),
            _ => Err(Error::OutOfRange),
        }
    }

    /// Reads a count and, behind it, the word that asks for the value of each element.
    ///
    /// # Errors
    ///
    /// Also if there is another word, or if a pair for each of so many is too much to count.
    pub(super) fn read_with(args: &mut Args<'_>, option: &str) -> Result<(Wanted, bool)> {
        let wanted = Wanted::read(args)?;
        let with_values = args.option(option);
        args.end()?;
        let (Wanted::Distinct(count) | Wanted::Repeated(count)) = wanted else {
            return Ok((wanted, with_values));
        };
        if with_values && count as u64 > i64::MAX as u64 / 2 {
            return Err(Error::OutOfRange);
        }
        Ok((wanted, with_values))
    }
}

/// So many of `len` elements, none twice, each choice with the same chance.
///
/// `one` gives an element for a random number, and `all` gives all of them.
pub(super) fn distinct<T: Copy + Eq + Hash>(
    count: usize,
    len: usize,
    mut random: impl FnMut() -> u64,
    mut one: impl FnMut(u64) -> Option<T>,
    all: impl Iterator<Item = T>,
) -> Vec<T> {
    if count.saturating_mul(3) >= len {
        return select(count.min(len), len, random, all);
    }
    let mut seen = HashSet::with_capacity(count);
    let mut chosen = Vec::with_capacity(count);
    // A third at most has been seen at any time, so few tries are in vain.
    while chosen.len() < count {
        let Some(element) = one(random()) else {
            break;
        };
        if seen.insert(element) {
            chosen.push(element);
        }
    }
    chosen
}

/// So many of all elements, in their order: Knuth's selection sampling (Algorithm S, volume 2,
/// 3.4.2).
fn select<T>(
    count: usize,
    len: usize,
    mut random: impl FnMut() -> u64,
    all: impl Iterator<Item = T>,
) -> Vec<T> {
    let mut chosen = Vec::with_capacity(count);
    for (seen, element) in all.enumerate() {
        if super::scaled(random(), len - seen) < count - chosen.len() {
            chosen.push(element);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn randoms() -> impl FnMut() -> u64 {
        let random = Random::new(7);
        move || random.next()
    }

    #[test]
    fn so_many_are_chosen_and_none_twice() {
        for (count, len) in [
            (0, 10),
            (1, 10),
            (3, 10),
            (4, 10),
            (10, 10),
            (20, 10),
            (9, 1000),
        ] {
            let one = |random| Some(super::super::scaled(random, len));
            let chosen = distinct(count, len, randoms(), one, 0..len);

            let different: HashSet<_> = chosen.iter().collect();
            assert_eq!(chosen.len(), count.min(len));
            assert_eq!(different.len(), chosen.len());
        }
    }

    #[test]
    fn each_has_the_same_chance() {
        let mut random = randoms();
        let mut chosen = [0; 5];
        for _ in 0..10_000 {
            select(2, 5, &mut random, 0..5)
                .into_iter()
                .for_each(|element| chosen[element] += 1);
        }
        assert!(
            chosen.iter().all(|times| (3800..4200).contains(times)),
            "{chosen:?}"
        );
    }
}
