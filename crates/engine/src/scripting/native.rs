//! Functions of Rust that scripts call.
//!
//! A [`Native`] finds its arguments on the stack and leaves what it returns there. Lua calls it
//! through [`enter`], and that is the only place where a refusal of it becomes an error of Lua,
//! which is a jump that runs no destructors: by then everything of the function is gone, and what
//! there is to say lies on the stack.
//!
//! While such a function runs, its machine has no limit on memory, so that nothing that it pushes
//! can jump. Whatever it makes is bounded by itself: [`Context::expect_room`].

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use larder_resp::bytes_of;
use mlua::{Lua, Table, ffi, lua_State};

use super::bridge::{Bridge, Running};
use super::cjson::Settings;
use super::stack::{Slot, Stack};
use super::vm::with_memory_limit;

/// A function that scripts call. Answers how many values on top of the stack it returns.
pub(super) type Native = fn(&mut Context<'_, '_, '_>) -> Result<c_int, Raise>;

/// The functions of a library, by their names.
pub(super) type Functions = &'static [(&'static str, Native)];

/// What a function works on.
pub(super) struct Context<'c, 'r, 'e> {
    /// Its arguments, from place 1 on.
    pub(super) stack: &'c mut Stack,
    /// The script that called it.
    pub(super) running: &'c mut Running<'r, 'e>,
    /// Those of the `cjson` that the function belongs to, if it belongs to one.
    pub(super) settings: &'c Settings,
}

/// What a function raises instead of returning something.
#[derive(Debug, PartialEq)]
pub(super) enum Raise {
    /// A text, behind the place of the script that called the function.
    Error(String),
    /// A text as it is.
    Plain(&'static str),
    /// What is wrong with the argument at this place.
    Argument(c_int, String),
    /// A table with this text as `err`, as the functions of `redis` do.
    Refusal(String),
    /// The value on top of the stack.
    Top,
}

impl Raise {
    /// There is no memory for what the function makes.
    pub(super) const MEMORY: Raise = Raise::Plain("not enough memory");

    /// There is no room for so many values; `what` says for which.
    pub(super) fn stack_overflow(what: &str) -> Raise {
        Raise::Error(format!("stack overflow ({what})"))
    }
}

impl Context<'_, '_, '_> {
    /// How many bytes the values of the script may take.
    pub(super) fn memory_max(&self) -> usize {
        self.running.work.engine.config.script_memory_max()
    }

    /// Refuses when the machine holds more than it may together with this many bytes.
    pub(super) fn expect_room(&self, more: usize) -> Result<(), Raise> {
        match self.stack.held().saturating_add(more) > self.memory_max() {
            true => Err(Raise::MEMORY),
            false => Ok(()),
        }
    }

    /// The argument at this place as a text; numbers are texts as well.
    pub(super) fn text(&mut self, place: c_int) -> Result<&[u8], Raise> {
        if self.stack.read_text(place).is_none() {
            return Err(self.wrong_type(place, "string"));
        }
        Ok(self.stack.read_text(place).unwrap_or_default())
    }

    /// The argument at this place as a number; texts that say one are numbers as well.
    pub(super) fn number(&self, place: c_int) -> Result<f64, Raise> {
        let number = self.stack.read_number(place);
        number.ok_or_else(|| self.wrong_type(place, "number"))
    }

    /// The argument at this place as an integer: fractions are cut off.
    pub(super) fn integer(&self, place: c_int) -> Result<i64, Raise> {
        self.number(place).map(c_integer)
    }

    /// The argument at this place as an integer, or `default` if there is none.
    pub(super) fn optional_integer(&self, place: c_int, default: i64) -> Result<i64, Raise> {
        match self.stack.is_nothing(place) {
            true => Ok(default),
            false => self.integer(place),
        }
    }

    fn wrong_type(&self, place: c_int, wanted: &str) -> Raise {
        let got = self.stack.type_name(place);
        Raise::Argument(place, format!("{wanted} expected, got {got}"))
    }

    /// Pushes the functions of a library that has settings of its own, into the table on top.
    pub(super) fn put_functions(&mut self, functions: Functions) {
        self.stack.push_settings();
        // SAFETY: the running function is one of `enter`, so its bridge is the first of its
        // values; the settings and, beneath them, the table were just pushed.
        unsafe {
            let state = self.stack.state();
            for &(name, native) in functions {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
                ffi::lua_pushlightuserdata(state, native as *mut c_void);
                ffi::lua_pushvalue(state, -3);
                ffi::lua_pushcclosure(state, enter, 3);
                ffi::lua_pushlstring_(state, name.as_ptr().cast(), name.len());
                ffi::lua_insert(state, -2);
                ffi::lua_rawset(state, -4);
            }
        }
        self.stack.pop();
    }
}

/// A number as C makes it an integer where that is not defined: the least one.
pub(super) fn c_integer(number: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match (-BEYOND..BEYOND).contains(&number) {
        true => number as i64,
        false => i64::MIN,
    }
}

/// Makes the functions of a machine, which keeps what they work on as long as it lives.
pub(super) struct Maker<'l> {
    lua: &'l Lua,
    kept: Kept,
}

/// What a machine keeps, so that its functions can do with pointers.
#[derive(Clone)]
struct Kept {
    bridge: Arc<Bridge>,
    settings: Arc<Settings>,
}

impl<'l> Maker<'l> {
    pub(super) fn new(lua: &'l Lua, bridge: Arc<Bridge>, settings: Arc<Settings>) -> Maker<'l> {
        let kept = Kept { bridge, settings };
        lua.set_app_data(kept.clone());
        Maker { lua, kept }
    }

    /// A table of these functions.
    pub(super) fn library(&self, functions: Functions) -> mlua::Result<Table> {
        let table = self.lua.create_table()?;
        self.add(&table, functions)?;
        Ok(table)
    }

    /// Adds functions to a table.
    pub(super) fn add(&self, table: &Table, functions: Functions) -> mlua::Result<()> {
        let bridge = Arc::as_ptr(&self.kept.bridge).cast_mut().cast();
        let settings = Arc::as_ptr(&self.kept.settings).cast_mut().cast();
        for &(name, native) in functions {
            // SAFETY: nothing here has a destructor, and there is room for three values on any
            // stack. The machine keeps what the pointers lead to.
            let function: mlua::Function = unsafe {
                self.lua.exec_raw((), |state| {
                    ffi::lua_pushlightuserdata(state, bridge);
                    ffi::lua_pushlightuserdata(state, native as *mut c_void);
                    ffi::lua_pushlightuserdata(state, settings);
                    ffi::lua_pushcclosure(state, enter, 3);
                })?
            };
            table.raw_set(name, function)?;
        }
        Ok(())
    }
}

/// What lies on top of the stack when a function is over.
enum Outcome {
    /// So many values that it returns.
    Values(c_int),
    /// A text that is to stand behind the place of the script.
    Text,
    /// What is wrong with the argument at this place.
    Argument(c_int),
    /// What is raised as it is.
    Raised,
    /// Nothing: no script runs that could have called it.
    None,
}

/// Calls the function that Lua calls.
unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: as Lua calls this, the state is running. What jumps here jumps over nothing that has
    // a destructor, and a text on top stays there while it is raised.
    unsafe {
        match outcome(state) {
            Outcome::Values(count) => count,
            Outcome::Text => ffi::luaL_error(state, c"%s".as_ptr(), ffi::lua_tostring(state, -1)),
            Outcome::Argument(place) => {
                ffi::luaL_argerror(state, place, ffi::lua_tostring(state, -1))
            }
            Outcome::Raised => ffi::lua_error(state),
            Outcome::None => {
                ffi::lua_pushliteral(state, c"this function is not available here");
                ffi::lua_error(state)
            }
        }
    }
}

/// Runs the function. No panic leaves it, and nothing that it made is left but on the stack.
unsafe fn outcome(state: *mut lua_State) -> Outcome {
    // SAFETY: the closure was made by a `Maker` or by `put_functions`, with these three values. The
    // machine keeps what the first leads to, and the closure itself or the machine the third. The
    // stack is this function's own, and something is pushed only without a limit on memory.
    let (bridge, native, settings, mut stack) = unsafe {
        let bridge: *const Bridge = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast();
        let native = ffi::lua_touserdata(state, ffi::lua_upvalueindex(2));
        let native = std::mem::transmute::<*mut c_void, Native>(native);
        let settings: *const Settings = ffi::lua_touserdata(state, ffi::lua_upvalueindex(3)).cast();
        (&*bridge, native, &*settings, Stack::new(state))
    };
    let run = || {
        bridge.cross(|running| {
            let lua = running.lua;
            let call = || {
                let mut context = Context {
                    stack: &mut stack,
                    running,
                    settings,
                };
                match native(&mut context) {
                    Ok(count) => Outcome::Values(count),
                    Err(raise) => raised(&mut stack, raise),
                }
            };
            with_memory_limit(lua, 0, call).unwrap_or(Outcome::None)
        })
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.unwrap_or(Outcome::None),
        Err(panic) => {
            bridge.keep_panic(panic);
            Outcome::None
        }
    }
}

/// Leaves what is raised on the stack, alone if the function made it.
fn raised(stack: &mut Stack, raise: Raise) -> Outcome {
    if raise != Raise::Top {
        stack.truncate(0);
    }
    match raise {
        Raise::Top => return Outcome::Raised,
        Raise::Plain(text) => stack.push_text(&bytes_of(text)),
        Raise::Refusal(text) => {
            stack.push_text(&bytes_of(&text));
            stack.tag("err");
        }
        Raise::Error(text) => {
            stack.push_text(&bytes_of(&text));
            return Outcome::Text;
        }
        Raise::Argument(place, text) => {
            stack.push_text(&bytes_of(&text));
            return Outcome::Argument(place);
        }
    }
    Outcome::Raised
}

/// Whether the arguments of a function are so many, as the libraries of Redis ask for it.
pub(super) fn expect_one(context: &Context<'_, '_, '_>) -> Result<(), Raise> {
    match context.stack.len() {
        1 => Ok(()),
        _ => Err(Raise::Argument(1, "expected 1 argument".to_owned())),
    }
}

/// Whether this is a name that a table can have: neither nothing nor NaN.
pub(super) fn expect_name(slot: Slot<'_>) -> Result<(), Raise> {
    match slot {
        Slot::Nil => Err(Raise::Plain("table index is nil")),
        Slot::Number(number) if number.is_nan() => Err(Raise::Plain("table index is NaN")),
        _ => Ok(()),
    }
}
