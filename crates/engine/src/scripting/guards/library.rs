//! Guards before the functions of `string`, `table` and `math`.

use std::ffi::c_int;
use std::sync::atomic::Ordering::Relaxed;

use mlua::{ffi, lua_State};

use super::{call, guards, push_shown, raise_readonly};

/// How far before a table's first place something may be put in.
const INSERTS_BEFORE_MAX: f64 = 1_000_000.0;

/// `string.rep`: a text of no length is not written again and again.
pub(super) unsafe extern "C-unwind" fn rep(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let mut len = 0;
        ffi::luaL_checklstring(state, 1, &mut len);
        if len > 0 {
            return call(state);
        }
        ffi::luaL_checkinteger(state, 2);
        ffi::lua_pushliteral(state, c"");
        1
    }
}

/// `table.insert`: what stands behind the place is moved, and that is not for ever.
pub(super) unsafe extern "C-unwind" fn insert(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        if push_shown(state) {
            return raise_readonly(state);
        }
        let is_placed = ffi::lua_gettop(state) == 3;
        // As Lua makes it an integer, which may be another one.
        let place = if is_placed {
            ffi::luaL_checkinteger(state, 2) as c_int
        } else {
            1
        };
        if f64::from(place) < -INSERTS_BEFORE_MAX {
            return ffi::luaL_argerror(state, 2, c"position out of bounds".as_ptr());
        }
        call(state)
    }
}

/// `math.random`: the same numbers behind the same seed everywhere.
pub(super) unsafe extern "C-unwind" fn random(state: *mut lua_State) -> c_int {
    const MAX: u64 = i32::MAX as u64;
    // SAFETY: as all functions here.
    unsafe {
        let shared = &guards(state).random;
        let next = shared
            .load(Relaxed)
            .wrapping_mul(0x5_DEEC_E66D)
            .wrapping_add(0xB);
        let next = next & 0xFFFF_FFFF_FFFF;
        shared.store(next, Relaxed);
        let part = ((next >> 17) % MAX) as f64 / MAX as f64;
        let number = match ffi::lua_gettop(state) {
            0 => part,
            1 => {
                let last = ffi::luaL_checkinteger(state, 1) as c_int;
                if last < 1 {
                    return ffi::luaL_argerror(state, 1, c"interval is empty".as_ptr());
                }
                (part * f64::from(last)).floor() + 1.0
            }
            2 => {
                let first = ffi::luaL_checkinteger(state, 1) as c_int;
                let last = ffi::luaL_checkinteger(state, 2) as c_int;
                if first > last {
                    return ffi::luaL_argerror(state, 2, c"interval is empty".as_ptr());
                }
                let len = last.wrapping_sub(first).wrapping_add(1);
                (part * f64::from(len)).floor() + f64::from(first)
            }
            _ => return ffi::luaL_error(state, c"wrong number of arguments".as_ptr()),
        };
        ffi::lua_pushnumber(state, number);
        1
    }
}

/// `math.randomseed`.
pub(super) unsafe extern "C-unwind" fn randomseed(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let seed = ffi::luaL_checkinteger(state, 1) as u32;
        let state_of_seed = u64::from(seed) << 16 | 0x330E;
        guards(state).random.store(state_of_seed, Relaxed);
        0
    }
}
