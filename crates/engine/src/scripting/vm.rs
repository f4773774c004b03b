//! A Lua machine with the sandbox in it.

use std::ffi::CStr;
use std::sync::Arc;

use mlua::{Lua, LuaOptions, StdLib};

use super::bridge::{Bridge, Running};
use super::compiled::Compiled;
use super::functions::{Found, Loaded, Loading, Registered};
use super::guards::Guards;
use super::number::text_g;
use super::stack::{Reference, Slot, Stack};
use super::watchdog::{Origin, Started, Watchdog};
use super::work::Work;
use super::{Purpose, Script, cjson, convert, world};
use crate::error::{Error, Result, shown};
use crate::reply::Reply;

/// The name of scripts in errors.
const SCRIPT_NAME: &CStr = c"@user_script";

/// The name of libraries of functions in errors.
const FUNCTION_NAME: &CStr = c"@user_function";

/// A machine that holds more bytes than this after a script is not used for another one.
const REUSABLE_MAX: usize = 8 << 20;

/// For how many values a call of a script needs room.
const ROOM: i32 = 8;

/// A machine that runs one script at a time.
pub(super) struct Vm {
    lua: Lua,
    stack: Stack,
    bridge: Arc<Bridge>,
    /// `explain(error)` of the sandbox.
    explain: Reference,
    /// What scripts see, with their `KEYS` and `ARGV`.
    world: Reference,
    /// The names of these.
    names: [Reference; 2],
    /// The metatable by which the globals show a world.
    view: Reference,
    /// What a library of functions sees while it is loaded.
    loading: Reference,
    /// What its functions rest on, as long as it lives.
    guards: Arc<Guards>,
    compiled: Compiled,
    libraries: Loaded,
    purpose: Purpose,
    generation: u64,
    watchdog: Arc<Watchdog>,
    /// How many bytes it may hold.
    memory_max: usize,
    /// Its script had to be ended.
    is_spent: bool,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm")
            .field("compiled", &self.compiled.len())
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// A machine with the sandbox and no script.
    pub(super) fn new(
        purpose: Purpose,
        generation: u64,
        watchdog: Arc<Watchdog>,
        settings: Arc<cjson::Settings>,
    ) -> Result<Vm> {
        Vm::build(purpose, generation, watchdog, settings).map_err(|error| failed(&error))
    }

    fn build(
        purpose: Purpose,
        generation: u64,
        watchdog: Arc<Watchdog>,
        settings: Arc<cjson::Settings>,
    ) -> mlua::Result<Vm> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let bridge = Arc::new(Bridge::default());
        let guards = Guards::new(Arc::clone(&watchdog));
        let world = world::build(&lua, &bridge, &guards, purpose, settings)?;
        Ok(Vm {
            stack: Stack::of(&lua)?,
            explain: Reference::new(&lua, world.explain)?,
            world: Reference::new(&lua, world.world)?,
            names: [Reference::new(&lua, "KEYS")?, Reference::new(&lua, "ARGV")?],
            view: Reference::new(&lua, world.view)?,
            loading: Reference::new(&lua, world.loading)?,
            lua,
            bridge,
            guards,
            compiled: Compiled::default(),
            libraries: Loaded::default(),
            purpose,
            generation,
            watchdog,
            memory_max: 0,
            is_spent: false,
        })
    }

    /// What it is for.
    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The generation of scripts that it belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it can run another script.
    pub(super) fn is_reusable(&self) -> bool {
        let held_max = REUSABLE_MAX.min(self.memory_max / 2);
        !self.is_spent && self.lua.used_memory() <= held_max
    }

    #[cfg(test)]
    pub(super) fn compiled_len(&self) -> usize {
        self.compiled.len()
    }

    /// Lets its scripts hold this many bytes.
    pub(super) fn limit_memory(&mut self, memory_max: usize) {
        self.memory_max = memory_max;
    }

    /// Compiles a script, unless that is done already.
    ///
    /// # Errors
    ///
    /// If it is no Lua.
    pub(super) fn compile(&mut self, script: &Arc<Script>) -> Result<()> {
        self.function(script).map(drop)
    }

    fn function(&mut self, script: &Arc<Script>) -> Result<Reference> {
        if let Some(known) = self.compiled.find(script) {
            return Ok(known);
        }
        let kept = self
            .stack
            .compile(script.body(), SCRIPT_NAME)
            .map_err(|text| {
                Error::text(format!("ERR Error compiling script (new function): {text}"))
            })?;
        self.compiled.insert(script, kept, &mut self.stack);
        Ok(kept)
    }

    /// Runs a script, and answers what it returned.
    pub(super) fn run<'k>(
        &mut self,
        script: &Arc<Script>,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        arguments: impl ExactSizeIterator<Item = &'k [u8]>,
        work: Work<'_, '_>,
        reply: &mut dyn Reply,
    ) -> Result<()> {
        let function = self.function(script)?;
        let below = self.stack.len();
        let handler = self.prepare(function, keys, arguments)?;
        let name = script.name();
        let origin = Origin {
            name: &name,
            source: "@user_script",
        };
        let answered = self.invoke(0, handler, origin, work, reply);
        self.stack.truncate(below);
        answered
    }

    /// Runs a function, and answers what it returned. Its library is loaded first, where that is not
    /// done yet.
    pub(super) fn run_function<'k>(
        &mut self,
        function: &Found<'_>,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        arguments: impl ExactSizeIterator<Item = &'k [u8]>,
        mut work: Work<'_, '_>,
        reply: &mut dyn Reply,
    ) -> Result<()> {
        if !self.libraries.has(function.library()) {
            let registered = self.load(function.library().code(), &mut work)?;
            self.libraries.insert(function.library(), registered);
        }
        let callback = self.libraries.find(function);
        let callback = callback.ok_or_else(|| Error::text("ERR Function not found"))?;
        let below = self.stack.len();
        if !self.stack.has_room(ROOM) {
            return Err(failed(&mlua::Error::StackError));
        }
        self.stack.push_kept(self.explain);
        let handler = self.stack.len();
        self.stack.push_kept(callback);
        self.stack.push_list(keys);
        self.stack.push_list(arguments);
        let origin = Origin {
            name: function.name(),
            source: "@user_function",
        };
        self.watchdog.note_started(Started {
            name: function.name().to_owned(),
            request: function.request().clone(),
        });
        let answered = self.invoke(2, handler, origin, work, reply);
        self.stack.truncate(below);
        answered
    }

    /// Calls what lies beneath so many arguments on top of the stack, and answers what it returned.
    fn invoke(
        &mut self,
        arguments: i32,
        handler: i32,
        origin: Origin<'_>,
        work: Work<'_, '_>,
        reply: &mut dyn Reply,
    ) -> Result<()> {
        self.watchdog
            .begin(work.keyspace.ticks(), work.keyspace.held_mask());
        self.guards.begin();
        let mut running = Running {
            work,
            lua: &self.lua,
            watchdog: &self.watchdog,
            asked_time: None,
            loading: None,
        };
        let stack = &mut self.stack;
        let call = || {
            with_memory_limit(&self.lua, self.memory_max, || {
                stack.call(arguments, handler)
            })
        };
        let has_returned = self.bridge.open(&mut running, call);
        let resp3 = running.work.session.resp3;
        let ended = self.watchdog.end();
        self.bridge.resume_panic();
        match (ended, has_returned) {
            (Some((ended, line)), _) => {
                self.is_spent = true;
                Err(ended.error(origin, line))
            }
            (None, Ok(true)) => convert::write(reply, &mut self.stack, resp3, self.memory_max),
            (None, Ok(false)) => Err(raised(origin, &mut self.stack)),
            (None, Err(error)) => Err(failed(&error)),
        }
    }

    /// Runs the text of a library, which registers functions.
    pub(super) fn load(&mut self, code: &[u8], work: &mut Work<'_, '_>) -> Result<Vec<Registered>> {
        let below = self.stack.len();
        let compiled = self.stack.compile(code, FUNCTION_NAME);
        let callback = compiled
            .map_err(|text| Error::text(format!("ERR Error compiling function: {text}")))?;
        self.watchdog
            .begin_loading(work.keyspace.ticks(), work.keyspace.held_mask());
        self.guards.begin();
        self.show(self.loading);
        self.stack.push_kept(callback);
        let mut running = Running {
            work: work.lent(),
            lua: &self.lua,
            watchdog: &self.watchdog,
            asked_time: None,
            loading: Some(Loading::default()),
        };
        let stack = &mut self.stack;
        let call = || with_memory_limit(&self.lua, self.memory_max, || stack.call(0, 0));
        let has_returned = self.bridge.open(&mut running, call);
        let loading = running.loading.take();
        let ended = self.watchdog.end();
        self.bridge.resume_panic();
        self.show(self.world);
        self.stack.release(callback);
        self.is_spent |= ended.is_some();
        let registered = loading.unwrap_or_default().into_registered();
        let loaded = match has_returned {
            Ok(true) => Ok(registered),
            Ok(false) => {
                self.release(&registered);
                let text = raised_while_loading(&mut self.stack);
                Err(Error::text(format!(
                    "ERR Error registering functions: {text}"
                )))
            }
            Err(error) => Err(failed(&error)),
        };
        self.stack.truncate(below);
        loaded
    }

    /// Gives up functions that nobody is to call.
    pub(super) fn release(&mut self, registered: &[Registered]) {
        for function in registered {
            self.stack.release(function.callback);
        }
    }

    /// Has the globals show this world.
    fn show(&mut self, world: Reference) {
        self.stack.push_kept(self.view);
        self.stack.push_kept(world);
        self.stack.put_field("__index");
        self.stack.pop();
    }

    /// Puts a script on top of the stack, and its words where it sees them. Gives the place of what
    /// explains its errors.
    fn prepare<'k>(
        &mut self,
        function: Reference,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        arguments: impl ExactSizeIterator<Item = &'k [u8]>,
    ) -> Result<i32> {
        let stack = &mut self.stack;
        if !stack.has_room(ROOM) {
            return Err(failed(&mlua::Error::StackError));
        }
        stack.push_kept(self.explain);
        let handler = stack.len();
        stack.push_kept(self.world);
        stack.push_kept(self.names[0]);
        stack.push_list(keys);
        stack.put_named();
        stack.push_kept(self.names[1]);
        stack.push_list(arguments);
        stack.put_named();
        stack.push_kept(function);
        Ok(handler)
    }
}

/// Does something while a machine may hold so many bytes, 0 for any number.
///
/// Under a limit, each value that Rust gives the machine would need a protected call of C, as it may
/// find no room. So there is one only while Lua runs: what Rust gives it is in memory already, once.
pub(super) fn with_memory_limit<T>(
    lua: &Lua,
    memory_max: usize,
    work: impl FnOnce() -> T,
) -> mlua::Result<T> {
    let before = lua.set_memory_limit(memory_max)?;
    let _restored = Restored { lua, before };
    Ok(work())
}

/// Restores the limit on a machine's memory when it goes, also by a panic.
struct Restored<'l> {
    lua: &'l Lua,
    before: usize,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        let restored = self.lua.set_memory_limit(self.before);
        debug_assert!(restored.is_ok(), "it could be set before");
    }
}

/// The error of a script that raised what lies on top: what it says, and where it came from.
fn raised(origin: Origin<'_>, stack: &mut Stack) -> Error {
    let name = origin.name;
    match stack.get(-1) {
        Slot::Table => {}
        // Where there is no memory left, nothing can be explained.
        Slot::Text(text) => {
            let text = shown(text);
            return Error::text(format!("ERR {text} script: {name}"));
        }
        _ => return Error::text(format!("ERR execution failure script: {name}")),
    }
    let text = text_field(stack, "err").unwrap_or_else(|| "ERR unknown error".into());
    match (text_field(stack, "source"), text_field(stack, "line")) {
        (Some(source), Some(line)) => {
            Error::text(format!("{text} script: {name}, on {source}:{line}."))
        }
        _ => Error::text(text),
    }
}

/// What a library raised while it was loaded, which lies on top.
fn raised_while_loading(stack: &mut Stack) -> String {
    match stack.get(-1) {
        Slot::Table => text_field(stack, "err").unwrap_or_else(|| "ERR unknown error".into()),
        Slot::Text(text) => format!("ERR {}", larder_resp::text_of(text)),
        Slot::Number(number) => format!("ERR {}", text_g(number, 14)),
        _ => "ERR unknown error".into(),
    }
}

/// What the table on top has by this name, if that is a text or a number.
fn text_field(stack: &mut Stack, name: &str) -> Option<String> {
    stack.field(stack.len(), name, |slot| match slot {
        Slot::Text(text) => Some(shown(text).into_owned()),
        Slot::Number(number) => Some(text_g(number, 14)),
        _ => None,
    })
}

/// The error of a machine that can't go on: it is out of memory or of places.
fn failed(error: &mlua::Error) -> Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().to_owned();
    Error::text(format!("ERR Error running script: {line}"))
}
