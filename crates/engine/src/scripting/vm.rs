//! A Lua machine with the sandbox in it.

use std::sync::Arc;

use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};

use super::bridge::{Bridge, Running};
use super::{Digest, Script, library};
use crate::error::{Error, Result};

const SANDBOX: &str = include_str!("sandbox.lua");

/// The name of scripts in errors.
const SCRIPT_NAME: &str = "@user_script";

/// The name of the sandbox, which is left out when an error says where it came from.
pub(super) const SANDBOX_NAME: &str = "@sandbox";

/// A machine that runs one script at a time.
pub(super) struct Vm {
    lua: Lua,
    bridge: Arc<Bridge>,
    /// `run(script, KEYS, ARGV)` of the sandbox.
    run: Function,
    globals: Table,
    compiled: super::Table<Digest, Function>,
    generation: u64,
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
    pub(super) fn new(generation: u64) -> Result<Vm> {
        Vm::build(generation).map_err(|error| failed(&error))
    }

    fn build(generation: u64) -> mlua::Result<Vm> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let bridge = Arc::new(Bridge::default());
        let native = library::native(&lua, &bridge)?;
        let (run, globals) = lua.load(SANDBOX).set_name(SANDBOX_NAME).call(native)?;
        Ok(Vm {
            lua,
            bridge,
            run,
            globals,
            compiled: super::Table::default(),
            generation,
        })
    }

    /// The generation of scripts that it belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
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
        running: &mut Running<'_, '_>,
    ) -> Result<Value> {
        let function = self.compile(script)?.clone();
        let (keys, arguments) = match (self.list(keys), self.list(arguments)) {
            (Ok(keys), Ok(arguments)) => (keys, arguments),
            (Err(error), _) | (_, Err(error)) => return Err(failed(&error)),
        };
        let call = || self.run.call::<(bool, Value)>((function, keys, arguments));
        match self.bridge.open(running, call) {
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

/// The error of a script that raised one: what it says, and where it came from.
fn raised(script: &Script, error: &Value) -> Error {
    let Value::Table(error) = error else {
        return Error::text(format!("ERR execution failure script: {}", script.name()));
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
