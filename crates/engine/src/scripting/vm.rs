//! A Lua machine with the sandbox in it.

use std::ffi::CStr;
use std::sync::Arc;

use mlua::{Lua, LuaOptions, StdLib};

use super::bridge::{Bridge, Running};
use super::compiled::Compiled;
use super::guards::Guards;
use super::number::text_g;
use super::stack::{Reference, Slot, Stack};
use super::watchdog::Watchdog;
use super::work::Work;
use super::{Script, cjson, convert, world};
use crate::error::{Error, Result};
use crate::reply::Reply;

/// The name of scripts in errors.
const SCRIPT_NAME: &CStr = c"@user_script";

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
    /// What its functions rest on, as long as it lives.
    guards: Arc<Guards>,
    compiled: Compiled,
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
        generation: u64,
        watchdog: Arc<Watchdog>,
        settings: Arc<cjson::Settings>,
    ) -> Result<Vm> {
        Vm::build(generation, watchdog, settings).map_err(|error| failed(&error))
    }

    fn build(
        generation: u64,
        watchdog: Arc<Watchdog>,
        settings: Arc<cjson::Settings>,
    ) -> mlua::Result<Vm> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let bridge = Arc::new(Bridge::default());
        let guards = Guards::new(Arc::clone(&watchdog));
        let world = world::build(&lua, &bridge, &guards, settings)?;
        Ok(Vm {
            stack: Stack::of(&lua)?,
            explain: Reference::new(&lua, world.explain)?,
            world: Reference::new(&lua, world.world)?,
            names: [Reference::new(&lua, "KEYS")?, Reference::new(&lua, "ARGV")?],
            lua,
            bridge,
            guards,
            compiled: Compiled::default(),
            generation,
            watchdog,
            memory_max: 0,
            is_spent: false,
        })
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
        self.watchdog
            .begin(work.keyspace.ticks(), work.keyspace.held_mask());
        self.guards.begin();
        let mut running = Running {
            work,
            lua: &self.lua,
            watchdog: &self.watchdog,
            asked_time: None,
        };
        let call = || with_memory_limit(&self.lua, self.memory_max, || self.stack.call(0, handler));
        let has_returned = self.bridge.open(&mut running, call);
        let resp3 = running.work.session.resp3;
        let ended = self.watchdog.end();
        self.bridge.resume_panic();
        let answered = match (ended, has_returned) {
            (Some((ended, line)), _) => {
                self.is_spent = true;
                Err(ended.error(script, line))
            }
            (None, Ok(true)) => convert::write(reply, &mut self.stack, resp3, self.memory_max),
            (None, Ok(false)) => Err(raised(script, &mut self.stack)),
            (None, Err(error)) => Err(failed(&error)),
        };
        self.stack.truncate(below);
        answered
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
fn raised(script: &Script, stack: &mut Stack) -> Error {
    let name = script.name();
    match stack.get(-1) {
        Slot::Table => {}
        // Where there is no memory left, nothing can be explained.
        Slot::Text(text) => {
            let text = String::from_utf8_lossy(text);
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

/// What the table on top has by this name, if that is a text or a number.
fn text_field(stack: &mut Stack, name: &str) -> Option<String> {
    stack.field(stack.len(), name, |slot| match slot {
        Slot::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
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
