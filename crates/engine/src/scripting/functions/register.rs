//! `redis.register_function`: what a library calls while it is loaded.

use std::collections::HashSet;
use std::ffi::c_int;

use mlua::Table;

use super::super::native::{Context, Functions, Maker, Raise};
use super::super::redis;
use super::super::stack::{Reference, Slot, Stack};
use super::library::{FunctionFlags, Info, verify_name};
use crate::error::{Error, Result};

const REGISTER: Functions = &[("register_function", register_function)];

/// The table `redis` as a library has it while it is loaded.
pub(in super::super) fn loading_library(maker: &Maker<'_>) -> mlua::Result<Table> {
    redis::loading_library(maker, REGISTER)
}

/// What a library that is being loaded has registered.
#[derive(Debug, Default)]
pub(in super::super) struct Loading {
    registered: Vec<Registered>,
    /// Their names, in small letters.
    names: HashSet<String>,
    /// How many bytes they take.
    bytes: usize,
}

/// A function that a library has registered.
#[derive(Debug)]
pub(in super::super) struct Registered {
    pub(super) info: Info,
    /// The function itself, in the machine in which the library was loaded.
    pub(in super::super) callback: Reference,
}

impl Loading {
    pub(in super::super) fn into_registered(self) -> Vec<Registered> {
        self.registered
    }
}

/// What a library says of a function.
#[derive(Default)]
struct Description {
    name: Option<Vec<u8>>,
    description: Option<Box<[u8]>>,
    flags: FunctionFlags,
    callback: Option<Reference>,
}

fn register_function(context: &mut Context<'_, '_, '_>) -> Result<c_int, Raise> {
    if context.running.loading.is_none() {
        return refuse("redis.register_function can only be called on FUNCTION LOAD command");
    }
    let mut described = Description::default();
    let read = match context.stack.len() {
        1 => read_named(context.stack, &mut described),
        2 => read_positional(context.stack, &mut described),
        _ => refuse("wrong number of arguments to redis.register_function"),
    };
    let callback = described.callback;
    let registered = read.and_then(|()| register(context, described));
    if registered.is_err()
        && let Some(callback) = callback
    {
        context.stack.release(callback);
    }
    registered.map(|()| 0)
}

/// Registers a function, unless its name can't be one or is taken, or there is no memory for it.
fn register(context: &mut Context<'_, '_, '_>, described: Description) -> Result<(), Raise> {
    let Some(name) = described.name else {
        return refuse("redis.register_function must get a function name argument");
    };
    let Some(callback) = described.callback else {
        return refuse("redis.register_function must get a callback argument");
    };
    let name = verify_name(&name).map_err(|error: Error| Raise::Refusal(error.to_string()))?;
    let info = Info {
        name: name.into(),
        description: described.description,
        flags: described.flags,
    };
    let held = context.running.loading.as_ref();
    let held = held.map_or(0, |loading| loading.bytes);
    context.expect_room(held.saturating_add(info.bytes()))?;
    let Some(loading) = &mut context.running.loading else {
        return Ok(());
    };
    if !loading.names.insert(info.name.to_ascii_lowercase()) {
        return refuse("Function already exists in the library");
    }
    loading.bytes += info.bytes();
    loading.registered.push(Registered { info, callback });
    Ok(())
}

/// `redis.register_function(name, callback)`.
fn read_positional(stack: &mut Stack, described: &mut Description) -> Result<(), Raise> {
    let Some(name) = stack.read_text(1) else {
        return refuse("first argument to redis.register_function must be a string");
    };
    described.name = Some(name.to_vec());
    if !stack.is_function(2) {
        return refuse("second argument to redis.register_function must be a function");
    }
    described.callback = Some(stack.keep());
    Ok(())
}

/// `redis.register_function{function_name=..., callback=..., description=..., flags={...}}`.
fn read_named(stack: &mut Stack, described: &mut Description) -> Result<(), Raise> {
    if stack.get(1) != Slot::Table {
        return refuse(
            "calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        );
    }
    stack.push_nil();
    while stack.next(1) {
        let name = match stack.get(-2) {
            Slot::Text(name) => name.to_ascii_lowercase(),
            Slot::Number(_) => Vec::new(),
            _ => {
                return refuse(
                    "named argument key given to redis.register_function is not a string",
                );
            }
        };
        read_argument(stack, &name, described)?;
        stack.truncate(2);
    }
    Ok(())
}

/// Reads the argument with this name, which lies on top.
fn read_argument(stack: &mut Stack, name: &[u8], described: &mut Description) -> Result<(), Raise> {
    match name {
        b"function_name" => {
            let Some(name) = stack.read_text(-1) else {
                return refuse(
                    "function_name argument given to redis.register_function must be a string",
                );
            };
            described.name = Some(name.to_vec());
        }
        b"description" => {
            let Some(text) = stack.read_text(-1) else {
                return refuse(
                    "description argument given to redis.register_function must be a string",
                );
            };
            described.description = Some(text.into());
        }
        b"callback" => {
            if !stack.is_function(-1) {
                return refuse(
                    "callback argument given to redis.register_function must be a function",
                );
            }
            let callback = stack.keep();
            if let Some(before) = described.callback.replace(callback) {
                stack.release(before);
            }
        }
        b"flags" => {
            if stack.get(-1) != Slot::Table {
                return refuse(
                    "flags argument to redis.register_function must be a table representing \
                     function flags",
                );
            }
            read_flags(stack, &mut described.flags)?;
        }
        _ => return refuse("unknown argument given to redis.register_function"),
    }
    Ok(())
}

/// Reads the flags in the table on top.
fn read_flags(stack: &mut Stack, flags: &mut FunctionFlags) -> Result<(), Raise> {
    let table = stack.len();
    for place in 1.. {
        stack.push_place(table, place);
        if stack.get(-1) == Slot::Nil {
            break;
        }
        let is_flag = stack.read_text(-1).is_some_and(|name| flags.set(name));
        stack.pop();
        if !is_flag {
            return refuse("unknown flag given");
        }
    }
    Ok(())
}

fn refuse<T>(text: &str) -> Result<T, Raise> {
    Err(Raise::Refusal(format!("ERR {text}")))
}
