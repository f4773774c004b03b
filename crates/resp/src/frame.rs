//! Reading answers: the client's side of the protocol, for tests and tools.

use crate::encode;
use crate::text::text_of;

/// How many bytes the format of a verbatim text has.
const FORMAT_LEN: usize = 3;

/// How deep containers may stand in each other.
const DEPTH_MAX: usize = 64;

/// The longest string: `proto-max-bulk-len`.
const LEN_MAX: usize = 512 * 1024 * 1024;

/// One value of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `+OK`.
    Status(String),
    /// `-ERR …`, without the minus.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// `$3`.
    Bulk(Vec<u8>),
    /// `_` in RESP3, `$-1` in RESP2.
    Null,
    /// `*-1` in RESP2.
    NullArray,
    /// `*2`.
    Array(Vec<Frame>),
    /// `%2`.
    Map(Vec<(Frame, Frame)>),
    /// `~2`.
    Set(Vec<Frame>),
    /// `>2`: a message that is no answer.
    Push(Vec<Frame>),
    /// `,1.5`.
    Double(f64),
    /// `#t`.
    Boolean(bool),
    /// `(123`.
    BigNumber(String),
    /// `=15\r\ntxt:…`: the format, and the text.
    Verbatim(String, String),
}

/// An answer that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not RESP: {0}")]
pub struct FrameError(&'static str);

impl Frame {
    /// Reads the value that `input` begins with, and answers how long it is; `None` when it is not
    /// there as a whole.
    ///
    /// # Errors
    ///
    /// When it is no value.
    pub fn read(input: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
        let mut reader = Reader { input, at: 0 };
        let frame = reader.frame(0)?;
        Ok(frame.map(|frame| (frame, reader.at)))
    }

    /// Appends the value as it is sent in RESP3, except that `$-1` is never written.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Status(text) => encode::status(out, text),
            Frame::Error(text) => encode::error(out, text),
            Frame::Integer(number) => encode::integer(out, *number),
            Frame::Bulk(bytes) => encode::bulk(out, bytes),
            Frame::Null => encode::null(out),
            Frame::NullArray => encode::null_array(out),
            Frame::Double(number) => encode::double(out, *number),
            Frame::Boolean(yes) => encode::boolean(out, *yes),
            Frame::BigNumber(digits) => encode::big_number(out, digits),
            Frame::Verbatim(format, text) => encode::verbatim(out, format, text),
            Frame::Array(items) => write_all(out, encode::array, items),
            Frame::Set(items) => write_all(out, encode::set, items),
            Frame::Push(items) => write_all(out, encode::push, items),
            Frame::Map(pairs) => {
                encode::map(out, pairs.len());
                for (name, value) in pairs {
                    name.write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// Appends a request.
pub fn write_request<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[W]) {
    encode::array(out, words.len());
    words
        .iter()
        .for_each(|word| encode::bulk(out, word.as_ref()));
}

fn write_all(out: &mut Vec<u8>, header: fn(&mut Vec<u8>, usize), items: &[Frame]) {
    header(out, items.len());
    items.iter().for_each(|item| item.write(out));
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn frame(&mut self, depth: usize) -> Result<Option<Frame>, FrameError> {
        if depth > DEPTH_MAX {
            return Err(FrameError("nested too deep"));
        }
        let Some(line) = self.line() else {
            return Ok(None);
        };
        let Some((kind, text)) = line.split_first() else {
            return Err(FrameError("an empty line"));
        };
        let frame = match kind {
            // A refusal repeats what was asked for, and scripts make statuses: both may be any bytes.
            b'+' => Frame::Status(owned(text)),
            b'-' => Frame::Error(owned(text)),
            b':' => Frame::Integer(parse(text)?),
            b',' => Frame::Double(parse(text)?),
            b'(' => Frame::BigNumber(owned(text)),
            b'_' => Frame::Null,
            b'#' => Frame::Boolean(text == b"t"),
            b'$' if text == b"-1" => Frame::Null,
            b'*' if text == b"-1" => Frame::NullArray,
            b'$' => return Ok(self.string(len(text)?)?.map(Frame::Bulk)),
            b'=' => return self.verbatim(len(text)?),
            b'*' => return Ok(self.frames(len(text)?, depth)?.map(Frame::Array)),
            b'~' => return Ok(self.frames(len(text)?, depth)?.map(Frame::Set)),
            b'>' => return Ok(self.frames(len(text)?, depth)?.map(Frame::Push)),
            b'%' => return self.map(len(text)?, depth),
            _ => return Err(FrameError("an unknown kind of value")),
        };
        Ok(Some(frame))
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.input[self.at..];
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        self.at += end + 2;
        Some(rest[..end].to_vec())
    }

    fn string(&mut self, len: usize) -> Result<Option<Vec<u8>>, FrameError> {
        let rest = &self.input[self.at..];
        if rest.len() < len + 2 {
            return Ok(None);
        }
        if &rest[len..len + 2] != b"\r\n" {
            return Err(FrameError("a string that is longer than it says"));
        }
        self.at += len + 2;
        Ok(Some(rest[..len].to_vec()))
    }

    fn verbatim(&mut self, len: usize) -> Result<Option<Frame>, FrameError> {
        let Some(text) = self.string(len)? else {
            return Ok(None);
        };
        let text = owned(&text);
        let (format, text) = text
            .split_once(':')
            .filter(|(format, _)| format.len() == FORMAT_LEN)
            .ok_or(FrameError("a text without a format"))?;
        Ok(Some(Frame::Verbatim(format.to_owned(), text.to_owned())))
    }

    fn frames(&mut self, len: usize, depth: usize) -> Result<Option<Vec<Frame>>, FrameError> {
        // The length is what the other side says: room is made for what is really there.
        let mut frames = Vec::new();
        for _ in 0..len {
            let Some(frame) = self.frame(depth + 1)? else {
                return Ok(None);
            };
            frames.push(frame);
        }
        Ok(Some(frames))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Option<Frame>, FrameError> {
        let Some(frames) = self.frames(len * 2, depth)? else {
            return Ok(None);
        };
        let mut frames = frames.into_iter();
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (frames.next(), frames.next()) {
            pairs.push((name, value));
        }
        Ok(Some(Frame::Map(pairs)))
    }
}

fn len(text: &[u8]) -> Result<usize, FrameError> {
    match parse(text)? {
        len if len <= LEN_MAX => Ok(len),
        _ => Err(FrameError("a length that is too long")),
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Result<T, FrameError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(FrameError("not a number"))
}

fn owned(text: &[u8]) -> String {
    text_of(text).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let leaf = prop_oneof![
            "[ -~]{0,20}".prop_map(Frame::Status),
            "[A-Z]{1,5} [ -~]{0,20}".prop_map(Frame::Error),
            any::<i64>().prop_map(Frame::Integer),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Frame::Bulk),
            Just(Frame::Null),
            Just(Frame::NullArray),
            (-1e12..1e12).prop_map(Frame::Double),
            any::<bool>().prop_map(Frame::Boolean),
            "-?[1-9][0-9]{0,40}".prop_map(Frame::BigNumber),
            "[ -~]{0,20}".prop_map(|text| Frame::Verbatim("txt".into(), text)),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let items = prop::collection::vec(inner.clone(), 0..6);
            prop_oneof![
                items.clone().prop_map(Frame::Array),
                items.clone().prop_map(Frame::Set),
                items.prop_map(Frame::Push),
                prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Frame::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_reads_back_as_itself_and_never_before_it_is_whole(frame in frames()) {
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            for end in 0..bytes.len() {
                prop_assert_eq!(Frame::read(&bytes[..end]), Ok(None));
            }
            prop_assert_eq!(Frame::read(&bytes), Ok(Some((frame, bytes.len()))));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Frame::read(&bytes);
        }

        #[test]
        fn arbitrary_resp_is_read_or_refused(text in "([-+:$*%~>,#(=_][-0-9a-z]{0,3}\r\n){0,9}") {
            let _ = Frame::read(text.as_bytes());
        }
    }

    #[test]
    fn a_value_that_is_nested_without_an_end_is_refused() {
        let bytes = b"*1\r\n".repeat(100_000);
        assert_eq!(Frame::read(&bytes), Err(FrameError("nested too deep")));
    }

    #[test]
    fn the_format_of_a_verbatim_text_has_three_letters() {
        let refused = Err(FrameError("a text without a format"));
        for text in ["=7\r\ntt:text\r\n", "=4\r\ntext\r\n", "=1\r\n:\r\n"] {
            assert_eq!(Frame::read(text.as_bytes()), refused, "{text:?}");
        }
    }

    /// A script makes a status of any text.
    #[test]
    fn a_status_of_any_bytes_is_read() {
        let read = Frame::read(b"+a\xffb\r\n");
        assert_eq!(read, Ok(Some((Frame::Status("a\u{10ffff}b".into()), 6))));
    }
}
