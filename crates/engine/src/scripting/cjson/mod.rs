//! `cjson`: JSON for scripts, as the lua-cjson 2.1.0 that Redis ships reads and writes it.
//!
//! It is no strict JSON: a text may have any bytes, a number may be written in every way that C's
//! `strtod` understands, and a NUL ends the text.

mod decode;
mod encode;
mod number;

use std::ffi::c_int;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

use mlua::{Table, Value};

use super::native::{Context, Functions, Maker, Raise, expect_one};
use super::stack::Slot;
use crate::error::shown;

const FUNCTIONS: Functions = &[
    ("encode", encode),
    ("decode", decode),
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", encode_max_depth),
    ("decode_max_depth", decode_max_depth),
    ("encode_number_precision", encode_number_precision),
    ("encode_keep_buffer", encode_keep_buffer),
    ("encode_invalid_numbers", encode_invalid_numbers),
    ("decode_invalid_numbers", decode_invalid_numbers),
    ("new", new),
];

const OFF_OR_ON: &[&str] = &["off", "on"];
const OFF_ON_OR_NULL: &[&str] = &["off", "on", "null"];

/// How JSON is read and written. What a script sets here stays set for all that come after it, as
/// in Redis, until SCRIPT FLUSH; those that `cjson.new` made belong to what it returned.
#[derive(Debug)]
pub(super) struct Settings {
    /// 1 if an array that is too sparse becomes an object, instead of being refused.
    sparse_converts: AtomicI32,
    /// How many times as many places as values an array may have; 0 for any number.
    sparse_ratio: AtomicI32,
    /// How many places an array may have in any case.
    sparse_safe: AtomicI32,
    encode_depth_max: AtomicI32,
    decode_depth_max: AtomicI32,
    /// How many digits of a number are written.
    precision: AtomicI32,
    /// Kept for those who ask: every text has a buffer of its own here.
    keeps_buffer: AtomicI32,
    /// What becomes of NaN and the infinities: 0 a refusal, 1 their names, 2 `null`.
    encode_invalid: AtomicI32,
    /// 1 if NaN, infinities and hexadecimal numbers are read.
    decode_invalid: AtomicI32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_converts: AtomicI32::new(0),
            sparse_ratio: AtomicI32::new(2),
            sparse_safe: AtomicI32::new(10),
            encode_depth_max: AtomicI32::new(1000),
            decode_depth_max: AtomicI32::new(1000),
            precision: AtomicI32::new(14),
            keeps_buffer: AtomicI32::new(1),
            encode_invalid: AtomicI32::new(0),
            decode_invalid: AtomicI32::new(1),
        }
    }
}

/// The table `cjson`.
pub(super) fn library(maker: &Maker<'_>) -> mlua::Result<Table> {
    let cjson = maker.library(FUNCTIONS)?;
    cjson.set("null", Value::NULL)?;
    cjson.set("_NAME", "cjson")?;
    cjson.set("_VERSION", "2.1.0")?;
    Ok(cjson)
}

fn encode(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_one(context)?;
    let (settings, len_max) = (context.settings, context.memory_max());
    let json = encode::text_of(context.stack, settings, len_max)?;
    context.stack.push_text(&json);
    Ok(1)
}

fn decode(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_one(context)?;
    let settings = context.settings;
    let json = context.text(1)?.to_vec();
    decode::push_value(context, settings, &json)?;
    Ok(1)
}

/// `cjson.new`: another `cjson` with settings of its own.
fn new(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    context.stack.push_table(0, FUNCTIONS.len() + 3);
    context.put_functions(FUNCTIONS);
    context.stack.push_null();
    context.stack.put_field("null");
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        context.stack.push_text(text.as_bytes());
        context.stack.put_field(name);
    }
    Ok(1)
}

fn encode_sparse_array(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 3)?;
    let settings = context.settings;
    choice(context, 1, &settings.sparse_converts, OFF_OR_ON)?;
    integer(context, 2, &settings.sparse_ratio, 0, i32::MAX)?;
    integer(context, 3, &settings.sparse_safe, 0, i32::MAX)?;
    Ok(3)
}

fn encode_max_depth(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    integer(context, 1, &settings.encode_depth_max, 1, i32::MAX)
}

fn decode_max_depth(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    integer(context, 1, &settings.decode_depth_max, 1, i32::MAX)
}

fn encode_number_precision(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    integer(context, 1, &settings.precision, 1, 14)
}

fn encode_keep_buffer(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    choice(context, 1, &settings.keeps_buffer, OFF_OR_ON)
}

fn encode_invalid_numbers(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    choice(context, 1, &settings.encode_invalid, OFF_ON_OR_NULL)
}

fn decode_invalid_numbers(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    expect_at_most(context, 1)?;
    let settings = context.settings;
    choice(context, 1, &settings.decode_invalid, OFF_OR_ON)
}

/// Refuses more arguments than this, and makes those that are missing nil.
fn expect_at_most(context: &mut Context<'_, '_, '_>, count: c_int) -> Result<(), Raise> {
    if context.stack.len() > count {
        let text = "found too many arguments".to_owned();
        return Err(Raise::Argument(count + 1, text));
    }
    while context.stack.len() < count {
        context.stack.push_nil();
    }
    Ok(())
}

/// Sets a number, if one is given at this place, and pushes what it is then.
fn integer(
    context: &mut Context<'_, '_, '_>,
    place: c_int,
    setting: &AtomicI32,
    min: i32,
    max: i32,
) -> Result<c_int, Raise> {
    if !context.stack.is_nothing(place) {
        let value = context.integer(place)? as i32;
        if !(min..=max).contains(&value) {
            let text = format!("expected integer between {min} and {max}");
            return Err(Raise::Argument(1, text));
        }
        setting.store(value, Relaxed);
    }
    let value = setting.load(Relaxed);
    context.stack.push_number(f64::from(value));
    Ok(1)
}

/// Sets one of these, of which the first two are also false and true, if one is given at this
/// place, and pushes what it is then.
fn choice(
    context: &mut Context<'_, '_, '_>,
    place: c_int,
    setting: &AtomicI32,
    names: &[&'static str],
) -> Result<c_int, Raise> {
    match context.stack.get(place) {
        Slot::Nil => {}
        Slot::Boolean(yes) => setting.store(i32::from(yes), Relaxed),
        _ => {
            let name = context.text(place)?;
            let chosen = names.iter().position(|known| known.as_bytes() == name);
            let Some(chosen) = chosen else {
                let name = shown(name);
                let text = format!("invalid option '{name}'");
                return Err(Raise::Argument(place, text));
            };
            setting.store(chosen as i32, Relaxed);
        }
    }
    match setting.load(Relaxed) {
        0 => context.stack.push_bool(false),
        1 => context.stack.push_bool(true),
        other => {
            let name = names.get(other as usize).copied().unwrap_or_default();
            context.stack.push_text(name.as_bytes());
        }
    }
    Ok(1)
}
