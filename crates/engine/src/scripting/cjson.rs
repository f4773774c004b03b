//! `cjson`: JSON for scripts.

use std::sync::Arc;

use mlua::{Function, Lua, LuaString, Table, Value};

use super::bridge::Bridge;
use super::library::format_g;

/// Tables in tables, deeper than which nothing is encoded.
const DEPTH_MAX: usize = 1000;

/// An array whose last place is beyond this, and beyond twice as many values as it has, is taken
/// for a mistake.
const SPARSE_SAFE: i64 = 10;
const SPARSE_RATIO: i64 = 2;

/// The table `cjson`.
pub(super) fn library(lua: &Lua, bridge: &Arc<Bridge>) -> mlua::Result<Table> {
    let cjson = lua.create_table()?;
    let bridge = Arc::clone(bridge);
    let next: Function = lua.globals().get("next")?;
    let encode = move |lua: &Lua, value: Value| {
        let len_max = bridge.cross(|running| running.work.engine.config.script_memory_max());
        encode(lua, &value, &next, len_max.unwrap_or_default())
    };
    cjson.set("encode", lua.create_function(encode)?)?;
    cjson.set(
        "decode",
        lua.create_function(|lua, text| decode(lua, &text))?,
    )?;
    cjson.set("null", Value::NULL)?;
    cjson.set("_NAME", "cjson")?;
    cjson.set("_VERSION", "2.1.0")?;
    Ok(cjson)
}

fn refuse<T>(text: impl std::fmt::Display) -> mlua::Result<T> {
    Err(mlua::Error::runtime(text))
}

/// A table that is being encoded. They lie on a stack of their own: as calls in calls, a thousand of
/// them would be too much for a small thread.
enum Open {
    Array {
        table: Table,
        place: i64,
        len: i64,
    },
    Object {
        table: Table,
        name: Value,
        is_first: bool,
    },
}

fn encode(lua: &Lua, value: &Value, next: &Function, len_max: usize) -> mlua::Result<LuaString> {
    let mut out = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    write(&mut out, value, &mut open)?;
    while let Some(innermost) = open.last_mut() {
        // One string in many places would be many strings here.
        if out.len() > len_max {
            return Err(mlua::Error::MemoryError("not enough memory".to_owned()));
        }
        let Some(value) = innermost.next(&mut out, next)? else {
            open.pop();
            continue;
        };
        write(&mut out, &value, &mut open)?;
    }
    lua.create_string(out)
}

impl Open {
    fn table(table: &Table) -> mlua::Result<Open> {
        match array_len(table)? {
            Some(len) => Ok(Open::Array {
                table: table.clone(),
                place: 0,
                len,
            }),
            None => Ok(Open::Object {
                table: table.clone(),
                name: Value::Nil,
                is_first: true,
            }),
        }
    }

    fn bracket(&self) -> u8 {
        match self {
            Open::Array { .. } => b'[',
            Open::Object { .. } => b'{',
        }
    }

    /// The next value, which `next` of Lua finds in an object, after what stands before it has been
    /// written; at the end the other bracket.
    fn next(&mut self, out: &mut Vec<u8>, next: &Function) -> mlua::Result<Option<Value>> {
        match self {
            Open::Array { place, len, .. } if place == len => {
                out.push(b']');
                Ok(None)
            }
            Open::Array { table, place, .. } => {
                if *place > 0 {
                    out.push(b',');
                }
                *place += 1;
                table.raw_get(*place).map(Some)
            }
            Open::Object {
                table,
                name,
                is_first,
            } => {
                let value;
                (*name, value) = next.call::<(Value, Value)>((&*table, &*name))?;
                if name.is_nil() {
                    out.push(b'}');
                    return Ok(None);
                }
                if !std::mem::take(is_first) {
                    out.push(b',');
                }
                write_name(out, name)?;
                Ok(Some(value))
            }
        }
    }
}

/// Writes a value, or the beginning of a table, which is open from here on.
fn write(out: &mut Vec<u8>, value: &Value, open: &mut Vec<Open>) -> mlua::Result<()> {
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        null if null.is_null() => out.extend_from_slice(b"null"),
        Value::Boolean(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Integer(number) => write_number(out, *number as f64)?,
        Value::Number(number) => write_number(out, *number)?,
        Value::String(text) => write_text(out, &text.as_bytes()),
        Value::Table(_) if open.len() >= DEPTH_MAX => {
            let depth = open.len() + 1;
            return refuse(format!("Cannot serialise, excessive depth ({depth})"));
        }
        Value::Table(table) => {
            let table = Open::table(table)?;
            out.push(table.bracket());
            open.push(table);
        }
        other => {
            return refuse(format!(
                "Cannot serialise {}: type not supported",
                other.type_name()
            ));
        }
    }
    Ok(())
}

/// The last place of an array; `None` for what is no array, and for an empty table.
fn array_len(table: &Table) -> mlua::Result<Option<i64>> {
    let (mut last, mut count) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let place = match pair?.0 {
            Value::Integer(place) => place,
            Value::Number(place) if place.fract() == 0.0 => place as i64,
            _ => return Ok(None),
        };
        if place < 1 {
            return Ok(None);
        }
        last = last.max(place);
        count += 1;
    }
    if last > SPARSE_SAFE && last > count * SPARSE_RATIO {
        return refuse("Cannot serialise table: excessively sparse array");
    }
    Ok((count > 0).then_some(last))
}

fn write_name(out: &mut Vec<u8>, name: &Value) -> mlua::Result<()> {
    match name {
        Value::String(name) => write_text(out, &name.as_bytes()),
        Value::Integer(name) => out.extend_from_slice(format!("\"{name}\"").as_bytes()),
        Value::Number(name) => {
            out.extend_from_slice(format!("\"{}\"", format_g(*name, 14)).as_bytes());
        }
        _ => return refuse("Cannot serialise table: table key must be a number or string"),
    }
    out.push(b':');
    Ok(())
}

fn write_number(out: &mut Vec<u8>, number: f64) -> mlua::Result<()> {
    if !number.is_finite() {
        return refuse("Cannot serialise number: must not be NaN or Inf");
    }
    out.extend_from_slice(format_g(number, 14).as_bytes());
    Ok(())
}

/// A text as `cjson` escapes it: any byte may be in it, and a slash is escaped.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..=31 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

fn decode(lua: &Lua, text: &LuaString) -> mlua::Result<Value> {
    match serde_json::from_slice(&text.as_bytes()) {
        Ok(value) => read(lua, value),
        Err(error) => refuse(error),
    }
}

fn read(lua: &Lua, value: serde_json::Value) -> mlua::Result<Value> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => Value::NULL,
        Json::Bool(yes) => Value::Boolean(yes),
        Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (place, item) in items.into_iter().enumerate() {
                table.raw_set(place + 1, read(lua, item)?)?;
            }
            Value::Table(table)
        }
        Json::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            for (name, field) in fields {
                table.raw_set(name, read(lua, field)?)?;
            }
            Value::Table(table)
        }
    })
}
