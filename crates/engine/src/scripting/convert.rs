//! What a script returns, as an answer.
//!
//! Tables in tables are not written by calls in calls: a script may nest them as deep as Lua's stack
//! goes, which is deeper than a small thread's.

use super::native::c_integer;
use super::stack::{Slot, Stack};
use crate::error::{Error, Result};
use crate::reply::Reply;

/// How many bytes a value of no length takes in an answer, about.
const VALUE_LEN: usize = 8;

/// For how many values a table needs room: a table in one of its fields, a pair of that, and the
/// name once more.
const ROOM: i32 = 4;

/// Answers what a script returned, which is the top of the stack, by the rules of Redis. Only a
/// script that has asked for RESP3 returns booleans: else `true` is 1, and `false` is nothing.
///
/// # Errors
///
/// If the script returned one, and if the answer would have more than `len_max` bytes: one table may
/// stand in many places of another. Nothing is answered then.
pub(super) fn write(
    reply: &mut dyn Reply,
    stack: &mut Stack,
    resp3: bool,
    len_max: usize,
) -> Result<()> {
    let mut left = len_max;
    if stack.get(-1) == Slot::Table {
        stack.push_copy(stack.len());
        Writer::new(&mut Nowhere, stack, resp3, &mut left).all();
        if left == 0 {
            return Err(Error::text(
                "ERR not enough memory for the answer of the script",
            ));
        }
        left = usize::MAX;
    }
    let mut writer = Writer::new(reply, stack, resp3, &mut left);
    let top = writer.stack.len();
    if writer.stack.get(top) == Slot::Table
        && let Some(text) = writer.error_line(top)
    {
        return Err(Error::text(text));
    }
    writer.all();
    Ok(())
}

/// Writes values that lie on a stack. Tables that are not written yet lie there too.
struct Writer<'w> {
    reply: &'w mut dyn Reply,
    stack: &'w mut Stack,
    resp3: bool,
    /// How many bytes may still be written.
    left: &'w mut usize,
    open: Vec<Open>,
}

/// A table that is being written.
struct Open {
    filling: Filling,
    /// Where it lies.
    table: i32,
    /// How many values lay on the stack before it, or before the table that it is a field of.
    below: i32,
}

enum Filling {
    /// The next value is the one at this place.
    Array(i32),
    /// The next value is the name behind the one on top.
    Names,
    /// The next value is the one on top, whose name lies beneath it.
    Values,
    /// The next value is the member behind the one on top.
    Members,
}

impl<'w> Writer<'w> {
    fn new(
        reply: &'w mut dyn Reply,
        stack: &'w mut Stack,
        resp3: bool,
        left: &'w mut usize,
    ) -> Writer<'w> {
        Writer {
            reply,
            stack,
            resp3,
            left,
            open: Vec::new(),
        }
    }

    /// Writes the value on top with all that is in it, and takes it off.
    fn all(mut self) {
        let below = self.stack.len() - 1;
        self.value();
        while *self.left > 0 && !self.open.is_empty() {
            self.step();
        }
        self.stack.truncate(below);
    }

    /// Writes what comes next in the innermost table.
    fn step(&mut self) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let has_more = match &mut open.filling {
            Filling::Array(place) => {
                self.stack.push_place(open.table, *place);
                *place += 1;
                self.stack.get(-1) != Slot::Nil
            }
            Filling::Values => {
                open.filling = Filling::Names;
                true
            }
            filling => {
                let has_more = self.stack.next(open.table);
                if has_more && matches!(filling, Filling::Names) {
                    open.filling = Filling::Values;
                    self.stack.push_copy(self.stack.len() - 1);
                } else if has_more {
                    self.stack.pop();
                    self.stack.push_copy(self.stack.len());
                }
                has_more
            }
        };
        match has_more {
            true => self.value(),
            false => {
                let below = open.below;
                self.open.pop();
                self.stack.truncate(below);
            }
        }
    }

    /// Writes the value on top and takes it off, or opens it if it is a table.
    fn value(&mut self) {
        *self.left = self.left.saturating_sub(VALUE_LEN);
        match self.stack.get(-1) {
            Slot::Text(text) => {
                *self.left = self.left.saturating_sub(text.len());
                self.reply.bulk(text);
            }
            Slot::Number(number) => self.reply.int(c_integer(number)),
            Slot::Boolean(yes) if self.resp3 => self.reply.bool(yes),
            Slot::Boolean(true) => self.reply.int(1),
            Slot::Table => return self.table(),
            _ => self.reply.null(),
        }
        self.stack.pop();
    }

    fn table(&mut self) {
        let table = self.stack.len();
        if !self.stack.has_room(ROOM) {
            let error = Error::text("ERR reached lua stack limit");
            self.reply.error(&error);
        } else if let Some(text) = self.error_line(table) {
            self.reply.refusal(&text);
        } else if let Some(text) = self.c_line(table, "ok") {
            self.reply.status(&text);
        } else if let Some(number) = self.number(table, "double") {
            self.reply.double(number);
        } else if self.push_table(table, "map") {
            return self.pairs(Filling::Names, table - 1);
        } else if self.push_table(table, "set") {
            return self.pairs(Filling::Members, table - 1);
        } else if let Some(digits) = self.line(table, "big_number") {
            self.reply.big_number(&digits);
        } else if let Some(text) = self.verbatim(table) {
            self.reply.verbatim(&text);
        } else {
            return self.array(table);
        }
        self.stack.pop();
    }

    /// Opens the table on top as a map or as a set.
    fn pairs(&mut self, filling: Filling, below: i32) {
        let table = self.stack.len();
        let mut count = 0;
        self.stack.push_nil();
        while self.stack.next(table) {
            count += 1;
            self.stack.pop();
        }
        match filling {
            Filling::Members => self.reply.set(count),
            _ => self.reply.map(count),
        }
        self.stack.push_nil();
        self.open.push(Open {
            filling,
            table,
            below,
        });
    }

    /// Opens the table on top as an array: the values from place 1 on, up to the first that is
    /// nothing.
    fn array(&mut self, table: i32) {
        let mut count = 0;
        loop {
            self.stack.push_place(table, count + 1);
            let is_end = self.stack.get(-1) == Slot::Nil;
            self.stack.pop();
            if is_end {
                break;
            }
            count += 1;
        }
        self.reply.array(count as usize);
        self.open.push(Open {
            filling: Filling::Array(1),
            table,
            below: table - 1,
        });
    }

    /// Pushes a field that is a table. Nothing, if it is none.
    fn push_table(&mut self, table: i32, name: &str) -> bool {
        self.stack.push_field(table, name);
        let is_table = self.stack.get(-1) == Slot::Table;
        if !is_table {
            self.stack.pop();
        }
        is_table
    }

    /// The text of an error, in one line, without the line breaks at its end.
    fn error_line(&mut self, table: i32) -> Option<String> {
        let text = self.text(table, "err")?;
        let text = text.split('\0').next().unwrap_or_default();
        Some(
            text.trim_end_matches(['\r', '\n'])
                .replace(['\r', '\n'], " "),
        )
    }

    /// A field that is a text, in one line: what C takes for it, which ends at a zero.
    fn c_line(&mut self, table: i32, name: &str) -> Option<String> {
        let mut text = self.line(table, name)?;
        text.truncate(text.find('\0').unwrap_or(text.len()));
        Some(text)
    }

    /// A field that is a text, in one line.
    fn line(&mut self, table: i32, name: &str) -> Option<String> {
        let text = self.text(table, name)?;
        Some(text.replace(['\r', '\n'], " "))
    }

    fn text(&mut self, table: i32, name: &str) -> Option<String> {
        let text = self.stack.field(table, name, |slot| match slot {
            Slot::Text(text) => Some(larder_resp::text_of(text).into_owned()),
            _ => None,
        })?;
        *self.left = self.left.saturating_sub(text.len());
        Some(text)
    }

    fn number(&mut self, table: i32, name: &str) -> Option<f64> {
        self.stack.field(table, name, |slot| match slot {
            Slot::Number(number) => Some(number),
            _ => None,
        })
    }

    /// The text of a field `verbatim_string`, which has a format too.
    fn verbatim(&mut self, table: i32) -> Option<String> {
        if !self.push_table(table, "verbatim_string") {
            return None;
        }
        let field = self.stack.len();
        let format = self.text(field, "format");
        let text = format.and_then(|_| self.text(field, "string"));
        self.stack.pop();
        text
    }
}

/// An answer that nobody gets.
struct Nowhere;

impl Reply for Nowhere {
    fn status(&mut self, _: &str) {}
    fn error(&mut self, _: &Error) {}
    fn int(&mut self, _: i64) {}
    fn bulk(&mut self, _: &[u8]) {}
    fn null(&mut self) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn push(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn bool(&mut self, _: bool) {}
    fn big_number(&mut self, _: &str) {}
    fn verbatim(&mut self, _: &str) {}
    fn is_resp3(&self) -> bool {
        false
    }
}
