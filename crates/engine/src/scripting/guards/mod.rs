//! Functions that stand before those of Lua's own library, which are those of Lua 5.1.5 as it was
//! published.
//!
//! Each keeps a promise that the function behind it does not keep:
//!
//! - no range of numbers leads beyond the stack (`unpack`, CVE-2025-46817);
//! - no text is read as bytecode, and none is read while values are collected (`loadstring`,
//!   CVE-2015-4335 and CVE-2025-49844) or when it is too long to be counted (CVE-2025-46819);
//! - nothing shows or changes the tables that all scripts share (`rawset`, `setmetatable`,
//!   CVE-2022-24735 and CVE-2025-46818);
//! - nothing uses up the stack of C (`find`, `gsub`), turns off the collector, or runs for ever
//!   beyond the reach of the watchdog (`find` and its kin, which match patterns by themselves, `sort`,
//!   `rep`, `insert`);
//! - a script that is to end does not go on after it has caught the error that ends it.
//!
//! They are functions of C: what they call may jump over them, as none has a destructor.

#![allow(unsafe_code)]

mod base;
mod library;
mod matching;
mod pattern;
mod sorting;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use mlua::{Function, Lua, Table, ffi, lua_State};

use super::watchdog::{Ended, INSTRUCTIONS, Watchdog};
pub(super) use base::{TEXT_LEN_MAX, compile, keep_walks};

#[cfg(test)]
mod tests;

type CFunction = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;

const READONLY: &CStr = c"Attempt to modify a readonly table";

/// What the guards of a machine share.
#[derive(Debug)]
pub(super) struct Guards {
    watchdog: Arc<Watchdog>,
    /// Where C's stack was when the script began.
    stack_base: AtomicUsize,
    /// The state of `math.random`.
    random: AtomicU64,
    /// How many steps of matches are left until the script looks at its watchdog.
    steps_left: AtomicU32,
}

impl Guards {
    pub(super) fn new(watchdog: Arc<Watchdog>) -> Arc<Guards> {
        Arc::new(Guards {
            watchdog,
            stack_base: AtomicUsize::new(0),
            random: AtomicU64::new(0x1234_ABCD_330E),
            steps_left: AtomicU32::new(0),
        })
    }

    /// A script begins. What it calls lies behind this frame on C's stack.
    pub(super) fn begin(&self) {
        let here = 0u8;
        self.stack_base.store(&raw const here as usize, Relaxed);
    }
}

/// The functions that stand before those of the library, by the names of both, and the tables that
/// they are in: `""` for the globals.
const GUARDS: &[(&str, &str, CFunction)] = &[
    ("", "unpack", base::unpack),
    ("", "next", reveal_and_call),
    ("", "pairs", base::pairs),
    ("", "rawget", reveal_and_call),
    ("", "rawset", refuse_shown),
    ("", "setmetatable", refuse_shown),
    ("", "getmetatable", base::getmetatable),
    ("", "pcall", base::pcall),
    ("", "xpcall", base::xpcall),
    ("", "loadstring", base::loadstring),
    ("", "collectgarbage", base::collectgarbage),
    ("string", "find", matching::find),
    ("string", "match", matching::matching),
    ("string", "gmatch", matching::gmatch),
    ("string", "gfind", matching::gmatch),
    ("string", "gsub", matching::gsub),
    ("string", "rep", library::rep),
    ("table", "insert", library::insert),
    ("table", "sort", sorting::sort),
    ("table", "foreach", reveal_and_call),
    ("coroutine", "resume", base::call_and_look),
    ("math", "random", library::random),
    ("math", "randomseed", library::randomseed),
];

/// What the sandbox is given.
pub(super) const NATIVE: &[(&str, CFunction)] = &[
    ("place", place),
    ("refuse_change", refuse_change),
    ("refuse_name", refuse_name),
];

/// Puts the guards in the places of what they stand before. `shown` leads from each table that
/// scripts see to the one that it shows.
///
/// # Safety
///
/// The guards must live as long as the machine.
pub(super) unsafe fn install(lua: &Lua, guards: &Guards, shown: &Table) -> mlua::Result<()> {
    let guards: *mut c_void = std::ptr::from_ref(guards).cast_mut().cast();
    for &(table, name, guard) in GUARDS {
        let globals = lua.globals();
        let table: Table = match table {
            "" => globals,
            table => globals.get(table)?,
        };
        let stock: Function = table.get(name)?;
        // SAFETY: the two values lie on the stack, nothing here has a destructor, and there is room
        // for some values on any stack.
        let function: Function = unsafe {
            lua.exec_raw((stock, shown), |state| {
                let pointer = ffi::lua_tocfunction(state, 1);
                let pointer = pointer.map_or(std::ptr::null_mut(), |stock| stock as *mut c_void);
                ffi::lua_pushlightuserdata(state, pointer);
                ffi::lua_pushlightuserdata(state, guards);
                ffi::lua_pushvalue(state, 2);
                ffi::lua_pushvalue(state, 1);
                ffi::lua_pushcclosure(state, guard, 4);
                ffi::lua_replace(state, 1);
                ffi::lua_settop(state, 1);
            })?
        };
        table.raw_set(name, function)?;
    }
    Ok(())
}

/// Has the script that a machine runs look at its watchdog now and then.
///
/// # Safety
///
/// The guards must live as long as the machine.
pub(super) unsafe fn watch(lua: &Lua, guards: &Guards) -> mlua::Result<()> {
    let guards: *mut c_void = std::ptr::from_ref(guards).cast_mut().cast();
    // SAFETY: nothing here has a destructor. Coroutines are watched as those that make them are.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushlightuserdata(state, watch_key());
            ffi::lua_pushlightuserdata(state, guards);
            ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, INSTRUCTIONS as c_int);
        })
    }
}

/// Where a machine keeps its guards.
fn watch_key() -> *mut c_void {
    static KEY: u8 = 0;
    (&raw const KEY).cast_mut().cast()
}

/// Has the script look at its watchdog, and ends it if it is to end.
unsafe extern "C-unwind" fn look(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua makes room for a hook. The machine has its guards there as long as it lives.
    unsafe {
        ffi::lua_pushlightuserdata(state, watch_key());
        ffi::lua_rawget_(state, ffi::LUA_REGISTRYINDEX);
        let guards: *const Guards = ffi::lua_touserdata(state, -1).cast();
        ffi::lua_settop(state, -2);
        if (*guards).watchdog.look().is_some() {
            end_script(state, &*guards);
        }
    }
}

/// Ends a script that is to end. It gets an error here and at each instruction from then on, so that
/// it can't catch them all.
unsafe fn end_script(state: *mut lua_State, guards: &Guards) -> ! {
    // SAFETY: there is room for a text, and nothing that has a destructor is left when this jumps.
    unsafe {
        guards.watchdog.ends_at(line(state));
        ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, 1);
        let reason = guards.watchdog.ended().map_or("", Ended::reason);
        ffi::lua_pushlstring_(state, reason.as_ptr().cast(), reason.len());
        ffi::lua_error(state)
    }
}

/// The source and the line at which an error was raised, for the function of the sandbox that
/// explains it: that of the function that raised it, or of who called that if it is one of C.
unsafe extern "C-unwind" fn place(state: *mut lua_State) -> c_int {
    /// Above this function and the one that explains the error.
    const RAISED: c_int = 2;
    // SAFETY: it reads what Lua says of its calls, and pushes two values.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        for level in [RAISED, RAISED + 1] {
            if ffi::lua_getstack(state, level, &mut frame) == 0 {
                return 0;
            }
            ffi::lua_getinfo(state, c"Sl".as_ptr(), &mut frame);
            if *frame.what != b'C' as c_char {
                break;
            }
        }
        ffi::lua_pushstring_(state, frame.source);
        ffi::lua_pushnumber(state, f64::from(frame.currentline));
        2
    }
}

/// Refuses a change of a table that shows another one.
unsafe extern "C-unwind" fn refuse_change(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe { ffi::luaL_error(state, READONLY.as_ptr()) }
}

/// Refuses a global that there is none of.
unsafe extern "C-unwind" fn refuse_name(state: *mut lua_State) -> c_int {
    let text = c"Script attempted to access nonexistent global variable '%s'";
    // SAFETY: as all functions here. The name lies on the stack as long as it is read.
    unsafe {
        let mut name = ffi::lua_tostring(state, 2);
        if name.is_null() {
            name = ffi::lua_typename(state, ffi::lua_type(state, 2));
        }
        ffi::luaL_error(state, text.as_ptr(), name)
    }
}

/// The line of the script that runs, or 0.
unsafe fn line(state: *mut lua_State) -> usize {
    // SAFETY: it reads what Lua says of its calls.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        for level in 0.. {
            if ffi::lua_getstack(state, level, &mut frame) == 0 {
                break;
            }
            ffi::lua_getinfo(state, c"l".as_ptr(), &mut frame);
            if let Ok(line @ 1..) = usize::try_from(frame.currentline) {
                return line;
            }
        }
    }
    0
}

/// The guards of the running function.
unsafe fn guards<'g>(state: *mut lua_State) -> &'g Guards {
    // SAFETY: `install` gave them to each function, and they live as long as the machine.
    unsafe { &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(2)).cast() }
}

/// Calls the function that the running one stands before, in its place.
unsafe fn call(state: *mut lua_State) -> c_int {
    // SAFETY: `install` gave the function its pointer, and a function of C needs only its stack.
    unsafe {
        let stock = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        std::mem::transmute::<*mut c_void, CFunction>(stock)(state)
    }
}

/// Has the script look again if it is to end: it may run in a coroutine that has not been told.
unsafe fn look_again(state: *mut lua_State) {
    // SAFETY: a hook may be set at any time.
    unsafe {
        if guards(state).watchdog.ended().is_some() {
            ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, 1);
        }
    }
}

/// Raises a text without a place, as the machine of Redis does here.
unsafe fn raise_readonly(state: *mut lua_State) -> c_int {
    // SAFETY: nothing here has a destructor.
    unsafe {
        ffi::lua_pushliteral(state, READONLY);
        ffi::lua_error(state)
    }
}

/// Pushes the table that the first argument shows, if it shows one.
unsafe fn push_shown(state: *mut lua_State) -> bool {
    // SAFETY: `install` gave each function the table that leads from one to the other.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            return false;
        }
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget_(state, ffi::lua_upvalueindex(3));
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            return true;
        }
        ffi::lua_settop(state, -2);
        false
    }
}

/// Reads what a table shows, where it stands for another one.
unsafe extern "C-unwind" fn reveal_and_call(state: *mut lua_State) -> c_int {
    // SAFETY: the functions behind this read the table and give it to nobody.
    unsafe {
        if push_shown(state) {
            ffi::lua_replace(state, 1);
        }
        call(state)
    }
}

/// Changes no table that shows another one.
unsafe extern "C-unwind" fn refuse_shown(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        match push_shown(state) {
            true => raise_readonly(state),
            false => call(state),
        }
    }
}
