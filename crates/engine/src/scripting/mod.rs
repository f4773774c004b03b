//! Lua scripts, as Redis runs them: each is one step that nothing interrupts.
//!
//! ```text
//! Scripts ── the scripts that are known (known), by SHA-1 and by text
//!        └── a pool of virtual machines (vm), each with its world and its compiled scripts
//!
//! world ── the libraries that are written in Rust (redis, cjson, cmsgpack, structs, bits)
//!      ├── those of Lua, with guards before what could break the machine (guards)
//!      └── sandbox.lua, which shows all of them to scripts and lets nothing be changed
//!
//! functions ── libraries that register functions, which FCALL runs, in machines of their own
//! ```
//!
//! A script runs on its caller's thread, in a machine that it has to itself, on the shards that
//! its caller holds: those of its declared keys if it touches no others, as its first line says
//! ([`BOUNDED`]) or its text shows (scope); else all of them.

mod bits;
mod bridge;
mod calls;
mod cjson;
mod cmsgpack;
pub(crate) mod commands;
mod compiled;
mod convert;
mod eval;
pub(crate) mod functions;
mod guards;
mod known;
mod native;
pub(crate) mod number;
mod redis;
mod reply;
mod scope;
mod script;
mod stack;
mod structs;
pub(crate) mod twin;
mod vm;
mod watchdog;
mod work;
mod world;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_resp::Arguments;

use crate::admin::command_commands::may_run_beside_scripts;
use crate::command::Row;
use crate::engine::{Engine, Ticks, TimeSource};
use crate::error::{Error, Result};
use crate::per_thread::PerThread;
use crate::rdb::Writer;
use crate::sync::{Mutex, RwLock, fence};
use functions::Functions;
use known::Known;
pub(crate) use script::{Digest, Script};
use vm::Vm;
use watchdog::Watchdogs;

/// The first line of a script that touches no key but those that it declares. It runs beside
/// scripts and commands on other keys, and is refused when it touches another key.
pub(crate) const BOUNDED: &[u8] = b"-- larder: touches only its KEYS\n";

/// How many idle virtual machines are kept for a thread.
const IDLE_MAX: usize = 2;

/// A table of scripts, under a hash that is made for speed: no cursor shows its order.
type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a machine is for. Scripts and functions see nothing of each other, as in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Purpose {
    /// Scripts that are run by EVAL and its kin.
    #[default]
    Scripts,
    /// Functions of libraries, which are run by FCALL.
    Functions,
}

impl Purpose {
    /// The refusal of whoever needs what one of these holds that runs for too long.
    fn busy(self) -> Error {
        match self {
            Purpose::Scripts => Error::Busy,
            Purpose::Functions => Error::BusyFunction,
        }
    }
}

/// The scripts and the functions that are known, and the machines that run them.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    known: RwLock<Known>,
    functions: Functions,
    /// Those of each thread: what a machine touches is in the cache of the core that had it last.
    lanes: PerThread<Mutex<Lane>>,
    /// How many scripts have been read.
    read: AtomicU64,
    /// What machines of each purpose share.
    shared: [Shared; 2],
    watchdogs: Watchdogs,
    /// Whether connections have been told that a script runs for too long.
    is_busy_for_all: AtomicBool,
}

/// What all machines of a purpose share.
#[derive(Debug, Default)]
struct Shared {
    /// Machines of an older one are used no more: what they have compiled or loaded is forgotten.
    generation: AtomicU64,
    /// Those of `cjson`.
    settings: Mutex<Arc<cjson::Settings>>,
}

/// What a thread has of scripts.
#[derive(Debug, Default)]
struct Lane {
    #[expect(clippy::vec_box, reason = "a machine goes in and out for each script")]
    idle: [Vec<Box<Vm>>; 2],
    /// The script that was asked for last: who asks what it touches runs it next, and most threads
    /// run the same one again. It need not be known.
    last: Option<Arc<Script>>,
}

impl Scripts {
    /// Whether the script of this request touches only the keys that it declares. Of a function that
    /// can't be seen.
    pub(crate) fn is_bounded(&self, command: &Row, arguments: Arguments<'_>) -> bool {
        let word = arguments.get(1).unwrap_or_default();
        if command.name.starts_with("FCALL") {
            return false;
        }
        if command.name.starts_with("EVALSHA") {
            return self.find(word).is_some_and(|script| script.is_bounded);
        }
        if word.len() > scope::TEXT_LEN_MAX {
            return word.starts_with(BOUNDED);
        }
        self.read(word).is_ok_and(|script| script.is_bounded)
    }

    /// Whether the script of this request says that it writes, and not that it may take memory where
    /// there is none left. One that says nothing may read.
    #[cold]
    pub(crate) fn takes_memory(&self, command: &Row, arguments: Arguments<'_>) -> bool {
        let word = arguments.get(1).unwrap_or_default();
        if command.name.starts_with("FCALL") {
            let function = self.functions.find(word);
            return function.is_some_and(|function| function.takes_memory());
        }
        let script = match command.name.starts_with("EVALSHA") {
            true => self.find(word),
            false => self.read(word).ok(),
        };
        let shebang = script.as_ref().and_then(|script| script.shebang());
        shebang.is_some_and(script::Shebang::takes_memory)
    }

    /// Whether the script or the function of this request may write: it does not say that it does not.
    #[cold]
    pub(crate) fn may_write(&self, command: &Row, arguments: Arguments<'_>) -> bool {
        let word = arguments.get(1).unwrap_or_default();
        let script = match command.name {
            name if name.ends_with("_RO") => return false,
            "FCALL" => return self.functions.may_write(word),
            name if name.starts_with("EVALSHA") => self.find(word),
            _ => self.read(word).ok(),
        };
        let shebang = script.as_ref().and_then(|script| script.shebang());
        !shebang.is_some_and(|shebang| shebang.is_readonly)
    }

    /// The script that is known by this digest, in hexadecimal of either case.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<Arc<Script>> {
        let mut digest = Digest::try_from(digest).ok()?;
        digest.make_ascii_lowercase();
        let mut lane = self.lanes.own().lock();
        if let Some(last) = &lane.last
            && last.digest == digest
            && last.is_known()
        {
            return Some(Arc::clone(last));
        }
        let known = self.known.read();
        let script = known.by_digest(&digest)?;
        known.touch(script);
        lane.last = Some(Arc::clone(script));
        Some(Arc::clone(script))
    }

    /// The script with this text, which is known from here on: for good if it `stays`, else until
    /// many others have come by EVAL and it was not used.
    ///
    /// # Errors
    ///
    /// If its shebang is not one, or it does not compile. Nothing is known then.
    pub(crate) fn load(&self, text: &[u8], stays: bool) -> Result<Arc<Script>> {
        let script = self.read(text)?;
        if script.is_known() && (script.stays() || !stays) {
            return Ok(script);
        }
        let mut vm = self.take(Purpose::Scripts)?;
        vm.compile(&script)?;
        self.give_back(vm);
        Ok(self.known.write().insert(script, stays))
    }

    /// The script with this text, which need not be known.
    fn read(&self, text: &[u8]) -> Result<Arc<Script>> {
        let mut lane = self.lanes.own().lock();
        if let Some(last) = &lane.last
            && *last.text == *text
        {
            return Ok(Arc::clone(last));
        }
        let known = self.known.read();
        let script = match known.by_text(text) {
            Some(script) => {
                known.touch(script);
                Arc::clone(script)
            }
            None => {
                let number = self.read.fetch_add(1, Ordering::Relaxed);
                Arc::new(Script::read(text, number)?)
            }
        };
        lane.last = Some(Arc::clone(&script));
        Ok(script)
    }

    /// Forgets all scripts.
    pub(crate) fn flush(&self) {
        self.known.write().flush();
        *self.shared(Purpose::Scripts).settings.lock() = Arc::default();
        for lane in self.lanes.iter() {
            lane.lock().last = None;
        }
        self.forget_machines(Purpose::Scripts);
    }

    /// Has new machines made in the places of those that there are.
    fn forget_machines(&self, purpose: Purpose) {
        let generation = &self.shared(purpose).generation;
        generation.fetch_add(1, Ordering::Relaxed);
        for lane in self.lanes.iter() {
            let idle = std::mem::take(&mut lane.lock().idle[purpose as usize]);
            drop(idle);
        }
    }

    fn shared(&self, purpose: Purpose) -> &Shared {
        &self.shared[purpose as usize]
    }

    /// How many bytes the texts of the known scripts and of the libraries of functions take.
    pub(crate) fn bytes(&self) -> usize {
        self.known.read().bytes() + self.functions.bytes()
    }

    /// How many scripts have been forgotten since there were too many.
    pub(crate) fn forgotten(&self) -> u64 {
        self.known.read().forgotten()
    }

    /// Begins to count those anew.
    pub(crate) fn reset_forgotten(&self) {
        self.known.write().reset_forgotten();
    }

    /// How many scripts are known.
    pub(crate) fn len(&self) -> usize {
        self.known.read().len()
    }

    /// How many bytes the libraries of functions take.
    pub(crate) fn functions_bytes(&self) -> usize {
        self.functions.bytes()
    }

    /// Writes the libraries of functions, as they stand in a file.
    pub(crate) fn write_libraries(&self, writer: &mut Writer) {
        self.functions.write(writer);
    }

    /// How many libraries of functions there are, and how many functions in them.
    pub(crate) fn count_functions(&self) -> (usize, usize) {
        self.functions.count()
    }

    /// Whether connections have been told that a script runs for too long.
    pub(crate) fn is_busy_for_all(&self) -> bool {
        self.is_busy_for_all.load(Ordering::Relaxed)
    }

    /// Notes what connections are told.
    pub(crate) fn set_busy_for_all(&self, is_busy: bool) {
        self.is_busy_for_all.store(is_busy, Ordering::Relaxed);
    }

    /// A machine that nobody else uses.
    fn take(&self, purpose: Purpose) -> Result<Box<Vm>> {
        let idle = self.lanes.own().lock().idle[purpose as usize].pop();
        match idle {
            Some(vm) => Ok(vm),
            None => {
                let shared = self.shared(purpose);
                let generation = shared.generation.load(Ordering::Relaxed);
                let settings = Arc::clone(&shared.settings.lock());
                let watchdog = self.watchdogs.add(purpose);
                Vm::new(purpose, generation, watchdog, settings).map(Box::new)
            }
        }
    }

    /// Keeps a machine for the next script, unless there are enough, or it is of an older
    /// generation, or its script was too much for it.
    fn give_back(&self, vm: Box<Vm>) {
        let mut lane = self.lanes.own().lock();
        let purpose = vm.purpose();
        let generation = self.shared(purpose).generation.load(Ordering::Relaxed);
        let idle = &mut lane.idle[purpose as usize];
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

    /// The refusal of whoever needs this shard, which such a script holds.
    #[cold]
    pub(crate) fn busy_error(&self, shard: usize, clock: &dyn TimeSource) -> Error {
        let threshold_ms = self.config.script_busy_ms();
        let watchdogs = &self.scripts.watchdogs;
        watchdogs.busy(shard, clock.ticks(), threshold_ms)
    }

    /// Refuses what is not to happen in the middle of such a script.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] or [`Error::BusyFunction`], if there is one.
    pub(crate) fn refuse_while_busy(&self, now: Ticks) -> Result<()> {
        let threshold_ms = self.config.script_busy_ms();
        self.scripts.watchdogs.admit(now, threshold_ms)
    }

    /// Has each script that has been running for some milliseconds call `on_long_script`, on its own
    /// thread and now and then until the answer is true, so that whoever else relies on that thread
    /// can be looked after by another one. It must not panic: it is called from within Lua. The first
    /// one that is given stays.
    pub fn on_long_script(&self, on_long_script: fn() -> bool) {
        self.scripts.watchdogs.on_long(on_long_script);
    }

    /// Has those refused who need what such scripts hold, or everybody: `busy-reply-for-all`.
    pub(crate) fn note_overdue_scripts(&self, now: Ticks) {
        let threshold_ms = self.config.script_busy_ms();
        let overdue = || self.scripts.watchdogs.overdue(now, threshold_ms);
        let mut said = overdue();
        loop {
            self.shards.set_busy(said);
            fence(Ordering::SeqCst);
            // One that has ended before this was said does not know that there is something to take back.
            let after = overdue();
            if after == said {
                break;
            }
            said = after;
        }
        let is_busy = self.config.script_busy_for_all.load(Ordering::Relaxed)
            && self.scripts.watchdogs.any_overdue(now, threshold_ms);
        if is_busy != self.scripts.is_busy_for_all() {
            self.show_busy(is_busy);
        }
    }

    /// Refuses a command that may not be sent while a script runs for too long, if one does still.
    #[cold]
    pub(crate) fn admit_beside_scripts(&self, command: &Row, now: Ticks) -> Result<()> {
        if may_run_beside_scripts(command) {
            return Ok(());
        }
        self.refuse_while_busy(now)
    }

    /// Ends the scripts that run now, even those that have written, and those to come, because the
    /// store ends. Their callers are answered with an error, soon after this returns.
    pub fn stop_scripts(&self) {
        self.scripts.watchdogs.stop();
    }
}
