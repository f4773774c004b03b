//! What a script returns, as an answer.

use mlua::{Table, Value};

use crate::error::{Error, Result};
use crate::reply::Reply;

/// Tables in tables, deeper than which no answer goes.
const DEPTH_MAX: usize = 500;

/// How many bytes a value of no length takes in an answer, about.
const VALUE_LEN: usize = 8;

/// Answers what a script returned, by the rules of Redis. Only a script that has asked for RESP3
/// returns booleans: else `true` is 1, and `false` is nothing.
///
/// # Errors
///
/// If the answer would have more than `len_max` bytes: one table may stand in many places of
/// another. Nothing is answered then.
pub(super) fn write(
    reply: &mut dyn Reply,
    value: &Value,
    resp3: bool,
    len_max: usize,
) -> Result<()> {
    if let Value::Table(table) = value {
        let mut left = len_max;
        measure(table, &mut left, 0);
        if left == 0 {
            return Err(Error::text(
                "ERR not enough memory for the answer of the script",
            ));
        }
    }
    write_at(reply, value, resp3, 0);
    Ok(())
}

/// Takes about as many bytes from `left` as the table takes in an answer; ends when none are left.
fn measure(table: &Table, left: &mut usize, depth: usize) {
    if depth >= DEPTH_MAX {
        return;
    }
    for pair in table.pairs::<Value, Value>() {
        let Ok((name, value)) = pair else { return };
        for value in [name, value] {
            let len = match &value {
                Value::String(text) => text.as_bytes().len(),
                _ => 0,
            };
            *left = left.saturating_sub(len + VALUE_LEN);
            if *left == 0 {
                return;
            }
            if let Value::Table(table) = &value {
                measure(table, left, depth + 1);
            }
        }
    }
}

fn write_at(reply: &mut dyn Reply, value: &Value, resp3: bool, depth: usize) {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.int(*number),
        Value::Number(number) => reply.int(*number as i64),
        Value::Boolean(yes) if resp3 => reply.bool(*yes),
        Value::Boolean(true) => reply.int(1),
        Value::Table(_) if depth >= DEPTH_MAX => {
            reply.error(&Error::text("ERR reached lua stack limit"));
        }
        Value::Table(table) => write_table(reply, table, resp3, depth),
        _ => reply.null(),
    }
}

fn write_table(reply: &mut dyn Reply, table: &Table, resp3: bool, depth: usize) {
    if let Some(text) = text_field(table, "err") {
        return reply.refusal(&text);
    }
    if let Some(text) = text_field(table, "ok") {
        return reply.status(&text);
    }
    if let Ok(Value::Number(number)) = field(table, "double") {
        return reply.double(number);
    }
    if let Ok(Value::Integer(number)) = field(table, "double") {
        return reply.double(number as f64);
    }
    if let Ok(Value::Table(map)) = field(table, "map") {
        reply.map(pairs(&map).count());
        for (name, value) in pairs(&map) {
            write_at(reply, &name, resp3, depth + 1);
            write_at(reply, &value, resp3, depth + 1);
        }
        return;
    }
    if let Ok(Value::Table(set)) = field(table, "set") {
        reply.set(pairs(&set).count());
        pairs(&set).for_each(|(member, _)| write_at(reply, &member, resp3, depth + 1));
        return;
    }
    if let Some(digits) = text_field(table, "big_number") {
        return reply.big_number(&digits);
    }
    if let Ok(Value::Table(verbatim)) = field(table, "verbatim_string")
        && let Some(text) = text_field(&verbatim, "string")
    {
        return reply.verbatim(&text);
    }
    write_array(reply, table, resp3, depth);
}

/// The values from place 1 on, up to the first that is nothing.
fn write_array(reply: &mut dyn Reply, table: &Table, resp3: bool, depth: usize) {
    let values = || {
        let values = (1..).map(|place: i64| table.raw_get::<Value>(place).unwrap_or(Value::Nil));
        values.take_while(|value| !value.is_nil())
    };
    reply.array(values().count());
    values().for_each(|value| write_at(reply, &value, resp3, depth + 1));
}

/// What a table holds. Whoever needs the count walks twice: a machine has room for some thousand
/// values that are held from outside, and not for more.
fn pairs(table: &Table) -> impl Iterator<Item = (Value, Value)> {
    table.pairs().filter_map(mlua::Result::ok)
}

fn field(table: &Table, name: &str) -> mlua::Result<Value> {
    table.raw_get(name)
}

fn text_field(table: &Table, name: &str) -> Option<String> {
    match field(table, name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        _ => None,
    }
}
