//! `table.sort`, which a script can be ended in.

use std::ffi::c_int;

use mlua::{ffi, lua_State};

use super::matching::or_raise;
use super::{call, guards};

/// How many values, and how many bytes of them, Lua may sort without being interrupted: their number
/// may be multiplied by itself.
const SORTED_MAX: usize = 8192;
const SORTED_BYTES_MAX: usize = 1 << 20;

/// `table.sort(table, less)`: much is compared by a function that looks at the watchdog.
pub(super) unsafe extern "C-unwind" fn sort(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let is_plain = ffi::lua_type(state, 2) <= ffi::LUA_TNIL;
        if is_plain && ffi::lua_type(state, 1) == ffi::LUA_TTABLE && is_much(state) {
            ffi::lua_settop(state, 1);
            ffi::lua_pushnil(state);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
            ffi::lua_pushcclosure(state, is_less, 2);
        }
        call(state)
    }
}

/// Whether the table at the first place has much to sort.
unsafe fn is_much(state: *mut lua_State) -> bool {
    // SAFETY: as all functions here. There is room for a value.
    unsafe {
        let len = ffi::lua_objlen(state, 1);
        let mut bytes = 0;
        for place in 1..=len.min(SORTED_MAX) {
            ffi::lua_rawgeti_(state, 1, place as c_int);
            // Of a number, its length would make it a text.
            if ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
                bytes += ffi::lua_objlen(state, -1);
            }
            ffi::lua_settop(state, -2);
        }
        len > SORTED_MAX || bytes > SORTED_BYTES_MAX
    }
}

/// `a < b`, which takes steps.
unsafe extern "C-unwind" fn is_less(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. `sort` gave the function the guards in their place.
    unsafe {
        let len = match ffi::lua_type(state, 1) {
            ffi::LUA_TSTRING => ffi::lua_objlen(state, 1),
            _ => 0,
        };
        let guards = guards(state);
        let go_on = || guards.go_on();
        or_raise(state, guards.steps(&go_on).take(1 + len / 64));
        ffi::lua_pushboolean(state, ffi::lua_lessthan(state, 1, 2));
        1
    }
}
