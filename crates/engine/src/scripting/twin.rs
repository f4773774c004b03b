//! Twins of scripts: the same programs in Rust, run on the keys that a script would hold.
//!
//! A twin is to the engine what the script is. It runs as one step on the shards of its keys; it is
//! counted and timed as the `EVALSHA` that it stands for, and stands so in SLOWLOG and MONITOR; and each
//! of its commands is one of a script: it touches declared keys alone, is counted as a command, is
//! refused with `OOM` as long as nothing has been written, expires and announces what it changes. Asking
//! for the time counts as no command, since none is run.
//!
//! Most commands of a twin take the short road of [`crate::direct`], on keys that are held already. As
//! there, whatever is not simple is left to the command ([`ByName`]): a key in whose shard somebody wants
//! to hear of changes, a call that is to be timed or shown, a value of another type, a full store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use larder_store::{ByName, Command, End, Expires, InStep, Key, Refusal, TwinCall, Value};

use super::work::{Bounds, Declared, Work};
use crate::command::{Call, Flags, Row};
use crate::commands::{self, TABLE};
use crate::engine::{Engine, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::entry::{Object, Str};
use crate::keyspace::{Contended, Expiry, HashedKeys, Keyspace, Parked};
use crate::observe::Occasion;
use crate::reply::ValueReply;
use crate::session::Session;
use crate::types::hash::{FieldMap, Hash};
use crate::types::sorted_set::{Score, SortedSet};

/// The numbers of the rows.
const EVALSHA: usize = commands::number_of("EVALSHA");
const GET: usize = commands::number_of("GET");
const SET: usize = commands::number_of("SET");
const HGET: usize = commands::number_of("HGET");
const HSET: usize = commands::number_of("HSET");
const ZADD: usize = commands::number_of("ZADD");
const ZRANGE: usize = commands::number_of("ZRANGE");
const PEXPIREAT: usize = commands::number_of("PEXPIREAT");
const DEL: usize = commands::number_of("DEL");

/// The database of calls from inside the process that have no session.
const DB: usize = 0;

/// What became of a call of a twin.
#[derive(Debug)]
#[must_use]
pub enum TwinOutcome<E = Refusal> {
    /// It has run.
    Done(std::result::Result<Value, E>),
    /// Nothing has happened, since others hold its keys: it is to be run again when this is done.
    Parked(Parked),
}

impl<E> TwinOutcome<E> {
    /// The same with another error.
    pub fn map_err<F>(self, other: impl FnOnce(E) -> F) -> TwinOutcome<F> {
        match self {
            TwinOutcome::Done(answered) => TwinOutcome::Done(answered.map_err(other)),
            TwinOutcome::Parked(parked) => TwinOutcome::Parked(parked),
        }
    }
}

impl Engine {
    /// Runs the twin of a script, on its caller's thread.
    pub fn run_twin(
        self: &Arc<Engine>,
        call: &TwinCall<'_>,
        clock: &dyn TimeSource,
    ) -> TwinOutcome {
        if self.is_over_limit() {
            // Without room it is refused when it runs a command that takes memory.
            let _ = self.make_room(clock);
        }
        let keys = call.keys().iter();
        let keys: HashedKeys<'_> = keys
            .map(|key| self.shards.hashed(key.as_bytes(), None))
            .collect();
        let needs = self.shards.needs_of(keys);
        // The keyspace is dropped where it was made: it is large, and moving it would cost.
        let (answered, leftover) = {
            let mut keyspace = Keyspace::new(&self.shards, DB, clock);
            if let Err(contended) = keyspace.hold(needs) {
                return self.put_twin_off(contended, clock);
            }
            let answered = match self.count_twin(&TABLE[EVALSHA]) {
                None => run(self, call, &mut keyspace),
                Some(weight) => run_observed(self, call, &mut keyspace, weight),
            };
            self.serve_ready(&mut keyspace);
            (answered, keyspace.take_leftover())
        };
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
        TwinOutcome::Done(answered.map_err(|error| refusal(&error)))
    }

    #[cold]
    fn put_twin_off(&self, contended: Contended, clock: &dyn TimeSource) -> TwinOutcome {
        match self.wait_or_refuse(contended, clock) {
            Ok(parked) => TwinOutcome::Parked(parked),
            Err(error) => {
                self.note_failure(&TABLE[EVALSHA], &error, false);
                TwinOutcome::Done(Err(refusal(&error)))
            }
        }
    }
}

#[cold]
fn refusal(error: &Error) -> Refusal {
    Refusal::new(error.to_string())
}

/// Runs a twin on the keys that are held.
fn run<'e>(
    engine: &'e Arc<Engine>,
    call: &TwinCall<'_>,
    keyspace: &mut Keyspace<'e>,
) -> Result<Value> {
    let mut session = Session::in_script(&Session::local());
    let mut running = Running {
        keys: call.keys(),
        work: Work {
            engine,
            session: &mut session,
            keyspace,
            bounds: Some(Bounds::new(Declared::Keys(call.keys()))),
            is_readonly: false,
            may_take_memory: !engine.is_over_limit(),
        },
        has_written: false,
    };
    // As with a command: a defect in it must not take the store down with it.
    let caught = catch_unwind(AssertUnwindSafe(|| call.run(&mut running)));
    let error = match caught {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(refusal)) => Error::text(refusal.text().to_owned()),
        Err(_) => Error::Internal,
    };
    engine.note_failure(&TABLE[EVALSHA], &error, session.passes_on(&error));
    Err(error)
}

/// The same for a call that is timed or shown to somebody, as the command that it stands for.
#[cold]
#[inline(never)]
fn run_observed<'e>(
    engine: &'e Arc<Engine>,
    call: &TwinCall<'_>,
    keyspace: &mut Keyspace<'e>,
    weight: u64,
) -> Result<Value> {
    let request = call.command();
    let command = &TABLE[EVALSHA];
    let mut as_script = Call {
        engine,
        session: &mut Session::local(),
        command,
        args: command.args(request.arguments()),
        keyspace,
        reply: &mut ValueReply::new(),
        wait: None,
        occasion: Occasion::Request,
        is_passed_on: false,
    };
    as_script.observe(weight, |observed| run(engine, call, observed.keyspace))
}

/// A twin that runs.
struct Running<'a, 'e> {
    keys: &'a [Key],
    work: Work<'a, 'e>,
    /// Whether it may have changed something.
    has_written: bool,
}

impl<'e> Running<'_, 'e> {
    /// Begins a command on the short road, if it is simple: counts it, and answers on what it works.
    #[inline]
    fn begin(&mut self, command: &'static Row, key: &Key, words: usize) -> Quick<'_, 'e> {
        let is_declared = |declared: &Key| std::ptr::eq(declared, key);
        if !self.keys.iter().any(is_declared) || !self.work.keyspace.is_quiet_about(key.as_bytes())
        {
            return Err(ByName);
        }
        if command.flags.has(Flags::WRITE) {
            if !self.work.may_take_memory && !self.has_written {
                return Err(ByName);
            }
            self.has_written = true;
        }
        self.work.engine.count_direct(command, words)?;
        self.work.keyspace.begin_quietly(command);
        Ok(self.work.keyspace)
    }

    /// Removes a key that was found to have expired, as behind a command. There are times when nothing
    /// expires.
    #[cold]
    fn expire(&mut self, key: &Key) {
        let keyspace = &mut *self.work.keyspace;
        if !self.work.engine.keeps_expired(keyspace.ticks()) {
            keyspace.expire_key(key.as_bytes());
        }
    }

    /// The string of a key, as `read` reads it.
    #[inline]
    fn read<T>(
        &mut self,
        key: &Key,
        read: impl FnOnce(Str<'_>) -> std::result::Result<T, ByName>,
    ) -> std::result::Result<Option<T>, ByName> {
        let command = &TABLE[GET];
        let keyspace = self.begin(command, key, 2)?;
        let found = match keyspace.read_string(key.as_bytes()) {
            Ok(string) => string.map(read).transpose(),
            Err(_) => Err(ByName),
        };
        if self.work.keyspace.has_met_expired() {
            self.expire(key);
        }
        found.inspect_err(|ByName| self.work.engine.take_back_direct(command))
    }

    /// What `read` finds in the value of a key.
    #[inline]
    fn ask<V: Object, T>(
        &mut self,
        command: &'static Row,
        key: &Key,
        words: usize,
        read: impl FnOnce(&V) -> Option<T>,
    ) -> std::result::Result<Option<T>, ByName> {
        let keyspace = self.begin(command, key, words)?;
        let found = match keyspace.read::<V>(key.as_bytes()) {
            Ok(value) => Ok(value.and_then(read)),
            Err(_) => Err(ByName),
        };
        if self.work.keyspace.has_met_expired() {
            self.expire(key);
        }
        found.inspect_err(|ByName| self.work.engine.take_back_direct(command))
    }

    /// Changes the value of a key, which is empty if there is no such key, by `change`.
    #[inline]
    fn change<V: Object>(
        &mut self,
        command: &'static Row,
        key: &Key,
        words: usize,
        change: impl FnOnce(&mut V),
    ) -> std::result::Result<(), ByName> {
        let keyspace = self.begin(command, key, words)?;
        let changed = match keyspace.write::<V>(key.as_bytes()) {
            Ok(mut value) => {
                change(&mut value);
                Ok(())
            }
            Err(_) => Err(ByName),
        };
        changed.inspect_err(|ByName| self.work.engine.take_back_direct(command))
    }

    /// Writes the string of a key, by `put`.
    #[inline]
    fn write(
        &mut self,
        key: &Key,
        expires: Expires,
        put: impl FnOnce(&mut Keyspace<'e>, Expiry),
    ) -> std::result::Result<(), ByName> {
        let now_ms = || self.work.keyspace.now_ms() as i64;
        let expiry = match expires {
            Expires::Never => Expiry::Clear,
            Expires::AsBefore => Expiry::Keep,
            // What is over already, or is no time, is the command's to judge.
            Expires::AtMs(at) if at > now_ms() => Expiry::At(at as u64),
            Expires::AfterMs(after @ 1..) => {
                Expiry::At(now_ms().checked_add(after).ok_or(ByName)? as u64)
            }
            Expires::AtMs(_) | Expires::AfterMs(_) => return Err(ByName),
        };
        let words = if expires == Expires::Never { 3 } else { 5 };
        put(self.begin(&TABLE[SET], key, words)?, expiry);
        Ok(())
    }
}

/// A keyspace on which a command has begun, or that the command has to be run by its name.
type Quick<'a, 'e> = std::result::Result<&'a mut Keyspace<'e>, ByName>;

impl InStep for Running<'_, '_> {
    fn time_us(&mut self) -> u64 {
        self.work.keyspace.now().unix_us()
    }

    fn call(&mut self, command: &Command) -> std::result::Result<Value, Refusal> {
        let arguments = command.arguments();
        let mut reply = ValueReply::for_protocol(false);
        let admitted = self.work.admit(arguments, self.has_written);
        let ran = match admitted {
            Ok(row) => {
                self.has_written |= row.flags.has(Flags::WRITE);
                self.work.run(row, arguments, &mut reply)
            }
            Err(error) => Err(self.work.reject(arguments, error)),
        };
        match ran {
            Ok(()) => Ok(reply.take_value()),
            Err(error) => Err(refusal(&error)),
        }
    }

    #[inline]
    fn get(&mut self, key: &Key) -> std::result::Result<Option<Bytes>, ByName> {
        self.read(key, |string| Ok(string.with_bytes(Bytes::copy_from_slice)))
    }

    #[inline]
    fn get_int(&mut self, key: &Key) -> std::result::Result<Option<i64>, ByName> {
        self.read(key, |string| match string {
            Str::Int(number) => Ok(number),
            Str::Bytes(_) => Err(ByName),
        })
    }

    #[inline]
    fn hget(&mut self, key: &Key, field: &[u8]) -> std::result::Result<Option<Bytes>, ByName> {
        self.ask::<Hash, _>(&TABLE[HGET], key, 3, |hash| {
            let value = hash.get(field)?;
            Some(value.with_bytes(Bytes::copy_from_slice))
        })
    }

    #[inline]
    fn hset(&mut self, key: &Key, field: &[u8], value: &[u8]) -> std::result::Result<(), ByName> {
        let limits = self.work.keyspace.limits();
        self.change::<Hash>(&TABLE[HSET], key, 4, |hash| {
            hash.set(field, value, limits);
        })
    }

    #[inline]
    fn zadd(&mut self, key: &Key, score: i64, member: &[u8]) -> std::result::Result<(), ByName> {
        let limits = self.work.keyspace.limits();
        let score = Score::new(score as f64).ok_or(ByName)?;
        self.change::<SortedSet>(&TABLE[ZADD], key, 4, |set| {
            set.insert(member, score, limits);
        })
    }

    #[inline]
    fn zscore_at(&mut self, key: &Key, end: End) -> std::result::Result<Option<f64>, ByName> {
        self.ask::<SortedSet, _>(&TABLE[ZRANGE], key, 5, |set| {
            let mut members = set.iter();
            let found = match end {
                End::Lowest => members.next(),
                End::Highest => members.next_back(),
            };
            found.map(|(_, score)| score.get())
        })
    }

    #[inline]
    fn pexpireat(&mut self, key: &Key, at_ms: i64) -> std::result::Result<(), ByName> {
        // What is over already is the command's to judge.
        let now_ms = self.work.keyspace.now_ms();
        let at_ms = u64::try_from(at_ms).ok().filter(|at| *at > now_ms);
        let at_ms = at_ms.ok_or(ByName)?;
        let keyspace = self.begin(&TABLE[PEXPIREAT], key, 3)?;
        keyspace.set_expiry(key.as_bytes(), Some(at_ms));
        Ok(())
    }

    #[inline]
    fn set(
        &mut self,
        key: &Key,
        value: &[u8],
        expires: Expires,
    ) -> std::result::Result<(), ByName> {
        self.write(key, expires, |keyspace, expiry| {
            keyspace.put_string(key.as_bytes(), value, expiry);
        })
    }

    #[inline]
    fn set_int(
        &mut self,
        key: &Key,
        number: i64,
        expires: Expires,
    ) -> std::result::Result<(), ByName> {
        self.write(key, expires, |keyspace, expiry| {
            keyspace.put_int(key.as_bytes(), number, expiry);
        })
    }

    #[inline]
    fn del(&mut self, key: &Key) -> std::result::Result<bool, ByName> {
        let keyspace = self.begin(&TABLE[DEL], key, 2)?;
        Ok(keyspace.remove(key.as_bytes()))
    }
}
