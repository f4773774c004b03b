//! How many bytes things take.

use std::mem::size_of;

use crate::Value;

/// What an allocation takes beside its content, about.
pub(super) const ALLOCATION: usize = 16;

/// How many bytes a value takes, with all that is in it.
pub(super) fn of_value(value: &Value) -> usize {
    size_of::<Value>() + beyond(value)
}

/// What a value takes elsewhere.
fn beyond(value: &Value) -> usize {
    let all = |values: &[Value]| ALLOCATION + values.iter().map(of_value).sum::<usize>();
    match value {
        Value::Null | Value::Int(_) | Value::Double(_) | Value::Bool(_) => 0,
        Value::Bytes(bytes) => ALLOCATION + bytes.len(),
        Value::Status(text) => ALLOCATION + text.len(),
        Value::BigNumber(text) | Value::Verbatim(text) => ALLOCATION + text.len(),
        Value::Array(values) | Value::Set(values) => all(values),
        Value::Map(pairs) => {
            let pair = |(name, value): &(Value, Value)| of_value(name) + of_value(value);
            ALLOCATION + pairs.iter().map(pair).sum::<usize>()
        }
        Value::Error(refusal) => ALLOCATION + refusal.text().len(),
    }
}
