//! JSON as Lua values.

use std::ffi::c_int;
use std::sync::atomic::Ordering::Relaxed;

use super::super::native::{Context, Raise};
use super::super::stack::TABLE_MAX;
use super::Settings;
use super::number::{begins_with, strtod};

/// For how many values an array or an object needs room: itself, a name, a value, and what it takes
/// to put that in.
const ROOM: c_int = 4;

/// Pushes the value that a JSON text says.
///
/// # Errors
///
/// If it is no JSON, or its values take more memory than the script may hold.
pub(super) fn push_value(
    context: &mut Context<'_, '_, '_>,
    settings: &Settings,
    json: &[u8],
) -> Result<(), Raise> {
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        let text = "JSON parser does not support UTF-16 or UTF-32";
        return Err(Raise::Error(text.to_owned()));
    }
    let mut decoder = Decoder {
        context,
        settings,
        json,
        at: 0,
        open: Vec::new(),
    };
    let token = decoder.token();
    decoder.value(token, "value")?;
    while let Some(innermost) = decoder.open.last() {
        match innermost.is_array {
            true => decoder.array()?,
            false => decoder.object()?,
        }
    }
    let token = decoder.token();
    decoder.expect(token, Kind::End, "the end")
}

/// Reads a text. The containers that it is in lie on the stack, the innermost on top.
struct Decoder<'d, 'c, 'r, 'e> {
    context: &'d mut Context<'c, 'r, 'e>,
    settings: &'d Settings,
    json: &'d [u8],
    at: usize,
    open: Vec<Open>,
}

/// An array or an object that is being read.
struct Open {
    is_array: bool,
    /// How many values it has so far.
    len: usize,
}

/// A word of JSON, and the place at which it begins, or at which it is wrong.
struct Token {
    kind: Kind,
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// A text, which lies on the stack.
    Text,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Kind {
    /// How errors name it.
    fn name(self) -> &'static str {
        match self {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::Text => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Wrong(what) => what,
        }
    }
}

impl Decoder<'_, '_, '_, '_> {
    /// Reads what comes next in the innermost array.
    fn array(&mut self) -> Result<(), Raise> {
        let mut token = self.token();
        if token.kind == Kind::ArrayEnd {
            return self.close();
        }
        if self.len() > 0 {
            self.expect(token, Kind::Comma, "comma or array end")?;
            token = self.token();
        }
        self.value(token, "value")
    }

    /// Reads what comes next in the innermost object.
    fn object(&mut self) -> Result<(), Raise> {
        let mut token = self.token();
        if token.kind == Kind::ObjectEnd {
            return self.close();
        }
        if self.len() > 0 {
            self.expect(token, Kind::Comma, "comma or object end")?;
            token = self.token();
        }
        self.expect(token, Kind::Text, "object key string")?;
        let token = self.token();
        self.expect(token, Kind::Colon, "colon")?;
        let token = self.token();
        self.value(token, "value")
    }

    /// How many values the innermost container has so far.
    fn len(&self) -> usize {
        self.open.last().map_or(0, |open| open.len)
    }

    /// Reads a value that begins with this token.
    fn value(&mut self, token: Token, wanted: &str) -> Result<(), Raise> {
        let stack = &mut *self.context.stack;
        match token.kind {
            Kind::ObjectBegin => return self.begin(false),
            Kind::ArrayBegin => return self.begin(true),
            // It lies there already.
            Kind::Text => {}
            Kind::Number(number) => stack.push_number(number),
            Kind::Boolean(yes) => stack.push_bool(yes),
            Kind::Null => stack.push_null(),
            _ => return Err(unexpected(wanted, &token)),
        }
        self.settle()
    }

    fn begin(&mut self, is_array: bool) -> Result<(), Raise> {
        let depth = self.open.len() + 1;
        let depth_max = self.settings.decode_depth_max.load(Relaxed);
        if depth > depth_max as usize || !self.context.stack.has_room(ROOM) {
            let at = self.at;
            let text = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(Raise::Error(text));
        }
        self.context.stack.push_table(0, 0);
        self.open.push(Open { is_array, len: 0 });
        Ok(())
    }

    /// The innermost container, which is on top, is whole.
    fn close(&mut self) -> Result<(), Raise> {
        self.open.pop();
        self.settle()
    }

    /// Puts the value on top into the container beneath it, if there is one.
    fn settle(&mut self) -> Result<(), Raise> {
        self.context.expect_room(0)?;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.len += 1;
        if open.len > TABLE_MAX / 2 {
            return Err(Raise::MEMORY);
        }
        match open.is_array {
            true => self.context.stack.put(open.len),
            false => self.context.stack.put_named(),
        }
        Ok(())
    }

    fn expect(&self, token: Token, kind: Kind, wanted: &str) -> Result<(), Raise> {
        match token.kind == kind {
            true => Ok(()),
            false => Err(unexpected(wanted, &token)),
        }
    }

    /// The byte so far ahead; the text ends with a NUL.
    fn peek(&self, ahead: usize) -> u8 {
        self.json.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let begin = self.at;
        let kind = match self.peek(0) {
            b'{' => self.taken(1, Kind::ObjectBegin),
            b'}' => self.taken(1, Kind::ObjectEnd),
            b'[' => self.taken(1, Kind::ArrayBegin),
            b']' => self.taken(1, Kind::ArrayEnd),
            b',' => self.taken(1, Kind::Comma),
            b':' => self.taken(1, Kind::Colon),
            0 => Kind::End,
            b'"' => self.text(),
            _ => self.word(),
        };
        let is_wrong = matches!(kind, Kind::Wrong(_));
        let at = if is_wrong { self.at } else { begin };
        Token { kind, at }
    }

    fn taken(&mut self, len: usize, kind: Kind) -> Kind {
        self.at += len;
        kind
    }

    /// A number, or one of the words that JSON knows.
    fn word(&mut self) -> Kind {
        let rest = &self.json[self.at..];
        let reads_invalid = self.settings.decode_invalid.load(Relaxed) != 0;
        match rest[0] {
            b'-' | b'0'..=b'9' if !reads_invalid && is_invalid_number(rest) => {
                Kind::Wrong("invalid number")
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ if rest.starts_with(b"true") => self.taken(4, Kind::Boolean(true)),
            _ if rest.starts_with(b"false") => self.taken(5, Kind::Boolean(false)),
            _ if rest.starts_with(b"null") => self.taken(4, Kind::Null),
            b'+' | b'i' | b'I' | b'n' | b'N' if reads_invalid && is_invalid_number(rest) => {
                self.number()
            }
            _ => Kind::Wrong("invalid token"),
        }
    }

    fn number(&mut self) -> Kind {
        match strtod(&self.json[self.at..]) {
            Some((number, len)) => self.taken(len, Kind::Number(number)),
            None => Kind::Wrong("invalid number"),
        }
    }

    /// Reads a text and pushes it.
    fn text(&mut self) -> Kind {
        self.at += 1;
        let plain_len = self.plain_len();
        // Most texts have no escapes, and are pushed as they stand.
        if self.peek(plain_len) == b'"' {
            let text = &self.json[self.at..self.at + plain_len];
            self.context.stack.push_text(text);
            return self.taken(plain_len + 1, Kind::Text);
        }
        let mut text = Vec::new();
        loop {
            let plain_len = self.plain_len();
            text.extend_from_slice(&self.json[self.at..self.at + plain_len]);
            self.at += plain_len;
            match self.peek(0) {
                b'"' => break,
                b'\\' => {}
                _ => return Kind::Wrong("unexpected end of string"),
            }
            if let Err(what) = self.escape(&mut text) {
                return Kind::Wrong(what);
            }
        }
        self.context.stack.push_text(&text);
        self.taken(1, Kind::Text)
    }

    /// How many bytes stand before the next quote, escape or NUL.
    fn plain_len(&self) -> usize {
        let rest = &self.json[self.at..];
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0));
        end.unwrap_or(rest.len())
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode(text).ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        text.push(byte);
        self.at += 2;
        Ok(())
    }

    /// `\u` and four digits, or a surrogate pair of two such.
    fn unicode(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let mut code = self.unit(2)?;
        let mut len = 6;
        if code & 0xF800 == 0xD800 {
            let is_pair = code & 0x400 == 0 && self.peek(6) == b'\\' && self.peek(7) == b'u';
            let low = self
                .unit(8)
                .filter(|low| is_pair && low & 0xFC00 == 0xDC00)?;
            code = ((code & 0x3FF) << 10 | low & 0x3FF) + 0x10000;
            len = 12;
        }
        let character = char::from_u32(code)?;
        let mut bytes = [0; 4];
        text.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        self.at += len;
        Some(())
    }

    /// Four hexadecimal digits.
    fn unit(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |unit, place| {
            let digit = (self.peek(ahead + place) as char).to_digit(16)?;
            Some(unit << 4 | digit)
        })
    }
}

fn unexpected(wanted: &str, token: &Token) -> Raise {
    let (found, at) = (token.kind.name(), token.at + 1);
    Raise::Error(format!(
        "Expected {wanted} but found {found} at character {at}"
    ))
}

/// Whether this begins a number that `strtod` reads and JSON does not know.
fn is_invalid_number(text: &[u8]) -> bool {
    if text[0] == b'+' {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [0..=b'9', ..] => false,
        _ => begins_with(text, b"inf") || begins_with(text, b"nan"),
    }
}
