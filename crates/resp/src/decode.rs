//! Reading requests: arrays of byte strings, and lines that a person typed.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$3\r\nkey\r\n      an array: every client's form
//! GET key\r\n                           a line: "quoted words" are allowed
//! ```
//!
//! A request arrives in pieces. The [`Decoder`] notes how far it has understood the request in
//! progress, so no byte is looked at twice, however many reads a long word takes. What follows a
//! word is skipped without a look, as Redis does.

use crate::{Arguments, Span};

/// The longest line: an inline request, or a count. Redis's `PROTO_INLINE_MAX_SIZE`.
const LINE_MAX: usize = 64 * 1024;

/// What a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many words a request may have.
    pub words_max: usize,
    /// How many bytes a word may have: `proto-max-bulk-len`.
    pub word_max: usize,
    /// Whether the sender is yet to authenticate. He gets ten words of 16 KiB until then.
    pub is_unauthenticated: bool,
}

impl Default for Limits {
    /// The limits of Redis.
    fn default() -> Limits {
        Limits {
            words_max: i32::MAX as usize,
            word_max: 512 * 1024 * 1024,
            is_unauthenticated: false,
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The request is whole, and so many bytes long. One without words asks for nothing.
    Complete {
        /// Where the next request begins.
        consumed: usize,
    },
    /// At least so many more bytes are needed.
    Incomplete {
        /// How many bytes are surely missing.
        missing: usize,
    },
}

/// A request that can't be understood. Nothing behind it can be, so the connection ends; the text
/// is Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line without an end.
    #[error("too big inline request")]
    LongLine,
    /// A quote that is not closed, or is closed inside of a word.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A number of words without an end.
    #[error("too big mbulk count string")]
    LongCount,
    /// A length of a word without an end.
    #[error("too big bulk count string")]
    LongLength,
    /// No number of words, or too many.
    #[error("invalid multibulk length")]
    Count,
    /// No length of a word, or too long.
    #[error("invalid bulk length")]
    Length,
    /// Too many words for somebody who has not authenticated.
    #[error("unauthenticated multibulk length")]
    StrangerCount,
    /// Too long a word for somebody who has not authenticated.
    #[error("unauthenticated bulk length")]
    StrangerLength,
    /// Something else where a word should be.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotAWord(u8),
    /// A request of more than 4 GiB.
    #[error("too big request")]
    LongRequest,
    /// A request of HTTP: a browser was made to send it, by a page that wants to speak to a server
    /// behind its user's firewall. It gets no answer.
    #[error("HTTP instead of a request")]
    Http,
}

/// Reads requests, piece by piece. It holds no bytes: those stay with its caller.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// How much of the request is understood.
    done: usize,
    /// How much of the line behind `done` is known to have no end.
    searched: usize,
    next: Next,
}

/// What comes next in a request.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Start,
    /// The length of a word, of so many that are still to come.
    Length { words: usize },
    /// A word of this length, the first of so many.
    Word { len: usize, words: usize },
}

impl Decoder {
    /// A decoder at the start of a request.
    pub fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            ..Decoder::default()
        }
    }

    /// What a request may be, from here on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Reads on in the request that `input` begins with, and appends its words to `words`, as spans
    /// of `input`.
    ///
    /// While the request is incomplete, the next call gets the same `input` with more behind it,
    /// and the same `words`. Quoted words of a line are unquoted in place, once it is complete.
    ///
    /// # Errors
    ///
    /// When this is no request. The decoder is of no use from then on.
    #[inline]
    pub fn decode(
        &mut self,
        input: &mut [u8],
        words: &mut Vec<Span>,
    ) -> Result<Decoded, ProtocolError> {
        if let Next::Start = self.next
            && let Some(consumed) = self.decode_whole(input, words)
        {
            self.searched = 0;
            return Ok(Decoded::Complete { consumed });
        }
        self.decode_on(input, words)
    }

    /// The way of nearly all requests: an array of a few short words, here as a whole. Whatever is
    /// otherwise is left as it was, to [`Decoder::decode_on`].
    #[inline]
    fn decode_whole(&self, input: &[u8], words: &mut Vec<Span>) -> Option<usize> {
        let (count, mut at) = short_number(input, 0, b'*')?;
        if count == 0 || count > self.limits.words_max || self.limits.is_unauthenticated {
            return None;
        }
        let before = words.len();
        for _ in 0..count {
            let word = short_number(input, at, b'$').and_then(|(len, start)| {
                let end = start + len;
                (len <= self.limits.word_max && end + 2 <= input.len()).then_some((start, end))
            });
            let Some(span) = word.and_then(|(start, end)| Span::new(start, end)) else {
                words.truncate(before);
                return None;
            };
            words.push(span);
            at = span.end() + 2;
        }
        Some(at)
    }

    fn decode_on(
        &mut self,
        input: &mut [u8],
        words: &mut Vec<Span>,
    ) -> Result<Decoded, ProtocolError> {
        loop {
            match self.next {
                Next::Start if input.is_empty() => return Ok(Decoded::Incomplete { missing: 1 }),
                Next::Start if input[0] != b'*' => return self.decode_line(input, words),
                Next::Start => {
                    let Some(line) = self.line(input, ProtocolError::LongCount)? else {
                        return Ok(Decoded::Incomplete { missing: 1 });
                    };
                    self.next = match self.count(&input[line])? {
                        0 => return Ok(self.complete()),
                        words => Next::Length { words },
                    };
                }
                Next::Length { words } => {
                    let Some(line) = self.line(input, ProtocolError::LongLength)? else {
                        // The shortest word is `$0\r\n\r\n`; of it, at least the end is missing.
                        return Ok(Decoded::Incomplete { missing: 3 });
                    };
                    let len = self.length(&input[line])?;
                    self.next = Next::Word { len, words };
                }
                Next::Word { len, words: left } => {
                    let end = self.done + len;
                    if input.len() < end + 2 {
                        let missing = end + 2 - input.len();
                        return Ok(Decoded::Incomplete { missing });
                    }
                    words.push(Span::new(self.done, end).ok_or(ProtocolError::LongRequest)?);
                    self.done = end + 2;
                    match left {
                        1 => return Ok(self.complete()),
                        _ => self.next = Next::Length { words: left - 1 },
                    }
                }
            }
        }
    }

    /// The next line, without what ends it, once it is there. A byte must follow the `\r`.
    fn line(
        &mut self,
        input: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<std::ops::Range<usize>>, ProtocolError> {
        let (start, from) = (self.done, self.done + self.searched);
        let Some(end) = find(&input[from..], b'\r').map(|place| from + place) else {
            self.searched = input.len() - start;
            return match self.searched > LINE_MAX {
                true => Err(too_long),
                false => Ok(None),
            };
        };
        self.searched = end - start;
        if self.searched > LINE_MAX {
            return Err(too_long);
        }
        if input.len() < end + 2 {
            return Ok(None);
        }
        (self.done, self.searched) = (end + 2, 0);
        Ok(Some(start..end))
    }

    fn count(&self, line: &[u8]) -> Result<usize, ProtocolError> {
        let count = line.get(1..).and_then(number).ok_or(ProtocolError::Count)?;
        // Fewer than none are none.
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.limits.words_max {
            return Err(ProtocolError::Count);
        }
        if self.limits.is_unauthenticated && count > 10 {
            return Err(ProtocolError::StrangerCount);
        }
        Ok(count)
    }

    fn length(&self, line: &[u8]) -> Result<usize, ProtocolError> {
        let digits = match line {
            [b'$', digits @ ..] => digits,
            [other, ..] => return Err(ProtocolError::NotAWord(*other)),
            [] => return Err(ProtocolError::NotAWord(b'\r')),
        };
        let length = number(digits)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= self.limits.word_max)
            .ok_or(ProtocolError::Length)?;
        if self.limits.is_unauthenticated && length > 16 * 1024 {
            return Err(ProtocolError::StrangerLength);
        }
        Ok(length)
    }

    fn decode_line(
        &mut self,
        input: &mut [u8],
        words: &mut Vec<Span>,
    ) -> Result<Decoded, ProtocolError> {
        let Some(end) = find(&input[self.searched..], b'\n').map(|place| self.searched + place)
        else {
            self.searched = input.len();
            return match self.searched > LINE_MAX {
                true => Err(ProtocolError::LongLine),
                false => Ok(Decoded::Incomplete { missing: 1 }),
            };
        };
        if end > LINE_MAX {
            return Err(ProtocolError::LongLine);
        }
        let first = words.len();
        split_words(&mut input[..end], words)?;
        let name = Arguments::new(input, &words[first..]).get(0);
        if name.is_some_and(is_http) {
            return Err(ProtocolError::Http);
        }
        self.done = end + 1;
        Ok(self.complete())
    }

    fn complete(&mut self) -> Decoded {
        let consumed = self.done;
        (self.done, self.searched, self.next) = (0, 0, Next::Start);
        Decoded::Complete { consumed }
    }
}

/// A number of at most seven digits behind `kind`, with its end of line, and the place behind that.
/// `None` for everything that is not there, not so short, or not well formed.
#[inline]
fn short_number(input: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *input.get(at..)? {
        [first, ..] if first != kind => None,
        [_, ones @ b'0'..=b'9', b'\r', _, ..] => Some((digit(ones), at + 4)),
        [_, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..] => {
            Some((10 * digit(tens) + digit(ones), at + 5))
        }
        [_, ref digits @ ..] => seven_digits(digits, at),
        [] => None,
    }
}

/// The same for what stands behind the kind at this place.
fn seven_digits(digits: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut number = 0;
    for (place, byte) in digits.iter().take(8).enumerate() {
        match byte {
            // A number does not begin with a zero, except for zero itself.
            b'0'..=b'9' if place == 0 || number != 0 => {
                number = number * 10 + usize::from(byte - b'0');
            }
            b'\r' if place > 0 && digits.len() > place + 1 => {
                return Some((number, at + place + 3));
            }
            _ => return None,
        }
    }
    None
}

/// A number as Redis reads one: no sign but a minus, no zeros in front.
fn number(digits: &[u8]) -> Option<i64> {
    let magnitude = digits.strip_prefix(b"-").unwrap_or(digits);
    match magnitude {
        b"0" if digits.len() == 1 => return Some(0),
        [b'1'..=b'9', others @ ..] if others.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// Whether a line that begins with this word is one of HTTP, and can't be meant for us.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

// --- lines -----------------------------------------------------------------------------------

/// The words of a line, unquoted, as Redis's `sdssplitargs` reads them. `None` if quotes are not closed,
/// or something stands right behind them.
pub fn words_of_line(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut line, mut spans) = (line.to_vec(), Vec::new());
    split_words(&mut line, &mut spans).ok()?;
    let words = Arguments::new(&line, &spans).iter();
    Some(words.map(<[u8]>::to_vec).collect())
}

/// Splits a line into its words, and unquotes them where they stand: a word never gets longer.
///
/// Inside of double quotes `\n`, `\r`, `\t`, `\b`, `\a` and `\xhh` stand for bytes, and a
/// backslash for what follows it; inside of single quotes `\'` does. Redis's `sdssplitargs`.
fn split_words(line: &mut [u8], words: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let (mut from, mut to) = (0, 0);
    loop {
        while line.get(from).is_some_and(|byte| is_space(*byte)) {
            from += 1;
        }
        if from == line.len() {
            return Ok(());
        }
        let start = to;
        (from, to) = take_word(line, from, to)?;
        words.push(Span::new(start, to).ok_or(ProtocolError::LongRequest)?);
    }
}

/// Moves the word at `from` to `to`, unquoted. Answers where both end.
fn take_word(
    line: &mut [u8],
    mut from: usize,
    mut to: usize,
) -> Result<(usize, usize), ProtocolError> {
    while let Some(&byte) = line.get(from) {
        match byte {
            b'"' | b'\'' => {
                (from, to) = take_quoted(line, from + 1, to, byte)?;
                let is_end = line.get(from).is_none_or(|byte| is_space(*byte));
                return match is_end {
                    true => Ok((from, to)),
                    false => Err(ProtocolError::Quotes),
                };
            }
            b' ' | b'\t' | b'\n' | b'\r' => break,
            byte => line[to] = byte,
        }
        (from, to) = (from + 1, to + 1);
    }
    Ok((from, to))
}

/// Moves what stands between quotes. Answers the place behind the closing one.
fn take_quoted(
    line: &mut [u8],
    mut from: usize,
    mut to: usize,
    quote: u8,
) -> Result<(usize, usize), ProtocolError> {
    loop {
        let (byte, len) = match line.get(from..).unwrap_or_default() {
            [] => return Err(ProtocolError::Quotes),
            [byte, ..] if *byte == quote => return Ok((from + 1, to)),
            [b'\\', b'\'', ..] if quote == b'\'' => (b'\'', 2),
            [b'\\', rest @ ..] if quote == b'"' && !rest.is_empty() => escaped(rest),
            [byte, ..] => (*byte, 1),
        };
        line[to] = byte;
        (from, to) = (from + len, to + 1);
    }
}

/// What a backslash and these bytes stand for, and how long that is with the backslash.
fn escaped(rest: &[u8]) -> (u8, usize) {
    let digit = |place: usize| {
        let byte = rest.get(place)?;
        char::from(*byte).to_digit(16).map(|digit| digit as u8)
    };
    match rest[0] {
        b'x' => match (digit(1), digit(2)) {
            (Some(high), Some(low)) => (high * 16 + low, 4),
            _ => (b'x', 2),
        },
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'b' => (0x08, 2),
        b'a' => (0x07, 2),
        other => (other, 2),
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests;
