//! The words of a request, read from the front.
//!
//! A command reads all its arguments before it touches the keyspace, so that it happens whole or
//! not at all.

use larder_resp::Arguments;

use crate::engine::Now;
use crate::error::{Error, Result, shown};
use crate::float::{parse_float, strtod};
use crate::keyspace::DATABASES;
use crate::long_double::LongDouble;

/// A cursor over the words of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args<'a> {
    words: Arguments<'a>,
    next: usize,
}

impl<'a> Args<'a> {
    /// The words of `words` from place `next` on.
    #[inline]
    pub(crate) fn new(words: Arguments<'a>, next: usize) -> Args<'a> {
        Args { words, next }
    }

    /// All words, the command's name and what has been read included.
    pub(crate) fn whole(&self) -> Arguments<'a> {
        self.words
    }

    /// How many words are left.
    pub(crate) fn len(&self) -> usize {
        self.words.len().saturating_sub(self.next)
    }

    /// Whether no word is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next word, which stays to be read.
    pub(crate) fn peek(&self) -> Option<&'a [u8]> {
        self.words.get(self.next)
    }

    /// The next word, if there is one.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// The next word.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(Error::Syntax),
        }
    }

    /// The next word, as a key.
    pub(crate) fn key(&mut self) -> Result<&'a [u8]> {
        self.bytes()
    }

    /// The next word, as an integer.
    pub(crate) fn int(&mut self) -> Result<i64> {
        parse_int(self.bytes()?).ok_or(Error::NotAnInteger)
    }

    /// The next word, as the number of a database.
    pub(crate) fn db(&mut self) -> Result<usize> {
        let number = self.int()?;
        if i32::try_from(number).is_err() {
            return Err(Error::text(
                "ERR value is out of range, value must between -2147483648 and 2147483647",
            ));
        }
        db(number)
    }

    /// The next two words, as the numbers of databases. What is no small integer is refused with the
    /// refusal of its place, before it is asked whether there are such databases.
    pub(crate) fn dbs_or(&mut self, refusals: [&'static str; 2]) -> Result<[usize; 2]> {
        let mut number = |refusal| {
            let number = parse_int(self.bytes()?).filter(|number| i32::try_from(*number).is_ok());
            number.ok_or(Error::text(refusal))
        };
        let [first, second] = refusals;
        let (first, second) = (number(first)?, number(second)?);
        Ok([db(first)?, db(second)?])
    }

    /// The next word, as an integer that is not negative.
    pub(crate) fn natural(&mut self) -> Result<u64> {
        self.natural_or(Error::NotPositive)
    }

    /// The next word, as an integer that is not negative: anything else is refused with `refusal`.
    pub(crate) fn natural_or(&mut self, refusal: Error) -> Result<u64> {
        let number = parse_int(self.bytes()?).and_then(|number| u64::try_from(number).ok());
        number.ok_or(refusal)
    }

    /// The next word, as an integer above 0: anything else is refused with `refusal`.
    pub(crate) fn positive_or(&mut self, refusal: Error) -> Result<usize> {
        match self.natural_or(refusal.clone())? {
            0 => Err(refusal),
            number => Ok(number as usize),
        }
    }

    /// The next word, as a finite or infinite number.
    pub(crate) fn float(&mut self) -> Result<f64> {
        parse_float(self.bytes()?).ok_or(Error::NotAFloat)
    }

    /// The next word, as the seconds that a caller waits from `now` on, in microseconds; 0 is for
    /// ever, and so is what is less than a millisecond below it.
    pub(crate) fn timeout_s(&mut self, now: Now) -> Result<Option<u64>> {
        let seconds = parse_seconds(self.bytes()?)?;
        let timeout_ms = (seconds * 1e3).ceil();
        if timeout_ms < 0.0 {
            return Err(Error::TimeoutNegative);
        }
        if timeout_ms > longest_ms(now) as f64 {
            return Err(Error::TimeoutOutOfRange);
        }
        let timeout_us = (seconds * 1e6).ceil();
        Ok((timeout_us > 0.0).then_some(timeout_us as u64))
    }

    /// The next word, as the milliseconds that a caller waits from `now` on, in microseconds; 0 is
    /// for ever.
    pub(crate) fn timeout_ms(&mut self, now: Now) -> Result<Option<u64>> {
        let timeout_ms = parse_int(self.bytes()?).ok_or(Error::TimeoutNotInteger)?;
        let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::TimeoutNegative)?;
        if timeout_ms > longest_ms(now) {
            return Err(Error::TimeoutOutOfRange);
        }
        Ok((timeout_ms > 0).then(|| timeout_ms.saturating_mul(1000)))
    }

    /// Reads the next word if it is this one, in any case.
    pub(crate) fn option(&mut self, name: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        self.next += usize::from(found);
        found
    }

    /// The words that are left, all read.
    pub(crate) fn rest(&mut self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let rest = self.words.slice(self.next..);
        self.next = self.words.len();
        rest.iter()
    }

    /// The next `count` words, or a syntax error if there are not so many.
    pub(crate) fn take(&mut self, count: usize) -> Result<Arguments<'a>> {
        if count > self.len() {
            return Err(Error::Syntax);
        }
        let words = self.words.slice(self.next..self.next + count);
        self.next += count;
        Ok(words)
    }

    /// The refusal of a subcommand's words.
    pub(crate) fn subcommand_syntax(&self) -> Error {
        let word = |at| shown(self.words.get(at).unwrap_or_default());
        Error::SubcommandSyntax {
            name: word(1).into_owned(),
            container: word(0).to_ascii_uppercase(),
        }
    }

    /// Refuses words that nobody has read.
    pub(crate) fn end(&self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Syntax)
        }
    }
}

/// A number of seconds. Redis reads it in extended precision: what a double can't hold is a number all the
/// same, enormous or next to nothing.
fn parse_seconds(text: &[u8]) -> Result<f64> {
    if let Some(seconds) = parse_float(text) {
        return Ok(seconds);
    }
    LongDouble::read(text, Error::TimeoutNotFloat)?;
    let seconds = strtod(text).ok_or(Error::TimeoutNotFloat)?;
    // Below 0 it is as good as that, above it is the shortest wait and none without an end.
    Ok(match seconds == 0.0 && seconds.is_sign_positive() {
        true => f64::MIN_POSITIVE,
        false => seconds,
    })
}

/// The longest wait from `now` on: its end is a time in milliseconds as well.
fn longest_ms(now: Now) -> u64 {
    (i64::MAX as u64).saturating_sub(now.unix_ms())
}

fn db(number: i64) -> Result<usize> {
    let number = usize::try_from(number).ok();
    number
        .filter(|number| *number < DATABASES)
        .ok_or(Error::DbOutOfRange)
}

/// An integer as Redis reads it: decimal, in 64 bits, no sign but a minus, no leading zeros or
/// spaces.
pub(crate) fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    if digits.len() > 19 {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    match negative {
        true => 0i64.checked_sub_unsigned(number),
        false => i64::try_from(number).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        let good = [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX)];
        for (text, wanted) in good {
            assert_eq!(parse_int(text.as_bytes()), Some(wanted));
        }
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        for text in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "1.0",
            "0x1",
            "9223372036854775808",
        ] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text:?}");
        }
    }
}
