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
//!   beyond the reach of the watchdog (`rep`, `insert`);
//! - a script that is to end does not go on after it has caught the error that ends it.
//!
//! They are functions of C: what they call may jump over them, as none has a destructor.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use mlua::{Function, IntoLua, Lua, Table, Value, ffi, lua_State};

use super::watchdog::{INSTRUCTIONS, Watchdog};

type CFunction = unsafe extern "C-unwind" fn(*mut lua_State) -> c_int;

/// How long a text may be that is compiled. Nothing in it can be counted beyond the integers of
/// Lua's parser then.
pub(super) const TEXT_LEN_MAX: usize = 64 << 20;

/// How many items of a pattern may make Lua call itself: those of Lua 5.2 and later.
const PATTERN_ITEMS_MAX: usize = 200;

/// How much of C's stack a script may use before a function that takes much of it is refused.
const C_STACK_MAX: usize = 512 << 10;

/// How far before a table's first place something may be put in.
const INSERTS_BEFORE_MAX: f64 = 1_000_000.0;

/// How many values a call may give: as many as one function may hold in Redis.
const UNPACK_MAX: i64 = 8000;

const READONLY: &CStr = c"Attempt to modify a readonly table";

/// What the guards of a machine share.
#[derive(Debug)]
pub(super) struct Guards {
    watchdog: Arc<Watchdog>,
    /// Where C's stack was when the script began.
    stack_base: AtomicUsize,
    /// The state of `math.random`.
    random: AtomicU64,
}

impl Guards {
    pub(super) fn new(watchdog: Arc<Watchdog>) -> Arc<Guards> {
        Arc::new(Guards {
            watchdog,
            stack_base: AtomicUsize::new(0),
            random: AtomicU64::new(0x1234_ABCD_330E),
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
    ("", "unpack", unpack),
    ("", "next", reveal_and_call),
    ("", "pairs", pairs),
    ("", "rawget", reveal_and_call),
    ("", "rawset", refuse_shown),
    ("", "setmetatable", refuse_shown),
    ("", "getmetatable", getmetatable),
    ("", "pcall", pcall),
    ("", "xpcall", xpcall),
    ("", "loadstring", loadstring),
    ("", "collectgarbage", collectgarbage),
    ("string", "find", find),
    ("string", "match", matching),
    ("string", "gmatch", matching),
    ("string", "gfind", matching),
    ("string", "gsub", gsub),
    ("string", "rep", rep),
    ("string", "dump", dump),
    ("table", "insert", insert),
    ("table", "foreach", reveal_and_call),
    ("coroutine", "resume", call_and_look),
    ("math", "random", random),
    ("math", "randomseed", randomseed),
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

/// Ends the script if it is to end. It gets an error at each instruction from then on, so that it
/// can't catch them all.
unsafe extern "C-unwind" fn look(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua makes room for a hook. The machine has its guards there as long as it lives.
    unsafe {
        ffi::lua_pushlightuserdata(state, watch_key());
        ffi::lua_rawget_(state, ffi::LUA_REGISTRYINDEX);
        let guards: *const Guards = ffi::lua_touserdata(state, -1).cast();
        ffi::lua_settop(state, -2);
        let Some(ended) = (*guards).watchdog.ended() else {
            return;
        };
        (*guards).watchdog.ends_at(line(state));
        ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, 1);
        let reason = ended.reason();
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

/// `pairs`: a table that shows another one is walked by a function that knows it.
unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
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
pub(super) fn keep_walks(lua: &Lua, shown: &Table, own: Value) -> mlua::Result<()> {
    let walks = lua.create_sequence_from([own, lua.globals().get("next")?])?;
    let key = mlua::LightUserData(watch_key());
    shown.raw_set(key.into_lua(lua)?, walks)
}

/// `getmetatable`: a table that shows another one has none.
unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
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
unsafe extern "C-unwind" fn unpack(state: *mut lua_State) -> c_int {
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

/// `pcall`: of an error that is a table, its text.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
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
        ffi::lua_settop(state, 2);
        2
    }
}

/// `xpcall`: the handler of a script is not asked about the error that ends the script, as no hook
/// would look at it.
unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
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
unsafe extern "C-unwind" fn call_and_look(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let count = call(state);
        look_again(state);
        count
    }
}

/// `loadstring(text, name)`: compiles a text.
unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
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
pub(super) unsafe fn compile(
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
unsafe extern "C-unwind" fn collectgarbage(state: *mut lua_State) -> c_int {
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

/// `string.find`, where a text that is to be found as it is may be as long as it likes.
unsafe extern "C-unwind" fn find(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        if ffi::lua_toboolean(state, 4) == 0 {
            check_pattern(state);
        }
        call(state)
    }
}

/// `string.match` and others that take a pattern.
unsafe extern "C-unwind" fn matching(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        check_pattern(state);
        call(state)
    }
}

/// `string.gsub`, which takes much of C's stack when it calls a function that calls it.
unsafe extern "C-unwind" fn gsub(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        check_pattern(state);
        let here = 0u8;
        let base = guards(state).stack_base.load(Relaxed);
        if base.abs_diff(&raw const here as usize) > C_STACK_MAX {
            return ffi::luaL_error(state, c"C stack overflow".as_ptr());
        }
        call(state)
    }
}

/// Refuses a pattern in which so many items stand that C's stack could be too small: each of them
/// may be a call in a call.
unsafe fn check_pattern(state: *mut lua_State) {
    // SAFETY: the text lies on the stack. Nothing that has a destructor is left when this jumps.
    unsafe {
        let mut len = 0;
        let bytes = ffi::luaL_checklstring(state, 2, &mut len);
        // One that is short can't have many.
        if len <= PATTERN_ITEMS_MAX {
            return;
        }
        if items(std::slice::from_raw_parts(bytes.cast(), len)) > PATTERN_ITEMS_MAX {
            ffi::luaL_error(state, c"pattern too complex".as_ptr());
        }
    }
}

/// How many items of a pattern are repeated, left out or captured. What stands in a set counts too.
fn items(pattern: &[u8]) -> usize {
    let mut count = 0;
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => drop(bytes.next()),
            b'*' | b'+' | b'?' | b'-' | b'(' | b')' => count += 1,
            _ => {}
        }
    }
    count
}

/// `string.rep`: a text of no length is not written again and again.
unsafe extern "C-unwind" fn rep(state: *mut lua_State) -> c_int {
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

/// `string.dump`: there is no use for bytecode.
unsafe extern "C-unwind" fn dump(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        ffi::luaL_error(state, c"unable to dump given function".as_ptr())
    }
}

/// `table.insert`: what stands behind the place is moved, and that is not for ever.
unsafe extern "C-unwind" fn insert(state: *mut lua_State) -> c_int {
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
unsafe extern "C-unwind" fn random(state: *mut lua_State) -> c_int {
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
unsafe extern "C-unwind" fn randomseed(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let seed = ffi::luaL_checkinteger(state, 1) as u32;
        let state_of_seed = u64::from(seed) << 16 | 0x330E;
        guards(state).random.store(state_of_seed, Relaxed);
        0
    }
}
