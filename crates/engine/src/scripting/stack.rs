//! The stack of a machine: values that go between Rust and Lua without a handle for each.
//!
//! `mlua` gives Rust a handle for each value: it takes a place in the machine, counts its owners and
//! is given back under a lock, which costs more than most values do. So what every script has (its
//! keys and arguments, the words of its commands and their answers, and what it returns) goes over a
//! [`Stack`], which is Lua's own interface in C.
//!
//! Lua reports its errors by a jump that runs no destructors. Nothing here makes it jump:
//!
//! - there is no limit on memory while something is pushed ([`Stack::new`]);
//! - who pushes asks for room before ([`Stack::has_room`]);
//! - tables are read and written raw, and none is made larger than [`TABLE_MAX`].

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::{IntoLua, Lua, ffi, lua_State};

use super::cjson::Settings;
use super::guards;

/// How many values a table can be made for.
pub(super) const TABLE_MAX: usize = 1 << 26;

/// For how many values there is memory at once: a table that is to hold more grows with them.
const TABLE_AT_ONCE: usize = 1 << 16;

/// A stack of values, the first of which is at place 1, and the last of which is its top.
pub(super) struct Stack {
    state: *mut lua_State,
}

// SAFETY: the stack of a machine goes from thread to thread with its machine, and is not shared.
unsafe impl Send for Stack {}

/// What lies at a place of a stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Slot<'s> {
    Nil,
    Boolean(bool),
    Number(f64),
    Text(&'s [u8]),
    Table,
    /// The null of `cjson`.
    Null,
    Other,
}

/// A value that a machine keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference(c_int);

impl Reference {
    pub(super) fn new(lua: &Lua, value: impl IntoLua) -> mlua::Result<Reference> {
        let mut kept = Reference(ffi::LUA_NOREF);
        // SAFETY: the value lies on the stack, and nothing here has a destructor.
        unsafe {
            lua.exec_raw::<()>(value, |state| {
                kept.0 = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            })?;
        }
        Ok(kept)
    }
}

impl Stack {
    /// The stack of a machine that nothing runs in.
    pub(super) fn of(lua: &Lua) -> mlua::Result<Stack> {
        let mut main = std::ptr::null_mut();
        // SAFETY: nothing here has a destructor. The state lives as long as its machine.
        unsafe {
            lua.exec_raw::<()>((), |state| main = state)?;
            Ok(Stack::new(main))
        }
    }

    /// The stack of this state.
    ///
    /// # Safety
    ///
    /// The state must outlive this and belong to this thread. While something is pushed its machine
    /// must have no limit on memory, and there must be room. A function that names what lies on the
    /// stack must find it there.
    pub(super) unsafe fn new(state: *mut lua_State) -> Stack {
        Stack { state }
    }

    /// How many values lie on it.
    pub(super) fn len(&self) -> c_int {
        // SAFETY: it reads a length.
        unsafe { ffi::lua_gettop(self.state) }
    }

    /// Takes values off, until so many are left.
    pub(super) fn truncate(&mut self, len: c_int) {
        debug_assert!(len <= self.len());
        // SAFETY: there are at least so many.
        unsafe { ffi::lua_settop(self.state, len) }
    }

    /// Takes the top off.
    pub(super) fn pop(&mut self) {
        self.truncate(self.len() - 1);
    }

    /// Makes room for so many values more. False if they would be too many.
    pub(super) fn has_room(&mut self, count: c_int) -> bool {
        // SAFETY: it asks for memory, of which there is no limit.
        unsafe { ffi::lua_checkstack(self.state, count) != 0 }
    }

    /// What lies at this place; -1 is the top.
    pub(super) fn get(&self, place: c_int) -> Slot<'_> {
        let state = self.state;
        // SAFETY: each value is read as what it is, so nothing is converted. A string is not let go
        // while it lies here, and as long as it is borrowed nothing is taken off.
        unsafe {
            match ffi::lua_type(state, place) {
                ffi::LUA_TNIL => Slot::Nil,
                ffi::LUA_TBOOLEAN => Slot::Boolean(ffi::lua_toboolean(state, place) != 0),
                ffi::LUA_TNUMBER => Slot::Number(ffi::lua_tonumber(state, place)),
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let bytes = ffi::lua_tolstring(state, place, &mut len);
                    Slot::Text(std::slice::from_raw_parts(bytes.cast(), len))
                }
                ffi::LUA_TTABLE => Slot::Table,
                ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, place).is_null() => {
                    Slot::Null
                }
                _ => Slot::Other,
            }
        }
    }

    /// The state whose stack this is.
    pub(super) fn state(&self) -> *mut lua_State {
        self.state
    }

    /// What lies at this place as a text, if it is one or a number, which becomes its text there.
    pub(super) fn read_text(&mut self, place: c_int) -> Option<&[u8]> {
        let mut len = 0;
        // SAFETY: a number is made a text where it lies, for which there is memory. The text stays
        // where it lies as long as it is borrowed.
        unsafe {
            let bytes = ffi::lua_tolstring(self.state, place, &mut len);
            (!bytes.is_null()).then(|| std::slice::from_raw_parts(bytes.cast(), len))
        }
    }

    /// What lies at this place as a number, if it is one or a text that says one.
    pub(super) fn read_number(&self, place: c_int) -> Option<f64> {
        // SAFETY: it reads a value.
        unsafe {
            let is_number = ffi::lua_isnumber(self.state, place) != 0;
            is_number.then(|| ffi::lua_tonumber(self.state, place))
        }
    }

    /// The name of the type of what lies at this place.
    pub(super) fn type_name(&self, place: c_int) -> &'static str {
        // SAFETY: the names are constants of Lua.
        let name = unsafe {
            let kind = ffi::lua_type(self.state, place);
            CStr::from_ptr(ffi::lua_typename(self.state, kind))
        };
        name.to_str().unwrap_or("no value")
    }

    /// Whether nothing lies at this place.
    pub(super) fn is_nothing(&self, place: c_int) -> bool {
        // SAFETY: it reads a type.
        unsafe { ffi::lua_isnoneornil(self.state, place) != 0 }
    }

    /// How many bytes the machine holds.
    pub(super) fn held(&self) -> usize {
        // SAFETY: it reads a number.
        let kilobytes = unsafe { ffi::lua_gc(self.state, ffi::LUA_GCCOUNT, 0) };
        kilobytes as usize * 1024
    }

    /// Pushes what lies at this place once more.
    pub(super) fn push_copy(&mut self, place: c_int) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushvalue(self.state, place) }
    }

    /// Takes the top off and puts it at this place, before what lay there.
    pub(super) fn insert(&mut self, place: c_int) {
        // SAFETY: there is such a place.
        unsafe { ffi::lua_insert(self.state, place) }
    }

    /// Pushes the null of `cjson`.
    pub(super) fn push_null(&mut self) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.state, std::ptr::null_mut()) }
    }

    /// Pushes settings of `cjson` that nobody has changed.
    pub(super) fn push_settings(&mut self) {
        const { assert!(align_of::<Settings>() <= align_of::<f64>()) }
        const { assert!(!std::mem::needs_drop::<Settings>()) }
        // SAFETY: there is room, and memory, which is aligned for any number. Settings have no
        // destructor.
        unsafe {
            let place = ffi::lua_newuserdata(self.state, size_of::<Settings>());
            place.cast::<Settings>().write(Settings::default());
        }
    }

    pub(super) fn push_nil(&mut self) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) }
    }

    pub(super) fn push_bool(&mut self, yes: bool) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(yes)) }
    }

    pub(super) fn push_number(&mut self, number: f64) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, number) }
    }

    pub(super) fn push_text(&mut self, text: &[u8]) {
        // SAFETY: there is room, and memory. Lua copies the bytes.
        unsafe { ffi::lua_pushlstring_(self.state, text.as_ptr().cast(), text.len()) }
    }

    /// Pushes an empty table for so many values in order and so many fields.
    pub(super) fn push_table(&mut self, places: usize, fields: usize) {
        let places = places.min(TABLE_AT_ONCE) as c_int;
        let fields = fields.min(TABLE_AT_ONCE) as c_int;
        // SAFETY: there is room, and memory.
        unsafe { ffi::lua_createtable(self.state, places, fields) }
    }

    /// Pushes a table of these texts, in order.
    pub(super) fn push_list<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t [u8]>) {
        self.push_table(texts.len(), 0);
        for (before, text) in texts.enumerate() {
            self.push_text(text);
            self.put(before + 1);
        }
    }

    /// Takes the top off, and puts it into the table beneath it, at a place from 1 to
    /// [`TABLE_MAX`].
    pub(super) fn put(&mut self, place: usize) {
        debug_assert!(place <= TABLE_MAX && self.get(-2) == Slot::Table);
        // SAFETY: there is a table, and memory.
        unsafe { ffi::lua_rawseti_(self.state, -2, place as c_int) }
    }

    /// Takes the top and the name beneath it off, and puts them into the table beneath both. Nothing
    /// can't be a name in Lua: such a pair is left out. NaN must not be one.
    pub(super) fn put_named(&mut self) {
        debug_assert_eq!(self.get(-3), Slot::Table);
        // SAFETY: it reads a type.
        let is_nameless = unsafe { ffi::lua_type(self.state, -2) == ffi::LUA_TNIL };
        if is_nameless {
            return self.truncate(self.len() - 2);
        }
        // SAFETY: there is a table, and memory, and the name can be one.
        unsafe { ffi::lua_rawset(self.state, -3) }
    }

    /// Takes the top off, and puts it into the table beneath it, by this name.
    pub(super) fn put_field(&mut self, name: &str) {
        self.push_text(name.as_bytes());
        self.swap();
        self.put_named();
    }

    /// Puts the top into a new table, by this name.
    pub(super) fn tag(&mut self, name: &str) {
        self.push_table(0, 1);
        self.swap();
        self.put_field(name);
    }

    /// Pushes what a table has at this place.
    pub(super) fn push_place(&mut self, table: c_int, place: c_int) {
        debug_assert_eq!(self.get(table), Slot::Table);
        // SAFETY: there is a table, and room.
        unsafe { ffi::lua_rawgeti_(self.state, table, place) }
    }

    /// Pushes what a table has by this name.
    pub(super) fn push_field(&mut self, table: c_int, name: &str) {
        debug_assert!(table > 0 && self.get(table) == Slot::Table);
        self.push_text(name.as_bytes());
        // SAFETY: there is a table, and a name on top.
        unsafe { ffi::lua_rawget_(self.state, table) }
    }

    /// What this reads of what a table has by this name.
    pub(super) fn field<T>(
        &mut self,
        table: c_int,
        name: &str,
        read: impl FnOnce(Slot<'_>) -> T,
    ) -> T {
        self.push_field(table, name);
        let found = read(self.get(-1));
        self.pop();
        found
    }

    /// Takes the name on top off, and pushes the pair that the table has behind it, if it has one:
    /// the name, and on top the value. The first is behind nil. The table must not have changed
    /// since it gave the name.
    pub(super) fn next(&mut self, table: c_int) -> bool {
        debug_assert!(table > 0 && self.get(table) == Slot::Table);
        // SAFETY: there is a table, which has the name on top, and room.
        unsafe { ffi::lua_next(self.state, table) != 0 }
    }

    /// Compiles a text and keeps its function.
    ///
    /// # Errors
    ///
    /// If it is no Lua; what is wrong with it.
    pub(super) fn compile(&mut self, text: &[u8], name: &CStr) -> Result<Reference, String> {
        if !self.has_room(3) {
            return Err("stack overflow".to_owned());
        }
        // SAFETY: there is room, and memory. The name ends with a NUL.
        let is_compiled =
            unsafe { guards::compile(self.state, text.as_ptr().cast(), text.len(), name.as_ptr()) };
        if is_compiled {
            return Ok(self.keep());
        }
        let text = larder_resp::text_of(self.read_text(-1).unwrap_or_default()).into_owned();
        self.pop();
        Err(text)
    }

    /// Takes the top off, and keeps it.
    pub(super) fn keep(&mut self) -> Reference {
        // SAFETY: there is a value on top, and memory.
        Reference(unsafe { ffi::luaL_ref(self.state, ffi::LUA_REGISTRYINDEX) })
    }

    /// Whether a function lies at this place.
    pub(super) fn is_function(&self, place: c_int) -> bool {
        // SAFETY: it reads a type.
        unsafe { ffi::lua_type(self.state, place) == ffi::LUA_TFUNCTION }
    }

    /// Gives up a value that this machine keeps.
    pub(super) fn release(&mut self, value: Reference) {
        // SAFETY: it was kept, and is named no more.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, value.0) }
    }

    /// Pushes a value that this machine keeps.
    pub(super) fn push_kept(&mut self, value: Reference) {
        // SAFETY: there is room.
        unsafe { ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, value.0) }
    }

    /// Calls the function that lies beneath this many arguments, and puts what it returns in their
    /// place. If it raises an error, what the handler makes of it is put there, or the error itself if
    /// the handler is at place 0, and the answer is false.
    pub(super) fn call(&mut self, arguments: c_int, handler: c_int) -> bool {
        debug_assert!(handler >= 0 && handler < self.len() - arguments);
        // SAFETY: there is a function, and its errors end here.
        unsafe { ffi::lua_pcall(self.state, arguments, 1, handler) == ffi::LUA_OK }
    }

    /// Exchanges the top and the value beneath it.
    fn swap(&mut self) {
        debug_assert!(self.len() >= 2);
        // SAFETY: there are two.
        unsafe { ffi::lua_insert(self.state, -2) }
    }
}
