//! Lua scripts, as Redis runs them: each is one step that nothing interrupts.
//!
//! ```text
//! Scripts ── the texts that are known, by SHA-1
//!        └── a pool of virtual machines (vm), each with the sandbox and its compiled scripts
//! ```
//!
//! A script runs on its caller's thread, in a machine that it has to itself, on the shards that
//! its caller holds: those of its declared keys if it touches no others, as its first line says
//! ([`BOUNDED`]) or its text shows (scope); else all of them.

mod bridge;
mod calls;
mod cjson;
pub(crate) mod commands;
mod convert;
mod library;
mod reply;
mod scope;
mod stack;
mod vm;
mod watchdog;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_resp::Arguments;
use parking_lot::{Mutex, RwLock};
use sha1::{Digest as _, Sha1};

use crate::command::Command;
use crate::engine::{Engine, Ticks, TimeSource};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use vm::Vm;
use watchdog::Watchdogs;

/// The first line of a script that touches no key but those that it declares. It runs beside
/// scripts and commands on other keys, and is refused when it touches another key.
pub(crate) const BOUNDED: &[u8] = b"-- larder: touches only its KEYS\n";

/// How many idle virtual machines are kept for a thread.
const IDLE_MAX: usize = 2;

/// The SHA-1 of a script's text, in hexadecimal.
pub(crate) type Digest = [u8; 40];

/// A table of scripts, under a hash that is made for speed: no cursor shows its order.
type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A script that is known.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) digest: Digest,
    /// The text without its first line, if that is a shebang.
    pub(crate) body: Box<[u8]>,
    /// Whether it touches only the keys that it declares.
    pub(crate) is_bounded: bool,
    /// Whether it said that it writes nothing.
    pub(crate) is_readonly: bool,
}

/// The scripts that are known, and the machines that run them.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    known: RwLock<Known>,
    /// Those of each thread: what a machine touches is in the cache of the core that had it last.
    #[expect(clippy::vec_box, reason = "a machine goes in and out for each script")]
    idle: Lanes<Mutex<Vec<Box<Vm>>>>,
    /// Machines that are older than the last flush forget what they compiled.
    generation: AtomicU64,
    watchdogs: Watchdogs,
}

#[derive(Debug, Default)]
struct Known {
    by_digest: Table<Digest, Arc<Script>>,
    /// Those that came as texts, so that a text is digested once.
    by_text: Table<Box<[u8]>, Arc<Script>>,
}

impl Scripts {
    /// Whether the script of this request touches only the keys that it declares.
    pub(crate) fn is_bounded(&self, command: &Command, arguments: Arguments<'_>) -> bool {
        let script = arguments.get(1).unwrap_or_default();
        if command.name.starts_with("EVALSHA") {
            return self.find(script).is_some_and(|script| script.is_bounded);
        }
        match self.known.read().by_text.get(script) {
            Some(script) => script.is_bounded,
            None => Script::is_bounded(script),
        }
    }

    /// The script with this digest, in hexadecimal of either case.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<Arc<Script>> {
        let mut digest = Digest::try_from(digest).ok()?;
        digest.make_ascii_lowercase();
        self.known.read().by_digest.get(&digest).cloned()
    }

    /// The script with this text, which is known from here on.
    ///
    /// # Errors
    ///
    /// If its shebang is not one, or it does not compile. Nothing is known then.
    pub(crate) fn load(&self, text: &[u8]) -> Result<Arc<Script>> {
        if let Some(script) = self.known.read().by_text.get(text) {
            return Ok(Arc::clone(script));
        }
        let script = Arc::new(Script::parse(text)?);
        let mut vm = self.take()?;
        vm.compile(&script)?;
        self.give_back(vm);
        let mut known = self.known.write();
        known.by_digest.insert(script.digest, Arc::clone(&script));
        known.by_text.insert(text.into(), Arc::clone(&script));
        Ok(script)
    }

    /// Forgets all scripts.
    pub(crate) fn flush(&self) {
        *self.known.write() = Known::default();
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.idle.iter().for_each(|idle| idle.lock().clear());
    }

    /// How many bytes the texts of the known scripts take.
    pub(crate) fn bytes(&self) -> usize {
        let known = self.known.read();
        known.by_text.keys().map(|text| text.len()).sum()
    }

    /// How many scripts are known.
    pub(crate) fn len(&self) -> usize {
        self.known.read().by_digest.len()
    }

    /// A machine that nobody else uses.
    fn take(&self) -> Result<Box<Vm>> {
        let idle = self.idle.own().lock().pop();
        match idle {
            Some(vm) => Ok(vm),
            None => {
                let generation = self.generation.load(Ordering::Relaxed);
                Vm::new(generation, self.watchdogs.add()).map(Box::new)
            }
        }
    }

    /// Keeps a machine for the next script, unless there are enough, or it is of an older
    /// generation, or its script was too much for it.
    fn give_back(&self, vm: Box<Vm>) {
        let mut idle = self.idle.own().lock();
        let generation = self.generation.load(Ordering::Relaxed);
        if idle.len() < IDLE_MAX && vm.generation() == generation && vm.is_reusable() {
            idle.push(vm);
        }
    }
}

/// Scripts that run for too long: `busy-reply-threshold`.
impl Engine {
    /// Whether a script has been running for so long that callers who need its keys are refused,
    /// as `BUSY`. SCRIPT KILL is answered all the same, by a thread that does not run the script.
    pub fn is_busy(&self, clock: &dyn TimeSource) -> bool {
        let threshold_ms = self.config.script_busy_ms();
        let watchdogs = &self.scripts.watchdogs;
        watchdogs.any_overdue(clock.ticks(), threshold_ms)
    }

    /// Has those refused who need what such scripts hold.
    pub(crate) fn note_overdue_scripts(&self, now: Ticks) {
        let threshold_ms = self.config.script_busy_ms();
        let overdue = self.scripts.watchdogs.overdue(now, threshold_ms);
        self.shards.set_busy(overdue);
    }

    /// Ends the scripts that run now, even those that have written, and those to come, because the
    /// store ends. Their callers are answered with an error, soon after this returns.
    pub fn stop_scripts(&self) {
        self.scripts.watchdogs.stop();
    }
}

impl Script {
    fn parse(text: &[u8]) -> Result<Script> {
        let (body, is_readonly) = shebang(text)?;
        let mut digest = [0; 40];
        hex::encode_to_slice(Sha1::digest(text), &mut digest).map_err(|_| Error::Internal)?;
        Ok(Script {
            digest,
            body: body.into(),
            is_bounded: Script::is_bounded(text),
            is_readonly,
        })
    }

    /// Whether a script touches only the keys that it declares, as far as that is known.
    fn is_bounded(text: &[u8]) -> bool {
        text.starts_with(BOUNDED) || scope::touches_only_its_keys(text)
    }

    /// The digest as a text.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.digest)
    }
}

/// Takes off a first line such as `#!lua flags=no-writes`. Answers what is left, with its line
/// numbers kept, and whether the script writes nothing.
fn shebang(text: &[u8]) -> Result<(&[u8], bool)> {
    if !text.starts_with(b"#!") {
        return Ok((text, false));
    }
    let end = text.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| Error::text("ERR Invalid script shebang"))?;
    let line = String::from_utf8_lossy(&text[2..end]);
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("lua") => {}
        engine => {
            let engine = engine.unwrap_or_default();
            let text = format!("ERR Unexpected engine in script shebang: {engine}");
            return Err(Error::text(text));
        }
    }
    let mut is_readonly = false;
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(Error::text(format!(
                "ERR Unknown lua shebang option: {word}"
            )));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => is_readonly = true,
                "allow-oom" | "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => {
                    let text = format!("ERR Unexpected flag in script shebang: {flag}");
                    return Err(Error::text(text));
                }
            }
        }
    }
    Ok((&text[end..], is_readonly))
}
