//! Answers of commands as Lua values.

use larder_resp::bytes_of;

use super::stack::{Stack, TABLE_MAX};
use crate::error::Error;
use crate::reply::Reply;

/// How many values a container needs room for: itself, a name and a value in it, and what it takes
/// to give them a field.
const ROOM: i32 = 8;

/// Pushes an answer as a Lua value, by the rules of Redis: a byte string is a string, a status
/// `{ok = ...}`, an error `{err = ...}`, nothing is `false`. After `redis.setresp(3)` the types of
/// RESP3 have shapes of their own.
pub(super) struct LuaReply<'s> {
    stack: &'s mut Stack,
    /// How many values lay on the stack before.
    below: i32,
    resp3: bool,
    /// The containers that are not full yet. They lie on the stack, the innermost on top.
    open: Vec<Open>,
    /// It has no room for the answer.
    is_full: bool,
}

/// A container that waits for more values.
struct Open {
    /// The field of the answer that holds the table, if the answer is not the table itself.
    field: Option<&'static str>,
    filling: Filling,
    missing: usize,
}

enum Filling {
    /// The next value goes to the place behind this one.
    Array(usize),
    /// The next value is a name.
    Names,
    /// The next value belongs to the name that lies on the table.
    Values,
    /// The next value is a member.
    Set,
}

impl<'s> LuaReply<'s> {
    pub(super) fn new(stack: &'s mut Stack, resp3: bool) -> LuaReply<'s> {
        LuaReply {
            below: stack.len(),
            is_full: !stack.has_room(ROOM),
            stack,
            resp3,
            open: Vec::new(),
        }
    }

    /// The answer is whole: it is the top of the stack.
    ///
    /// # Errors
    ///
    /// If there was no room for it. Nothing is pushed then.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.is_full {
            self.discard();
            return Err("ERR too many values for a script".to_owned());
        }
        if self.stack.len() == self.below {
            self.stack.push_nil();
        }
        Ok(())
    }

    /// The answer is not wanted. Nothing is pushed.
    pub(super) fn discard(self) {
        self.stack.truncate(self.below);
    }

    /// Takes the value that this pushes.
    fn value(&mut self, push: impl FnOnce(&mut Stack)) {
        if !self.is_full {
            push(self.stack);
            self.settle();
        }
    }

    /// Puts the value on top into the innermost container, and so each container that is full then.
    fn settle(&mut self) {
        while let Some(open) = self.open.last_mut() {
            open.put(self.stack);
            if open.missing > 0 {
                return;
            }
            self.close();
        }
    }

    /// The innermost container is full.
    fn close(&mut self) {
        if let Some(field) = self.open.pop().and_then(|open| open.field) {
            self.stack.tag(field);
        }
    }

    fn begin(&mut self, field: Option<&'static str>, filling: Filling, missing: usize) {
        self.is_full |= missing > TABLE_MAX || !self.stack.has_room(ROOM);
        if self.is_full {
            return;
        }
        match filling {
            Filling::Array(_) => self.stack.push_table(missing, 0),
            Filling::Names | Filling::Values => self.stack.push_table(0, missing / 2),
            Filling::Set => self.stack.push_table(0, missing),
        }
        self.open.push(Open {
            field,
            filling,
            missing,
        });
        if missing == 0 {
            self.close();
            self.settle();
        }
    }

    fn tagged(&mut self, field: &str, push: impl FnOnce(&mut Stack)) {
        self.value(|stack| {
            push(stack);
            stack.tag(field);
        });
    }

    fn text(&mut self, text: &[u8]) {
        self.value(|stack| stack.push_text(text));
    }
}

impl Open {
    /// Takes the top of the stack into the container beneath it.
    fn put(&mut self, stack: &mut Stack) {
        self.missing -= 1;
        match &mut self.filling {
            Filling::Array(place) => {
                *place += 1;
                stack.put(*place);
            }
            Filling::Names => self.filling = Filling::Values,
            Filling::Values => {
                stack.put_named();
                self.filling = Filling::Names;
            }
            Filling::Set => {
                stack.push_bool(true);
                stack.put_named();
            }
        }
    }
}

impl Reply for LuaReply<'_> {
    fn status(&mut self, text: &str) {
        self.tagged("ok", |stack| stack.push_text(&bytes_of(text)));
    }

    fn error(&mut self, error: &Error) {
        let text = error.to_string();
        self.tagged("err", |stack| stack.push_text(&bytes_of(&text)));
    }

    fn int(&mut self, number: i64) {
        self.value(|stack| stack.push_number(number as f64));
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.text(bytes);
    }

    fn null(&mut self) {
        match self.resp3 {
            true => self.value(Stack::push_nil),
            false => self.value(|stack| stack.push_bool(false)),
        }
    }

    fn null_array(&mut self) {
        self.null();
    }

    fn array(&mut self, len: usize) {
        self.begin(None, Filling::Array(0), len);
    }

    fn map(&mut self, pairs: usize) {
        match self.resp3 {
            true => self.begin(Some("map"), Filling::Names, pairs * 2),
            false => self.array(pairs * 2),
        }
    }

    fn set(&mut self, len: usize) {
        match self.resp3 {
            true => self.begin(Some("set"), Filling::Set, len),
            false => self.array(len),
        }
    }

    fn push(&mut self, len: usize) {
        self.array(len);
    }

    fn double(&mut self, number: f64) {
        if self.resp3 {
            return self.tagged("double", |stack| stack.push_number(number));
        }
        let mut text = Vec::with_capacity(24);
        larder_resp::write_double(&mut text, number);
        self.text(&text);
    }

    fn bool(&mut self, yes: bool) {
        match self.resp3 {
            true => self.value(|stack| stack.push_bool(yes)),
            false => self.int(i64::from(yes)),
        }
    }

    fn big_number(&mut self, digits: &str) {
        match self.resp3 {
            true => self.tagged("big_number", |stack| stack.push_text(&bytes_of(digits))),
            false => self.text(&bytes_of(digits)),
        }
    }

    fn verbatim(&mut self, text: &str) {
        if !self.resp3 {
            return self.text(&bytes_of(text));
        }
        self.tagged("verbatim_string", |stack| {
            stack.push_table(0, 2);
            stack.push_text(b"txt");
            stack.put_field("format");
            stack.push_text(&bytes_of(text));
            stack.put_field("string");
        });
    }

    fn is_resp3(&self) -> bool {
        self.resp3
    }
}
