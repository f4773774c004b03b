//! Guards before the functions that are globals.

use std::ffi::{c_char, c_int};

use mlua::{IntoLua, Lua, Table, Value, ffi, lua_State};

use super::{call, guards, look_again, push_shown, watch_key};

/// How long a text may be that is compiled. Nothing in it can be counted beyond the integers of
/// Lua's parser then.
pub(in super::super) const TEXT_LEN_MAX: usize = 64 << 20;

/// How many values a call may give: as many as one function may hold in Redis.
const UNPACK_MAX: i64 = 8000;

/// `pairs`: a table that shows another one is walked by a function that knows it.
pub(super) unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. The fourth value is the table of the two walks.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let walk = if push_shown(state) { 2 } else { 1 };
        ffi::lua_settop(state, 1);
        ffi::lua_pushlightuserdata(state, watch_key());
        ffi::lua_rawget_(state, ffi::lua_upvalueindex(3));
        ffi::lua_rawgeti_(state, -1, walk);
        ffi::lua_replace(state, -2);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
        3
    }
}

/// Remembers the two functions that walk tables: Lua's own, and the one that knows shown tables.
pub(in super::super) fn keep_walks(lua: &Lua, shown: &Table, own: Value) -> mlua::Result<()> {
    let walks = lua.create_sequence_from([own, lua.globals().get("next")?])?;
    let key = mlua::LightUserData(watch_key());
    shown.raw_set(key.into_lua(lua)?, walks)
}

/// `getmetatable`: a table that shows another one has none.
pub(super) unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        if !push_shown(state) {
            return call(state);
        }
        // That of the globals is shown by another one, which they name.
        ffi::lua_getmetatable(state, 1);
        ffi::lua_pushliteral(state, c"__metatable");
        ffi::lua_rawget_(state, -2);
        if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
            ffi::lua_pushnil(state);
        }
        1
    }
}

/// `unpack`, as Lua has it but for the number of values, which is counted without overflow.
pub(super) unsafe extern "C-unwind" fn unpack(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. There is room for as many values as are pushed.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let first = ffi::luaL_optinteger(state, 2, 1) as c_int;
        let len = ffi::lua_objlen(state, 1) as ffi::lua_Integer;
        let last = ffi::luaL_optinteger(state, 3, len) as c_int;
        if first > last {
            return 0;
        }
        let count = i64::from(last) - i64::from(first) + 1;
        if count > UNPACK_MAX || ffi::lua_checkstack(state, count as c_int) == 0 {
            return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
        }
        for place in first..=last {
            ffi::lua_rawgeti_(state, 1, place);
        }
        count as c_int
    }
}

/// `pcall`: of an error that is a table, its text. Where that is no text, it comes behind the table, as
/// in Redis.
pub(super) unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. There is room for some values more than the arguments.
    unsafe {
        ffi::luaL_checkany(state, 1);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        let arguments = ffi::lua_gettop(state) - 2;
        if ffi::lua_pcall(state, arguments, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            return ffi::lua_gettop(state);
        }
        look_again(state);
        ffi::lua_pushboolean(state, 0);
        ffi::lua_replace(state, 1);
        if ffi::lua_type(state, 2) == ffi::LUA_TTABLE {
            ffi::lua_pushliteral(state, c"err");
            ffi::lua_rawget_(state, 2);
            if ffi::lua_isstring(state, -1) != 0 {
                ffi::lua_replace(state, 2);
            }
        }
        ffi::lua_gettop(state)
    }
}

/// `xpcall`: the handler of a script is not asked about the error that ends the script, as no hook
/// would look at it.
pub(super) unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. There is room for some values more than the arguments.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        if ffi::lua_type(state, 2) == ffi::LUA_TFUNCTION {
            ffi::lua_pushnil(state);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushcclosure(state, handle, 3);
            ffi::lua_replace(state, 2);
        }
        ffi::lua_insert(state, 1);
        let status = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        if status != ffi::LUA_OK {
            look_again(state);
        }
        ffi::lua_pushboolean(state, c_int::from(status == ffi::LUA_OK));
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

/// Asks the handler of a script about an error.
unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. The third value is the handler.
    unsafe {
        if guards(state).watchdog.ended().is_none() {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, 1, 1);
        }
        1
    }
}

/// Calls what may catch an error.
pub(super) unsafe extern "C-unwind" fn call_and_look(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let count = call(state);
        look_again(state);
        count
    }
}

/// `loadstring(text, name)`: compiles a text.
pub(super) unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. The texts lie on the stack as long as they are read.
    unsafe {
        let mut len = 0;
        let text = ffi::luaL_checklstring(state, 1, &mut len);
        let name = ffi::luaL_optlstring(state, 2, text, std::ptr::null_mut());
        if compile(state, text, len, name) {
            return 1;
        }
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        2
    }
}

/// Compiles a text and pushes the function, or else what is wrong with it. Nothing is collected
/// meanwhile: the parser has values that it does not hold on to, such as the name.
///
/// # Safety
///
/// The texts must live, `name` must end with a NUL, and there must be room for three values.
pub(in super::super) unsafe fn compile(
    state: *mut lua_State,
    mut text: *const c_char,
    mut len: usize,
    name: *const c_char,
) -> bool {
    const BYTECODE: c_char = 0x1B;
    // SAFETY: as the caller promises. Errors of the parser end in `luaL_loadbuffer`.
    unsafe {
        if len > TEXT_LEN_MAX {
            ffi::lua_pushliteral(state, c"script text is too long");
            return false;
        }
        let below = ffi::lua_gettop(state);
        if len > 0 && *text == BYTECODE {
            // Behind a space it is a text like others, and a wrong one.
            ffi::lua_pushliteral(state, c" ");
            ffi::lua_pushlstring_(state, text, len);
            ffi::lua_concat(state, 2);
            text = ffi::lua_tolstring(state, -1, &mut len);
        }
        ffi::lua_gc(state, ffi::LUA_GCSTOP, 0);
        let status = ffi::luaL_loadbuffer(state, text, len, name);
        ffi::lua_gc(state, ffi::LUA_GCRESTART, 0);
        ffi::lua_insert(state, below + 1);
        ffi::lua_settop(state, below + 1);
        status == ffi::LUA_OK
    }
}

/// `collectgarbage`: the collector can be asked and run, and not be stopped or tuned.
pub(super) unsafe extern "C-unwind" fn collectgarbage(state: *mut lua_State) -> c_int {
    let names = [
        c"collect",
        c"count",
        c"step",
        c"stop",
        c"restart",
        c"setpause",
        c"setstepmul",
    ];
    let mut options = [std::ptr::null(); 8];
    for (option, name) in options.iter_mut().zip(names) {
        *option = name.as_ptr();
    }
    // SAFETY: as all functions here. The list ends with a null.
    unsafe {
        let chosen = ffi::luaL_checkoption(state, 1, names[0].as_ptr(), options.as_ptr());
        // What Lua answers where nothing was changed before.
        let unchanged = match chosen {
            3 | 4 => 0.0,
            5 | 6 => 200.0,
            _ => return call(state),
        };
        ffi::lua_pushnumber(state, unchanged);
        1
    }
}
