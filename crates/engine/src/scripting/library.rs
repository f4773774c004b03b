//! The functions of the sandbox that are written in Rust.

use std::sync::Arc;

use mlua::{Lua, Table, Value};
use sha1::{Digest as _, Sha1};

use super::bridge::Bridge;
use super::vm::SANDBOX_NAME;
use super::{calls, cjson};
use crate::admin::REDIS_VERSION;

/// The functions that `sandbox.lua` is given.
pub(super) fn native(lua: &Lua, bridge: &Arc<Bridge>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    let (call, pcall) = calls::functions(lua, bridge)?;
    native.set("call", call)?;
    native.set("pcall", pcall)?;
    native.set("plain", lua.create_function(plain)?)?;
    let protocol = Arc::clone(bridge);
    let setresp = move |_: &Lua, version: Value| set_protocol(&protocol, &version);
    native.set("setresp", lua.create_function(setresp)?)?;
    native.set("sha1hex", lua.create_function(sha1hex)?)?;
    native.set("log", lua.create_function(log)?)?;
    native.set("place", lua.create_function(|lua, ()| Ok(place(lua)))?)?;
    native.set("cjson", cjson::library(lua, bridge)?)?;
    native.set("version", REDIS_VERSION)?;
    native.set("version_number", version_number())?;
    Ok(native)
}

/// An error that Rust raised, as Redis's scripts see it: a text.
fn plain(lua: &Lua, error: Value) -> mlua::Result<Value> {
    let Value::Error(error) = error else {
        return Ok(error);
    };
    let mut cause = &*error;
    while let mlua::Error::CallbackError { cause: inner, .. } = cause {
        cause = inner;
    }
    let text = match cause {
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    lua.create_string(text).map(Value::String)
}

/// `redis.setresp`: the types in which commands answer from here on.
fn set_protocol(bridge: &Bridge, version: &Value) -> mlua::Result<()> {
    let resp3 = match version {
        Value::Integer(2) => false,
        Value::Integer(3) => true,
        Value::Number(number) if *number == 2.0 => false,
        Value::Number(number) if *number == 3.0 => true,
        _ => return Err(mlua::Error::runtime("RESP version must be 2 or 3.")),
    };
    bridge.cross(|running| running.work.session.resp3 = resp3);
    Ok(())
}

fn sha1hex(_: &Lua, text: mlua::LuaString) -> mlua::Result<String> {
    Ok(hex::encode(Sha1::digest(text.as_bytes())))
}

/// `redis.log`: whoever listens to the traces of this crate hears it.
fn log(_: &Lua, (level, text): (i64, mlua::LuaString)) -> mlua::Result<()> {
    let text = text.to_string_lossy();
    match level {
        0 => tracing::trace!(target: "larder::script", "{text}"),
        1 => tracing::debug!(target: "larder::script", "{text}"),
        2 => tracing::info!(target: "larder::script", "{text}"),
        3 => tracing::warn!(target: "larder::script", "{text}"),
        _ => return Err(mlua::Error::runtime("Invalid log level.")),
    }
    Ok(())
}

/// The source and line of the script at which an error was raised, as far as that is known.
pub(super) fn place(lua: &Lua) -> (Option<String>, Option<usize>) {
    for level in 0.. {
        let place = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let is_script = source.what != "C" && source.source.as_deref() != Some(SANDBOX_NAME);
            is_script.then(|| (source.source.map(String::from), frame.current_line()))
        });
        match place {
            Some(Some(place)) => return place,
            Some(None) => {}
            None => break,
        }
    }
    (None, None)
}

/// A version such as 7.2.0 as 0x00070200.
fn version_number() -> u32 {
    REDIS_VERSION
        .split('.')
        .fold(0, |number, part| (number << 8) | part.parse().unwrap_or(0))
}

/// A number as C's `%.{digits}g` writes it.
pub(super) fn format_g(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        let name = if number.is_nan() { "nan" } else { "inf" };
        return format!("{}{name}", if number.is_sign_negative() { "-" } else { "" });
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..digits as i32).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trim(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, digits, wanted) in [
            (1.0, 17, "1"),
            (0.1, 17, "0.10000000000000001"),
            (0.1, 14, "0.1"),
            (1e15, 14, "1e+15"),
            (1e16, 17, "10000000000000000"),
            (-2.5e-7, 14, "-2.5e-07"),
            (3.0, 14, "3"),
        ] {
            assert_eq!(format_g(number, digits), wanted);
        }
    }
}
