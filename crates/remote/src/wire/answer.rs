//! Answers: where each one ends in what was read, and what it says.

use bytes::Bytes;
use larder_store::{Refusal, Value};

/// How deep containers may stand in each other: a server's answers are a few deep.
const DEPTH_MAX: usize = 128;

/// The longest line: what stands in front of a string or a list, a status or a refusal.
const LINE_MAX: usize = 1 << 20;

/// The longest string: Redis's limit on strings.
const STRING_MAX: u64 = 512 << 20;

/// What came is no answer in the protocol of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is not the protocol of Redis: {0}")]
pub(crate) struct Malformed(pub(super) &'static str);

/// Finds where an answer ends while it comes in pieces. Nothing but its last line is looked at twice.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// How much of the answer was looked at.
    at: usize,
    /// How many values are still to come in each container that is open, the outermost first.
    open: Vec<u64>,
}

impl Scanner {
    /// The length of the answer that `input` begins with, once it is there as a whole. Until then it
    /// has to be asked again with the same input and more.
    pub(crate) fn end_of(&mut self, input: &[u8]) -> Result<Option<usize>, Malformed> {
        loop {
            let Some((kind, text, rest)) = line(input, self.at)? else {
                return Ok(None);
            };
            let is_over = match kind {
                b'+' | b'-' | b':' | b',' | b'(' | b'_' | b'#' => {
                    self.at = rest;
                    self.closes()
                }
                b'$' | b'=' | b'!' => match length(text)? {
                    None => {
                        self.at = rest;
                        self.closes()
                    }
                    Some(len) if len > STRING_MAX => return Err(Malformed("a string too long")),
                    Some(len) => {
                        let end = rest + len as usize + 2;
                        if input.len() < end {
                            return Ok(None);
                        }
                        self.at = end;
                        self.closes()
                    }
                },
                b'*' | b'~' | b'>' => {
                    self.at = rest;
                    self.opens(length(text)?.unwrap_or(0))?
                }
                b'%' => {
                    self.at = rest;
                    self.opens(twice(length(text)?)?)?
                }
                // What stands before a value and says something of it; the value follows.
                b'|' => {
                    self.at = rest;
                    match twice(length(text)?)? {
                        0 => false,
                        parts => self.opens(parts + 1)?,
                    }
                }
                _ => return Err(Malformed("an unknown kind of value")),
            };
            if is_over {
                let end = self.at;
                self.at = 0;
                return Ok(Some(end));
            }
        }
    }

    /// A container begins. Says whether the answer is over, as it is if the container is empty and the
    /// outermost.
    fn opens(&mut self, len: u64) -> Result<bool, Malformed> {
        match len {
            0 => Ok(self.closes()),
            _ if self.open.len() >= DEPTH_MAX => Err(Malformed("containers nested too deep")),
            len => {
                self.open.push(len);
                Ok(false)
            }
        }
    }

    /// A value is over, and with it each container of which it was the last. Says whether the answer is.
    fn closes(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

fn twice(len: Option<u64>) -> Result<u64, Malformed> {
    let pairs = len.unwrap_or(0);
    pairs.checked_mul(2).ok_or(Malformed("a length too long"))
}

/// The kind and the text of a line, and where it ends.
type Line<'a> = (u8, &'a [u8], usize);

/// The line at a place, if it is there.
fn line(input: &[u8], at: usize) -> Result<Option<Line<'_>>, Malformed> {
    let rest = &input[at..];
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return match rest.len() > LINE_MAX {
            true => Err(Malformed("a line too long")),
            false => Ok(None),
        };
    };
    match rest[..end].strip_suffix(b"\r") {
        Some([kind, text @ ..]) => Ok(Some((*kind, text, at + end + 1))),
        _ => Err(Malformed("a line without a kind or an end")),
    }
}

/// A length; `None` where there is nothing, as RESP2 says it.
fn length(text: &[u8]) -> Result<Option<u64>, Malformed> {
    if text == b"-1" {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed
        .map(Some)
        .ok_or(Malformed("a length that is no number"))
}

/// The answer that these bytes are, as a [`Scanner`] has found it.
pub(crate) fn read(answer: &[u8]) -> Result<Value, Malformed> {
    Reader {
        input: answer,
        at: 0,
    }
    .value()
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, Malformed> {
        let (mut kind, mut text) = self.line()?;
        // What is said of a value stands before it, as often as a server likes.
        while kind == b'|' {
            self.pairs(length(text)?.unwrap_or(0))?;
            (kind, text) = self.line()?;
        }
        Ok(match kind {
            b'$' => self.string(text)?.map_or(Value::Null, |bytes| {
                Value::Bytes(Bytes::copy_from_slice(bytes))
            }),
            b':' => Value::Int(number(text)?),
            b'+' if text == b"OK" => Value::ok(),
            b'+' => Value::Status(owned(text).into()),
            b'-' => Value::Error(Refusal::new(owned(text))),
            b'_' => Value::Null,
            b',' => Value::Double(number(text)?),
            b'#' => Value::Bool(text == b"t"),
            b'(' => Value::BigNumber(owned(text).into()),
            b'=' => self.string(text)?.map_or(Value::Null, |bytes| {
                // Behind three letters of a format and a colon.
                Value::Verbatim(owned(bytes.get(4..).unwrap_or_default()).into())
            }),
            b'!' => self.string(text)?.map_or(Value::Null, |bytes| {
                Value::Error(Refusal::new(owned(bytes)))
            }),
            b'*' | b'>' => match length(text)? {
                None => Value::Null,
                Some(len) => Value::Array(self.values(len)?),
            },
            b'~' => Value::Set(self.values(length(text)?.unwrap_or(0))?),
            b'%' => Value::Map(self.pairs(length(text)?.unwrap_or(0))?),
            _ => return Err(Malformed("an unknown kind of value")),
        })
    }

    fn line(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (kind, text, end) =
            line(self.input, self.at)?.ok_or(Malformed("an answer cut short"))?;
        self.at = end;
        Ok((kind, text))
    }

    fn string(&mut self, len: &[u8]) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(len) = length(len)? else {
            return Ok(None);
        };
        let end = self.at + len as usize;
        let bytes = self.input.get(self.at..end);
        if self.input.get(end..end + 2) != Some(b"\r\n") {
            return Err(Malformed("a string that is longer than it says"));
        }
        self.at = end + 2;
        Ok(bytes)
    }

    fn values(&mut self, len: u64) -> Result<Vec<Value>, Malformed> {
        (0..len).map(|_| self.value()).collect()
    }

    fn pairs(&mut self, len: u64) -> Result<Vec<(Value, Value)>, Malformed> {
        (0..len)
            .map(|_| Ok((self.value()?, self.value()?)))
            .collect()
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, Malformed> {
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or(Malformed("a number that is none"))
}

fn owned(text: &[u8]) -> String {
    larder_resp::text_of(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind, and what it says.
    fn answers() -> Vec<(&'static str, Value)> {
        let bytes = |text: &'static str| Value::Bytes(Bytes::from(text));
        vec![
            ("+OK\r\n", Value::ok()),
            ("-ERR no\r\n", Value::Error(Refusal::new("ERR no"))),
            (":-7\r\n", Value::Int(-7)),
            (",1.5\r\n", Value::Double(1.5)),
            (",inf\r\n", Value::Double(f64::INFINITY)),
            ("#t\r\n", Value::Bool(true)),
            ("_\r\n", Value::Null),
            ("$-1\r\n", Value::Null),
            ("*-1\r\n", Value::Null),
            ("$0\r\n\r\n", bytes("")),
            ("$4\r\na\r\nb\r\n", bytes("a\r\nb")),
            ("=6\r\ntxt:hi\r\n", Value::Verbatim("hi".into())),
            (
                "(12345678901234567890\r\n",
                Value::BigNumber("12345678901234567890".into()),
            ),
            ("*0\r\n", Value::Array(Vec::new())),
            (
                "*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
                Value::Array(vec![Value::Array(vec![Value::Int(1)]), bytes("a")]),
            ),
            (
                "%1\r\n$1\r\na\r\n:1\r\n",
                Value::Map(vec![(bytes("a"), Value::Int(1))]),
            ),
            ("~1\r\n:1\r\n", Value::Set(vec![Value::Int(1)])),
            ("|1\r\n+a\r\n:1\r\n:2\r\n", Value::Int(2)),
            ("!6\r\nERR no\r\n", Value::Error(Refusal::new("ERR no"))),
        ]
    }

    #[test]
    fn an_answer_is_read_as_what_it_says() {
        for (text, value) in answers() {
            let end = Scanner::default().end_of(text.as_bytes());
            assert_eq!(end, Ok(Some(text.len())), "{text:?}");
            assert_eq!(read(text.as_bytes()), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn an_answer_may_come_byte_by_byte_and_with_the_next_behind_it() {
        for (text, _) in answers() {
            let more = format!("{text}:1\r\n");
            let mut scanner = Scanner::default();
            for len in 0..text.len() {
                let end = scanner.end_of(&more.as_bytes()[..len]);
                assert_eq!(end, Ok(None), "{text:?} to {len}");
            }
            let end = scanner.end_of(more.as_bytes());
            assert_eq!(end, Ok(Some(text.len())), "{text:?}");
            let end = scanner.end_of(&more.as_bytes()[text.len()..]);
            assert_eq!(end, Ok(Some(4)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_and_takes_no_memory() {
        let deep = "*1\r\n".repeat(DEPTH_MAX + 1);
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "$x\r\n",
            "$99999999999\r\n",
            "%9999999999999999999\r\n",
            "*?\r\n",
            &deep,
        ] {
            assert!(
                Scanner::default().end_of(text.as_bytes()).is_err(),
                "{text:?}"
            );
        }
        // A list that says that it is long is not believed before its values are there.
        let end = Scanner::default().end_of(b"*4000000000\r\n:1\r\n");
        assert_eq!(end, Ok(None));
        let endless = vec![b'+'; LINE_MAX + 2];
        assert!(Scanner::default().end_of(&endless).is_err());
    }
}
