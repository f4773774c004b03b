//! What scripts see, put together in a new machine.

#![allow(unsafe_code)]

use std::sync::Arc;

use mlua::{Function, Lua, Table, Value, ffi};

use super::bridge::Bridge;
use super::guards::{self, Guards};
use super::native::Maker;
use super::{Purpose, bits, cjson, cmsgpack, functions, redis, structs};

const SANDBOX: &str = include_str!("sandbox.lua");

/// The world of a machine.
pub(super) struct World {
    /// `explain(error)` of the sandbox.
    pub(super) explain: Function,
    /// What scripts see, with their `KEYS` and `ARGV`.
    pub(super) world: Table,
    /// The metatable of the globals, which says by its `__index` which world they show.
    pub(super) view: Table,
    /// What a library of functions sees while it is loaded.
    pub(super) loading: Table,
}

/// Builds the world of a machine, in which everything that is compiled from here on lives.
pub(super) fn build(
    lua: &Lua,
    bridge: &Arc<Bridge>,
    guards: &Arc<Guards>,
    purpose: Purpose,
    settings: Arc<cjson::Settings>,
) -> mlua::Result<World> {
    let shown = lua.create_table()?;
    let walk: Value = lua.globals().get("next")?;
    // SAFETY: the machine keeps the guards from here on.
    unsafe {
        lua.set_app_data(Arc::clone(guards));
        guards::install(lua, guards, &shown)?;
        guards::watch(lua, guards)?;
    }
    guards::keep_walks(lua, &shown, walk)?;
    let sandbox = lua.load(SANDBOX).set_name("@sandbox");
    let maker = Maker::new(lua, Arc::clone(bridge), settings);
    let libraries = libraries(lua, &maker, purpose)?;
    let loading = functions::loading_library(&maker)?;
    let parts = (libraries, native(lua)?, shown, loading);
    let (explain, world, globals, view, loading): (Function, Table, Table, Table, Table) =
        sandbox.call(parts)?;
    // SAFETY: the table lies on the stack, and nothing here has a destructor.
    unsafe {
        lua.exec_raw::<()>(globals, |state| {
            ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX);
        })?;
    }
    Ok(World {
        explain,
        world,
        view,
        loading,
    })
}

fn libraries(lua: &Lua, maker: &Maker<'_>, purpose: Purpose) -> mlua::Result<Table> {
    let libraries = lua.create_table()?;
    libraries.set("redis", redis::library(maker, purpose)?)?;
    libraries.set("cjson", cjson::library(maker)?)?;
    libraries.set("cmsgpack", cmsgpack::library(maker)?)?;
    libraries.set("struct", structs::library(maker)?)?;
    libraries.set("bit", bits::library(lua)?)?;
    Ok(libraries)
}

/// The functions of C that the sandbox is given.
fn native(lua: &Lua) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    for &(name, function) in guards::NATIVE {
        // SAFETY: nothing here has a destructor, and there is room for a value on any stack.
        let function: Function =
            unsafe { lua.exec_raw((), |state| ffi::lua_pushcclosure(state, function, 0))? };
        native.set(name, function)?;
    }
    Ok(native)
}
