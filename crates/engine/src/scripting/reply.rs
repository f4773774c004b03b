//! Answers of commands as Lua values.

use mlua::{Lua, Table, Value};

use crate::error::Error;
use crate::reply::Reply;

/// Builds the Lua value of an answer, by the rules of Redis: a byte string is a string, a status
/// `{ok = ...}`, an error `{err = ...}`, nothing is `false`. After `redis.setresp(3)` the types of
/// RESP3 have shapes of their own.
pub(super) struct LuaReply<'l> {
    lua: &'l Lua,
    resp3: bool,
    open: Vec<Open>,
    done: Option<mlua::Result<Value>>,
}

/// A container that waits for more values.
struct Open {
    table: Table,
    /// The field of the answer that holds the table, if the answer is not the table itself.
    field: Option<&'static str>,
    filling: Filling,
    missing: usize,
}

enum Filling {
    /// The next value goes to this place.
    Array(usize),
    /// The next value is a name, or belongs to this name.
    Map(Option<Value>),
    /// The next value is a member.
    Set,
}

impl<'l> LuaReply<'l> {
    pub(super) fn new(lua: &'l Lua, resp3: bool) -> LuaReply<'l> {
        LuaReply {
            lua,
            resp3,
            open: Vec::new(),
            done: None,
        }
    }

    /// The answer.
    pub(super) fn finish(self) -> mlua::Result<Value> {
        self.done.unwrap_or(Ok(Value::Nil))
    }

    fn value(&mut self, value: mlua::Result<Value>) {
        if self.open.is_empty() || value.is_err() {
            self.open.clear();
            self.done = Some(value);
            return;
        }
        let filled = value.and_then(|value| self.fill(value));
        if let Err(error) = filled {
            self.open.clear();
            self.done = Some(Err(error));
        }
    }

    /// Puts a value into the innermost container, and closes the containers that it fills.
    fn fill(&mut self, mut value: Value) -> mlua::Result<()> {
        while let Some(mut open) = self.open.pop() {
            open.put(value)?;
            if open.missing > 0 {
                self.open.push(open);
                return Ok(());
            }
            value = self.close(open)?;
        }
        self.done = Some(Ok(value));
        Ok(())
    }

    fn close(&self, open: Open) -> mlua::Result<Value> {
        match open.field {
            None => Ok(Value::Table(open.table)),
            Some(field) => self.tagged(field, open.table),
        }
    }

    fn begin(&mut self, field: Option<&'static str>, filling: Filling, missing: usize) {
        let table = match &filling {
            Filling::Array(_) => self.lua.create_table_with_capacity(missing.min(1 << 16), 0),
            _ => self.lua.create_table(),
        };
        let open = match table {
            Ok(table) => Open {
                table,
                field,
                filling,
                missing,
            },
            Err(error) => return self.value(Err(error)),
        };
        match missing {
            0 => {
                let value = self.close(open);
                self.value(value);
            }
            _ => self.open.push(open),
        }
    }

    /// A table with one field.
    fn tagged(&self, field: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(field, value)?;
        Ok(Value::Table(table))
    }

    fn string(&self, bytes: &[u8]) -> mlua::Result<Value> {
        self.lua.create_string(bytes).map(Value::String)
    }
}

impl Open {
    fn put(&mut self, value: Value) -> mlua::Result<()> {
        self.missing -= 1;
        match &mut self.filling {
            Filling::Array(place) => {
                *place += 1;
                self.table.raw_set(*place, value)
            }
            Filling::Map(name) => match name.take() {
                None => {
                    *name = Some(value);
                    Ok(())
                }
                // Nothing can't be a name in Lua: such a pair is left out.
                Some(Value::Nil) => Ok(()),
                Some(name) => self.table.raw_set(name, value),
            },
            Filling::Set => match value {
                Value::Nil => Ok(()),
                member => self.table.raw_set(member, true),
            },
        }
    }
}

impl Reply for LuaReply<'_> {
    fn status(&mut self, text: &str) {
        let value = self.tagged("ok", text);
        self.value(value);
    }

    fn error(&mut self, error: &Error) {
        let value = self.tagged("err", error.to_string());
        self.value(value);
    }

    fn int(&mut self, number: i64) {
        self.value(Ok(Value::Number(number as f64)));
    }

    fn bulk(&mut self, bytes: &[u8]) {
        let value = self.string(bytes);
        self.value(value);
    }

    fn null(&mut self) {
        self.value(Ok(if self.resp3 {
            Value::Nil
        } else {
            Value::Boolean(false)
        }));
    }

    fn null_array(&mut self) {
        self.null();
    }

    fn array(&mut self, len: usize) {
        self.begin(None, Filling::Array(0), len);
    }

    fn map(&mut self, pairs: usize) {
        match self.resp3 {
            true => self.begin(Some("map"), Filling::Map(None), pairs * 2),
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
        let value = match self.resp3 {
            true => self.tagged("double", number),
            false => {
                let mut text = Vec::with_capacity(24);
                larder_resp::write_double(&mut text, number);
                self.string(&text)
            }
        };
        self.value(value);
    }

    fn bool(&mut self, yes: bool) {
        match self.resp3 {
            true => self.value(Ok(Value::Boolean(yes))),
            false => self.int(i64::from(yes)),
        }
    }

    fn big_number(&mut self, digits: &str) {
        let value = match self.resp3 {
            true => self.tagged("big_number", digits),
            false => self.string(digits.as_bytes()),
        };
        self.value(value);
    }

    fn verbatim(&mut self, text: &str) {
        let value = match self.resp3 {
            true => self.lua.create_table_with_capacity(0, 2).and_then(|inner| {
                inner.raw_set("format", "txt")?;
                inner.raw_set("string", text)?;
                self.tagged("verbatim_string", inner)
            }),
            false => self.string(text.as_bytes()),
        };
        self.value(value);
    }

    fn is_resp3(&self) -> bool {
        self.resp3
    }
}
