//! `redis.call` and `redis.pcall`: the commands of a script.
//!
//! They are functions of C, as those of Lua's own library are: they find their words on the stack
//! and leave their answer there.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use larder_resp::ArgumentBuffer;
use mlua::{Function, Lua, ffi, lua_State};

use super::bridge::{Bridge, Running};
use super::library::format_g;
use super::reply::LuaReply;
use super::stack::{Slot, Stack};
use super::vm::with_memory_limit;

/// `redis.call` and `redis.pcall` of a machine whose commands go over this bridge.
pub(super) fn functions(lua: &Lua, bridge: &Arc<Bridge>) -> mlua::Result<(Function, Function)> {
    // The machine keeps the bridge, so that its functions can do with a pointer.
    lua.set_app_data(Arc::clone(bridge));
    let bridge = Arc::as_ptr(bridge);
    // SAFETY: nothing here has a destructor, and there is room for three values on any stack.
    unsafe {
        lua.exec_raw((), |state| {
            for function in [call, pcall] {
                ffi::lua_pushlightuserdata(state, bridge.cast_mut().cast());
                ffi::lua_pushcclosure(state, function, 1);
            }
        })
    }
}

/// What lies on top of the stack when a command is over.
enum Answer {
    Value,
    /// What the command was refused with: a table with the text as `err`.
    Refusal,
    /// Nothing: there is no script that the command could belong to.
    None,
}

/// `redis.call`: a refusal is raised.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: as Lua calls this, the state is running, and nothing here has a destructor.
    unsafe {
        match answer(state) {
            Answer::Value => 1,
            Answer::Refusal => ffi::lua_error(state),
            Answer::None => unavailable(state),
        }
    }
}

/// `redis.pcall`: a refusal is a value.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: as in `call`.
    unsafe {
        match answer(state) {
            Answer::Value | Answer::Refusal => 1,
            Answer::None => unavailable(state),
        }
    }
}

/// Raises an error where nothing can be pushed but under the limit on memory.
unsafe fn unavailable(state: *mut lua_State) -> ! {
    // SAFETY: this may jump, as nothing here or in the callers has a destructor.
    unsafe {
        ffi::lua_pushliteral(state, c"redis.call is not available here");
        ffi::lua_error(state)
    }
}

/// Runs the command whose words lie on the stack. No panic leaves it.
unsafe fn answer(state: *mut lua_State) -> Answer {
    // SAFETY: the function was made with its bridge, which its machine keeps. The stack is this
    // function's own, has room for some values, and `run` pushes only without a limit on memory.
    let (bridge, mut stack) = unsafe {
        let bridge: *const Bridge = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast();
        (&*bridge, Stack::new(state))
    };
    let run = || bridge.cross(|running| run(running, &mut stack));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(answer) => answer.unwrap_or(Answer::None),
        Err(panic) => {
            bridge.keep_panic(panic);
            Answer::None
        }
    }
}

fn run(running: &mut Running<'_, '_>, stack: &mut Stack) -> Answer {
    let lua = running.lua;
    with_memory_limit(lua, 0, || match run_words(running, stack) {
        Ok(()) => Answer::Value,
        Err(text) => {
            stack.push_text(text.as_bytes());
            stack.tag("err");
            Answer::Refusal
        }
    })
    .unwrap_or(Answer::None)
}

/// Runs a command, and pushes what it answers. If it is refused, nothing is pushed, and the answer
/// is the text of the refusal.
fn run_words(running: &mut Running<'_, '_>, stack: &mut Stack) -> Result<(), String> {
    let mut words = ArgumentBuffer::new();
    read(stack, &mut words)?;
    // They are in the request now. The answer may need their room.
    stack.truncate(0);
    let mut reply = LuaReply::new(stack, running.work.session.resp3);
    match running.call(words.as_arguments(), &mut reply) {
        Ok(()) => reply.finish(),
        Err(error) => {
            reply.discard();
            Err(error.to_string())
        }
    }
}

/// Takes the words that lie on the stack.
fn read(stack: &Stack, words: &mut ArgumentBuffer) -> Result<(), &'static str> {
    if stack.len() == 0 {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    for place in 1..=stack.len() {
        match stack.get(place) {
            Slot::Text(text) => words.push(text),
            Slot::Number(number) => match whole(number) {
                Some(number) => words.push(itoa::Buffer::new().format(number).as_bytes()),
                None => words.push(format_g(number, 17).as_bytes()),
            },
            _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// A number as an integer, if it is one. The zero below zero is not.
fn whole(number: f64) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let integer = number as i64;
    let is_whole = number < BEYOND && (integer as f64).to_bits() == number.to_bits();
    is_whole.then_some(integer)
}
