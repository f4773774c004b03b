//! `bit`: operations on the bits of integers, as the BitOp 1.0.2 that Redis ships has them.
//!
//! They are functions of C that make nothing: what they call may jump over them.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::{Function, Lua, Table, ffi, lua_State};

type CFunction = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;

const FUNCTIONS: &[(&str, CFunction)] = &[
    ("tobit", tobit),
    ("bnot", bnot),
    ("band", band),
    ("bor", bor),
    ("bxor", bxor),
    ("lshift", lshift),
    ("rshift", rshift),
    ("arshift", arshift),
    ("rol", rol),
    ("ror", ror),
    ("bswap", bswap),
    ("tohex", tohex),
];

/// The table `bit`.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for &(name, function) in FUNCTIONS {
        // SAFETY: nothing here has a destructor, and there is room for a value on any stack.
        let function: Function =
            unsafe { lua.exec_raw((), |state| ffi::lua_pushcclosure(state, function, 0))? };
        table.raw_set(name, function)?;
    }
    Ok(table)
}

/// The argument at this place as 32 bits: the lowest of the integer that is nearest to it.
unsafe fn bits(state: *mut lua_State, place: c_int) -> u32 {
    /// Added to a number, it leaves the integer in the lowest bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    // SAFETY: as Lua calls these functions, the state is running.
    unsafe {
        let bits = (ffi::lua_tonumber(state, place) + SHIFT).to_bits() as u32;
        if bits == 0 && ffi::lua_isnumber(state, place) == 0 {
            ffi::luaL_typerror(state, place, c"number".as_ptr());
        }
        bits
    }
}

unsafe fn give(state: *mut lua_State, bits: u32) -> c_int {
    // SAFETY: there is room for a value beside the arguments of a function.
    unsafe { ffi::lua_pushnumber(state, f64::from(bits as i32)) }
    1
}

unsafe extern "C-unwind" fn tobit(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { give(state, bits(state, 1)) }
}

unsafe extern "C-unwind" fn bnot(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { give(state, !bits(state, 1)) }
}

/// All arguments together.
unsafe fn fold(state: *mut lua_State, operation: fn(u32, u32) -> u32) -> c_int {
    // SAFETY: as in `bits`.
    unsafe {
        let mut result = bits(state, 1);
        for place in (2..=ffi::lua_gettop(state)).rev() {
            result = operation(result, bits(state, place));
        }
        give(state, result)
    }
}

unsafe extern "C-unwind" fn band(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { fold(state, |left, right| left & right) }
}

unsafe extern "C-unwind" fn bor(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { fold(state, |left, right| left | right) }
}

unsafe extern "C-unwind" fn bxor(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { fold(state, |left, right| left ^ right) }
}

/// The first argument, moved by the lowest five bits of the second.
unsafe fn shift(state: *mut lua_State, operation: fn(u32, u32) -> u32) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { give(state, operation(bits(state, 1), bits(state, 2) & 31)) }
}

unsafe extern "C-unwind" fn lshift(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { shift(state, |bits, by| bits << by) }
}

unsafe extern "C-unwind" fn rshift(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { shift(state, |bits, by| bits >> by) }
}

unsafe extern "C-unwind" fn arshift(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { shift(state, |bits, by| (bits as i32 >> by) as u32) }
}

unsafe extern "C-unwind" fn rol(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { shift(state, u32::rotate_left) }
}

unsafe extern "C-unwind" fn ror(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { shift(state, u32::rotate_right) }
}

unsafe extern "C-unwind" fn bswap(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`.
    unsafe { give(state, bits(state, 1).swap_bytes()) }
}

/// `bit.tohex(bits, digits)`: in capitals if that is below zero.
unsafe extern "C-unwind" fn tohex(state: *mut lua_State) -> c_int {
    // SAFETY: as in `bits`. Lua copies the digits.
    unsafe {
        let bits_of_number = bits(state, 1);
        let count = match ffi::lua_isnone(state, 2) {
            0 => bits(state, 2) as i32,
            _ => 8,
        };
        let digits = if count < 0 {
            b"0123456789ABCDEF"
        } else {
            b"0123456789abcdef"
        };
        let len = count.unsigned_abs().min(8) as usize;
        let mut text = [0u8; 8];
        for (place, digit) in text[..len].iter_mut().rev().enumerate() {
            *digit = digits[(bits_of_number >> (4 * place) & 15) as usize];
        }
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), len);
        1
    }
}
