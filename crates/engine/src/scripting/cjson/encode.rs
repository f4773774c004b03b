//! Lua values as JSON.

use std::ffi::c_int;
use std::io::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::super::native::Raise;
use super::super::number::format_g;
use super::super::stack::{Slot, Stack};
use super::Settings;

/// For how many values a table needs room: a pair, and an error.
const ROOM: c_int = 3;

/// The JSON of the value on top of the stack.
///
/// # Errors
///
/// If the value has no JSON, or more than `len_max` bytes of it: one table may stand in many places
/// of another.
pub(super) fn text_of(
    stack: &mut Stack,
    settings: &Settings,
    len_max: usize,
) -> Result<Vec<u8>, Raise> {
    let mut encoder = Encoder {
        stack,
        settings,
        json: Vec::new(),
        open: Vec::new(),
    };
    encoder.value()?;
    while encoder.step()? {
        if encoder.json.len() > len_max {
            return Err(Raise::MEMORY);
        }
    }
    Ok(encoder.json)
}

/// Writes values that lie on a stack. Tables that are not written yet lie there too, the innermost
/// on top, and above an object the name that it is at.
struct Encoder<'e> {
    stack: &'e mut Stack,
    settings: &'e Settings,
    json: Vec<u8>,
    open: Vec<Open>,
}

/// A table that is being written.
enum Open {
    /// The place of the next value, and of the last.
    Array {
        next: i64,
        last: i64,
    },
    Object {
        is_first: bool,
    },
}

impl Encoder<'_> {
    /// Writes the next value of the innermost table, or its end. False when no table is open.
    fn step(&mut self) -> Result<bool, Raise> {
        let top = self.stack.len();
        match self.open.last_mut() {
            None => return Ok(false),
            Some(Open::Array { next, last }) => {
                if *next > *last {
                    self.json.push(b']');
                    self.close();
                    return Ok(true);
                }
                if *next > 1 {
                    self.json.push(b',');
                }
                self.stack.push_place(top, *next as c_int);
                *next += 1;
                self.value()?;
            }
            Some(Open::Object { is_first }) => {
                let is_first = std::mem::replace(is_first, false);
                if !self.stack.next(top - 1) {
                    self.json.push(b'}');
                    self.close();
                    return Ok(true);
                }
                if !is_first {
                    self.json.push(b',');
                }
                self.name()?;
                self.value()?;
            }
        }
        Ok(true)
    }

    /// The innermost table, which is on top, is written.
    fn close(&mut self) {
        self.open.pop();
        self.stack.pop();
    }

    /// Writes the value on top and takes it off, or opens it if it is a table.
    fn value(&mut self) -> Result<(), Raise> {
        match self.stack.get(-1) {
            Slot::Nil | Slot::Null => self.json.extend_from_slice(b"null"),
            Slot::Boolean(true) => self.json.extend_from_slice(b"true"),
            Slot::Boolean(false) => self.json.extend_from_slice(b"false"),
            Slot::Number(number) => self.number(number)?,
            Slot::Text(text) => write_text(&mut self.json, text),
            Slot::Table => return self.table(),
            Slot::Other => {
                let kind = self.stack.type_name(-1);
                let text = format!("Cannot serialise {kind}: type not supported");
                return Err(Raise::Error(text));
            }
        }
        self.stack.pop();
        Ok(())
    }

    fn table(&mut self) -> Result<(), Raise> {
        let depth = self.open.len() + 1;
        let depth_max = self.settings.encode_depth_max.load(Relaxed);
        if depth > depth_max as usize || !self.stack.has_room(ROOM) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(Raise::Error(text));
        }
        match self.array_len()? {
            Some(last) => {
                let last = i64::from(last);
                self.json.push(b'[');
                self.open.push(Open::Array { next: 1, last });
            }
            None => {
                self.json.push(b'{');
                self.open.push(Open::Object { is_first: true });
                self.stack.push_nil();
            }
        }
        Ok(())
    }

    /// The last place of the table on top if it is an array, which an empty table is not.
    fn array_len(&mut self) -> Result<Option<c_int>, Raise> {
        let table = self.stack.len();
        let (mut last, mut count) = (0, 0i64);
        self.stack.push_nil();
        while self.stack.next(table) {
            match self.stack.get(-2) {
                Slot::Number(place) if place >= 1.0 && place.floor() == place => {
                    if place > f64::from(last) {
                        last = place_of(place);
                    }
                    count += 1;
                }
                _ => {
                    self.stack.truncate(table);
                    return Ok(None);
                }
            }
            self.stack.pop();
        }
        let ratio = self.settings.sparse_ratio.load(Relaxed);
        let safe = self.settings.sparse_safe.load(Relaxed);
        let is_sparse = ratio > 0 && i64::from(last) > count.saturating_mul(ratio.into());
        if is_sparse && last > safe {
            let text = "Cannot serialise table: excessively sparse array";
            return match self.settings.sparse_converts.load(Relaxed) {
                0 => Err(Raise::Error(text.to_owned())),
                _ => Ok(None),
            };
        }
        Ok((last > 0).then_some(last))
    }

    /// Writes the name beneath the value on top.
    fn name(&mut self) -> Result<(), Raise> {
        match self.stack.get(-2) {
            Slot::Text(name) => write_text(&mut self.json, name),
            Slot::Number(name) => {
                self.json.push(b'"');
                self.number(name)?;
                self.json.push(b'"');
            }
            _ => {
                let kind = self.stack.type_name(-2);
                let text = "table key must be a number or string";
                return Err(Raise::Error(format!("Cannot serialise {kind}: {text}")));
            }
        }
        self.json.push(b':');
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Raise> {
        if !number.is_finite() {
            match self.settings.encode_invalid.load(Relaxed) {
                0 => {
                    let text = "Cannot serialise number: must not be NaN or Inf";
                    return Err(Raise::Error(text.to_owned()));
                }
                1 if number.is_nan() => self.json.extend_from_slice(b"nan"),
                1 if number > 0.0 => self.json.extend_from_slice(b"inf"),
                1 => self.json.extend_from_slice(b"-inf"),
                _ => self.json.extend_from_slice(b"null"),
            }
            return Ok(());
        }
        let digits = self.settings.precision.load(Relaxed);
        format_g(&mut self.json, number, digits as usize);
        Ok(())
    }
}

/// A place of an array as C makes it an `int`: the least one beyond its range.
fn place_of(place: f64) -> c_int {
    match place <= f64::from(c_int::MAX) {
        true => place as c_int,
        false => c_int::MIN,
    }
}

/// A text as `cjson` escapes it: any byte may be in it, and a slash is escaped.
fn write_text(json: &mut Vec<u8>, text: &[u8]) {
    json.reserve(text.len() + 2);
    json.push(b'"');
    let mut plain = 0;
    for (place, &byte) in text.iter().enumerate() {
        if byte >= b' ' && !matches!(byte, b'"' | b'\\' | b'/' | 127) {
            continue;
        }
        json.extend_from_slice(&text[plain..place]);
        plain = place + 1;
        match byte {
            b'"' => json.extend_from_slice(b"\\\""),
            b'\\' => json.extend_from_slice(b"\\\\"),
            b'/' => json.extend_from_slice(b"\\/"),
            8 => json.extend_from_slice(b"\\b"),
            9 => json.extend_from_slice(b"\\t"),
            10 => json.extend_from_slice(b"\\n"),
            12 => json.extend_from_slice(b"\\f"),
            13 => json.extend_from_slice(b"\\r"),
            byte => {
                let written = write!(json, "\\u{byte:04x}");
                debug_assert!(written.is_ok(), "memory takes all that is written");
            }
        }
    }
    json.extend_from_slice(&text[plain..]);
    json.push(b'"');
}
