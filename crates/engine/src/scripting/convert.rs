//! What a script returns, as an answer.

use mlua::{Table, Value};

use crate::error::Error;
use crate::reply::Reply;

/// Tables in tables, deeper than which no answer goes.
const DEPTH_MAX: usize = 500;

/// Answers what a script returned, by the rules of Redis. Only a script that has asked for RESP3
/// returns booleans: else `true` is 1, and `false` is nothing.
pub(super) fn write(reply: &mut dyn Reply, value: &Value, resp3: bool) {
    write_at(reply, value, resp3, 0);
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
        let pairs: Vec<_> = map.pairs::<Value, Value>().filter_map(Result::ok).collect();
        reply.map(pairs.len());
        for (name, value) in &pairs {
            write_at(reply, name, resp3, depth + 1);
            write_at(reply, value, resp3, depth + 1);
        }
        return;
    }
    if let Ok(Value::Table(set)) = field(table, "set") {
        let members: Vec<_> = set.pairs::<Value, Value>().filter_map(Result::ok).collect();
        reply.set(members.len());
        members
            .iter()
            .for_each(|(member, _)| write_at(reply, member, resp3, depth + 1));
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
    let values = (1..).map(|place: i64| table.raw_get::<Value>(place).unwrap_or(Value::Nil));
    let values: Vec<_> = values.take_while(|value| !value.is_nil()).collect();
    reply.array(values.len());
    values
        .iter()
        .for_each(|value| write_at(reply, value, resp3, depth + 1));
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
