//! What a script returns, as an answer.

use super::stack::{Slot, Stack};
use crate::error::{Error, Result};
use crate::reply::Reply;

/// Tables in tables, deeper than which no answer goes.
const DEPTH_MAX: usize = 500;

/// How many bytes a value of no length takes in an answer, about.
const VALUE_LEN: usize = 8;

/// For how many values a table needs room: a table in one of its fields, and a pair of that.
const ROOM: i32 = 8;

/// Answers what a script returned, which is the top of the stack, by the rules of Redis. Only a
/// script that has asked for RESP3 returns booleans: else `true` is 1, and `false` is nothing.
///
/// # Errors
///
/// If the answer would have more than `len_max` bytes: one table may stand in many places of
/// another. Nothing is answered then.
pub(super) fn write(
    reply: &mut dyn Reply,
    stack: &mut Stack,
    resp3: bool,
    len_max: usize,
) -> Result<()> {
    let top = stack.len();
    if stack.get(top) == Slot::Table {
        let mut left = len_max;
        measure(stack, top, &mut left, 0);
        if left == 0 {
            return Err(Error::text(
                "ERR not enough memory for the answer of the script",
            ));
        }
    }
    Writer {
        reply,
        stack,
        resp3,
    }
    .value(top, 0);
    Ok(())
}

/// Takes about as many bytes from `left` as the table takes in an answer; ends when none are left.
fn measure(stack: &mut Stack, table: i32, left: &mut usize, depth: usize) {
    if depth >= DEPTH_MAX || !stack.has_room(ROOM) {
        return;
    }
    let below = stack.len();
    stack.push_nil();
    while stack.next(table) {
        let value = stack.len();
        for place in [value - 1, value] {
            let len = match stack.get(place) {
                Slot::Text(text) => text.len(),
                _ => 0,
            };
            *left = left.saturating_sub(len + VALUE_LEN);
            if *left > 0 && stack.get(place) == Slot::Table {
                measure(stack, place, left, depth + 1);
            }
        }
        if *left == 0 {
            return stack.truncate(below);
        }
        stack.pop();
    }
}

/// Writes values that lie on a stack.
struct Writer<'w> {
    reply: &'w mut dyn Reply,
    stack: &'w mut Stack,
    resp3: bool,
}

impl Writer<'_> {
    /// Writes what lies at this place.
    fn value(&mut self, place: i32, depth: usize) {
        match self.stack.get(place) {
            Slot::Text(text) => self.reply.bulk(text),
            Slot::Number(number) => self.reply.int(number as i64),
            Slot::Boolean(yes) if self.resp3 => self.reply.bool(yes),
            Slot::Boolean(true) => self.reply.int(1),
            Slot::Table => self.table(place, depth),
            _ => self.reply.null(),
        }
    }

    fn table(&mut self, table: i32, depth: usize) {
        if depth >= DEPTH_MAX || !self.stack.has_room(ROOM) {
            let error = Error::text("ERR reached lua stack limit");
            return self.reply.error(&error);
        }
        if let Some(text) = self.text_field(table, "err") {
            return self.reply.refusal(&text);
        }
        if let Some(text) = self.text_field(table, "ok") {
            return self.reply.status(&text);
        }
        if let Some(number) = self.number_field(table, "double") {
            return self.reply.double(number);
        }
        let map = self.table_field(table, "map", |to, map| to.map(map, depth));
        let set = || self.table_field(table, "set", |to, set| to.set(set, depth));
        if map.or_else(set).is_some() {
            return;
        }
        if let Some(digits) = self.text_field(table, "big_number") {
            return self.reply.big_number(&digits);
        }
        let verbatim = |to: &mut Self, verbatim| to.text_field(verbatim, "string");
        if let Some(Some(text)) = self.table_field(table, "verbatim_string", verbatim) {
            return self.reply.verbatim(&text);
        }
        self.array(table, depth);
    }

    fn map(&mut self, map: i32, depth: usize) {
        let count = self.pairs(map, |_, _| {});
        self.reply.map(count);
        self.pairs(map, |to, name| {
            to.value(name, depth + 1);
            to.value(name + 1, depth + 1);
        });
    }

    fn set(&mut self, set: i32, depth: usize) {
        let count = self.pairs(set, |_, _| {});
        self.reply.set(count);
        self.pairs(set, |to, member| to.value(member, depth + 1));
    }

    /// The values from place 1 on, up to the first that is nothing.
    fn array(&mut self, array: i32, depth: usize) {
        let count = self.values(array, |_, _| {});
        self.reply.array(count);
        self.values(array, |to, value| to.value(value, depth + 1));
    }

    /// Visits the pairs of a table by the place at which the name lies; the value lies behind it.
    /// Gives their number.
    fn pairs(&mut self, table: i32, mut visit: impl FnMut(&mut Self, i32)) -> usize {
        let mut count = 0;
        self.stack.push_nil();
        while self.stack.next(table) {
            count += 1;
            visit(self, self.stack.len() - 1);
            self.stack.pop();
        }
        count
    }

    /// Visits the values of an array by the place at which each lies. Gives their number.
    fn values(&mut self, array: i32, mut visit: impl FnMut(&mut Self, i32)) -> usize {
        let mut count = 0;
        loop {
            self.stack.push_place(array, count + 1);
            let is_end = self.stack.get(-1) == Slot::Nil;
            if !is_end {
                visit(self, self.stack.len());
            }
            self.stack.pop();
            if is_end {
                return count as usize;
            }
            count += 1;
        }
    }

    /// What `read` reads of a field that is a table, by the place at which that lies.
    fn table_field<T>(
        &mut self,
        table: i32,
        name: &str,
        read: impl FnOnce(&mut Self, i32) -> T,
    ) -> Option<T> {
        self.stack.push_field(table, name);
        let is_table = self.stack.get(-1) == Slot::Table;
        let found = is_table.then(|| read(self, self.stack.len()));
        self.stack.pop();
        found
    }

    fn text_field(&mut self, table: i32, name: &str) -> Option<String> {
        self.stack.field(table, name, |slot| match slot {
            Slot::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
    }

    fn number_field(&mut self, table: i32, name: &str) -> Option<f64> {
        self.stack.field(table, name, |slot| match slot {
            Slot::Number(number) => Some(number),
            _ => None,
        })
    }
}
