//! A Lua machine with the sandbox in it.

use std::sync::Arc;

use mlua::debug::HookTriggers;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::bridge::{Bridge, Running, Work};
use super::watchdog::{INSTRUCTIONS, Watchdog};
use super::{Digest, Script, library};
use crate::error::{Error, Result};

const SANDBOX: &str = include_str!("sandbox.lua");

/// The name of scripts in errors.
const SCRIPT_NAME: &str = "@user_script";

/// The name of the sandbox, which is left out when an error says where it came from.
pub(super) const SANDBOX_NAME: &str = "@sandbox";

/// A machine that holds more bytes than this after a script is not used for another one.
const REUSABLE_MAX: usize = 8 << 20;

/// A machine that runs one script at a time.
pub(super) struct Vm {
    lua: Lua,
    bridge: Arc<Bridge>,
    /// `run(script, KEYS, ARGV)` of the sandbox.
    run: Function,
    globals: Table,
    compiled: super::Table<Digest, Function>,
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
    pub(super) fn new(generation: u64, watchdog: Arc<Watchdog>) -> Result<Vm> {
        Vm::build(generation, watchdog).map_err(|error| failed(&error))
    }

    fn build(generation: u64, watchdog: Arc<Watchdog>) -> mlua::Result<Vm> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let bridge = Arc::new(Bridge::default());
        let native = library::native(&lua, &bridge)?;
        let (run, globals) = lua.load(SANDBOX).set_name(SANDBOX_NAME).call(native)?;
        watch(&lua, INSTRUCTIONS, Arc::clone(&watchdog))?;
        Ok(Vm {
            lua,
            bridge,
            run,
            globals,
            compiled: super::Table::default(),
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

    /// Lets its scripts hold this many bytes.
    pub(super) fn limit_memory(&mut self, memory_max: usize) {
        self.memory_max = memory_max;
    }

    /// Compiles a script, unless that is done already.
    ///
    /// # Errors
    ///
    /// If it is no Lua.
    pub(super) fn compile(&mut self, script: &Script) -> Result<&Function> {
        use std::collections::hash_map::Entry;
        match self.compiled.entry(script.digest) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let chunk = self.lua.load(&*script.body).set_name(SCRIPT_NAME);
                let chunk = chunk.set_mode(mlua::chunk::ChunkMode::Text);
                let function = chunk.set_environment(self.globals.clone()).into_function();
                Ok(place.insert(function.map_err(|error| not_compiled(&error))?))
            }
        }
    }

    /// Runs a script, and gives what it returned.
    pub(super) fn run<'k>(
        &mut self,
        script: &Script,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        arguments: impl ExactSizeIterator<Item = &'k [u8]>,
        work: Work<'_, '_>,
    ) -> Result<Value> {
        let function = self.compile(script)?.clone();
        let (keys, arguments) = match (self.list(keys), self.list(arguments)) {
            (Ok(keys), Ok(arguments)) => (keys, arguments),
            (Err(error), _) | (_, Err(error)) => return Err(failed(&error)),
        };
        self.watchdog.begin(work.keyspace.now());
        let call = || {
            with_memory_limit(&self.lua, self.memory_max, || {
                self.run.call::<(bool, Value)>((function, keys, arguments))
            })?
        };
        let mut running = Running {
            work,
            lua: &self.lua,
            watchdog: &self.watchdog,
        };
        let result = self.bridge.open(&mut running, call);
        if let Some((ended, line)) = self.watchdog.end() {
            self.is_spent = true;
            return Err(ended.error(script, line));
        }
        match result {
            Ok((true, value)) => Ok(value),
            Ok((false, error)) => Err(raised(script, &error)),
            Err(error) => Err(failed(&error)),
        }
    }

    fn list<'k>(&self, words: impl ExactSizeIterator<Item = &'k [u8]>) -> mlua::Result<Table> {
        let list = self.lua.create_table_with_capacity(words.len(), 0)?;
        for (place, word) in words.enumerate() {
            list.raw_set(place + 1, self.lua.create_string(word)?)?;
        }
        Ok(list)
    }
}

/// Does something while a machine may hold so many bytes, 0 for any number.
///
/// Under a limit, each value that Rust gives the machine costs a protected call of C, as it may find
/// no room. So there is one only while Lua runs: what Rust gives it is in memory already, once.
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

/// Has the script that a machine runs look at its watchdog now and then. One that is to end gets an
/// error at each instruction from then on, so that it can't catch them all.
fn watch(lua: &Lua, instructions: u32, watchdog: Arc<Watchdog>) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(instructions);
    lua.set_global_hook(triggers, move |lua, _| {
        let Some(ended) = watchdog.ended() else {
            return Ok(VmState::Continue);
        };
        if instructions > 1 {
            let (_, line) = library::place(lua);
            watchdog.ends_at(line.unwrap_or(0));
            watch(lua, 1, Arc::clone(&watchdog))?;
        }
        Err(mlua::Error::runtime(ended.reason()))
    })
}

/// The error of a script that raised one: what it says, and where it came from.
fn raised(script: &Script, error: &Value) -> Error {
    let error = match error {
        Value::Table(error) => error,
        // Where there is no memory left, nothing can be explained.
        Value::String(text) => {
            let text = text.to_string_lossy();
            return Error::text(format!("ERR {text} script: {}", script.name()));
        }
        _ => return Error::text(format!("ERR execution failure script: {}", script.name())),
    };
    let field = |name: &str| error.raw_get::<Option<String>>(name).ok().flatten();
    let text = field("err").unwrap_or_else(|| "ERR unknown error".into());
    match (field("source"), field("line")) {
        (Some(source), Some(line)) => Error::text(format!(
            "{text} script: {}, on {source}:{line}.",
            script.name()
        )),
        _ => Error::text(text),
    }
}

/// The error of a script that is no Lua.
fn not_compiled(error: &mlua::Error) -> Error {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        error => error.to_string(),
    };
    Error::text(format!("ERR Error compiling script (new function): {text}"))
}

/// The error of a machine that can't go on: it is out of memory.
fn failed(error: &mlua::Error) -> Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().to_owned();
    Error::text(format!("ERR Error running script: {line}"))
}
