//! What a script does: commands, on behalf of whoever runs it.
//!
//! It is the same whether Lua runs it or its twin does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_resp::Arguments;
use larder_store::Key;

use crate::command::{Call, Flags, Row};
use crate::commands;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::observe::Occasion;
use crate::reply::Reply;
use crate::session::Session;

/// What a script works on while it runs.
pub(crate) struct Work<'a, 'e> {
    pub(crate) engine: &'e Arc<Engine>,
    pub(crate) session: &'a mut Session,
    pub(crate) keyspace: &'a mut Keyspace<'e>,
    /// The keys that it may touch; `None` if it holds everything and may touch any.
    pub(crate) bounds: Option<Bounds<'a>>,
    pub(crate) is_readonly: bool,
    /// Whether its commands may take memory: there was some left when it began, or it said that it
    /// needs none to be left.
    pub(crate) may_take_memory: bool,
}

/// The declared keys of a script that touches no others.
pub(crate) struct Bounds<'a> {
    keys: Declared<'a>,
    /// The place of the key that was asked for last: a loop over many keys asks for the next.
    last: usize,
}

/// Keys as a script has them, or as its twin has.
#[derive(Clone, Copy)]
pub(crate) enum Declared<'a> {
    #[cfg_attr(
        not(feature = "lua"),
        expect(dead_code, reason = "without Lua there are only twins")
    )]
    Words(Arguments<'a>),
    Keys(&'a [Key]),
}

impl<'a> Declared<'a> {
    fn len(self) -> usize {
        match self {
            Declared::Words(words) => words.len(),
            Declared::Keys(keys) => keys.len(),
        }
    }

    fn get(self, place: usize) -> Option<&'a [u8]> {
        match self {
            Declared::Words(words) => words.get(place),
            Declared::Keys(keys) => keys.get(place).map(Key::as_bytes),
        }
    }
}

impl<'a> Bounds<'a> {
    pub(crate) fn new(keys: Declared<'a>) -> Bounds<'a> {
        Bounds { keys, last: 0 }
    }

    /// Whether a command touches declared keys alone.
    fn allow(&mut self, command: &Row, arguments: Arguments<'_>) -> bool {
        let mut is_allowed = !command.flags.has(Flags::WHOLE);
        // What messages go to are no keys.
        if !command.flags.has(Flags::PUBSUB) {
            command.each_key(arguments, |key| is_allowed &= self.contain(key));
        }
        is_allowed
    }

    fn contain(&mut self, key: &[u8]) -> bool {
        let mut places = (self.last..self.keys.len()).chain(0..self.last);
        let place = places.find(|&place| self.keys.get(place) == Some(key));
        self.last = place.unwrap_or(self.last);
        place.is_some()
    }
}

impl<'e> Work<'_, 'e> {
    /// The same for a part of it that touches nothing.
    #[cfg(feature = "lua")]
    pub(crate) fn lent(&mut self) -> Work<'_, 'e> {
        Work {
            engine: self.engine,
            session: self.session,
            keyspace: self.keyspace,
            bounds: None,
            is_readonly: self.is_readonly,
            may_take_memory: self.may_take_memory,
        }
    }

    /// Finds the row of a command, and refuses what the script may not run.
    pub(crate) fn admit(
        &mut self,
        arguments: Arguments<'_>,
        has_written: bool,
    ) -> Result<&'static Row> {
        let arity = || Error::text("ERR Wrong number of args calling Redis command from script");
        let command = commands::find(arguments).map_err(|error| match error {
            Error::WrongArity(_) => arity(),
            _ => Error::text("ERR Unknown Redis command called from script"),
        })?;
        if !command.arity.allows(arguments.len()) {
            return Err(arity());
        }
        if command.flags.has(Flags::NO_SCRIPT) && !self.may_debug(command) {
            return Err(Error::NotFromScript);
        }
        if self.session.is_checked() {
            let now = self.keyspace.now();
            self.engine
                .guard_in_script(self.session, command, arguments, now)?;
        }
        let is_write = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
        if self.is_readonly && is_write {
            let text = "ERR Write commands are not allowed from read-only scripts.";
            return Err(Error::text(text));
        }
        if is_write && self.engine.saving.refuses_writes() {
            return Err(Error::NotSaved);
        }
        let bounds = self.bounds.as_mut();
        if bounds.is_some_and(|bounds| !bounds.allow(command, arguments)) {
            return Err(Error::UndeclaredKey);
        }
        // As in Redis, a script that has begun to write may go on.
        if command.flags.has(Flags::DENY_OOM) && !self.may_take_memory && !has_written {
            return Err(Error::OutOfMemory);
        }
        Ok(command)
    }

    /// Whether a command is DEBUG, and scripts may call that.
    #[cold]
    fn may_debug(&self, command: &Row) -> bool {
        let config = &self.engine.config;
        command.name == "DEBUG" && config.scripts_may_debug.load(Ordering::Relaxed)
    }

    /// Notes that a command was not admitted.
    #[cold]
    pub(crate) fn reject(&mut self, arguments: Arguments<'_>, error: Error) -> Error {
        self.engine.note_rejection(arguments, &error);
        self.session.note_refusal(&error);
        error
    }

    /// Runs a command that was admitted.
    pub(crate) fn run(
        &mut self,
        command: &'static Row,
        arguments: Arguments<'_>,
        reply: &mut dyn Reply,
    ) -> Result<()> {
        let mut part = Call {
            engine: self.engine,
            session: self.session,
            command,
            args: command.args(arguments),
            keyspace: self.keyspace,
            reply,
            wait: None,
            occasion: Occasion::Part,
            is_passed_on: false,
        };
        let ran = part.run();
        if let Err(error) = &ran {
            self.session.note_refusal(error);
        }
        ran.map(drop)
    }
}
