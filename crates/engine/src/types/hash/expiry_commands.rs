//! Commands on the times at which fields of a hash expire.
//!
//! They are those of Redis 7.4 and 8.0, with their texts; Valkey 9.0 has the same ones.

use larder_resp::Arguments;

use super::either::{self, of_either};
use super::{FieldMap, Hash, TimedHash, getex, setex};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::generic::expiry::Condition;
use crate::keyspace::WriteGuard;
use crate::keyspace::entry::Kind;
use crate::types::Limits;

const READ: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE.and(Flags::FAST);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "HEXPIRE",
        run: hexpire,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Has fields expire after some seconds.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HPEXPIRE",
        run: hpexpire,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Has fields expire after some milliseconds.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HEXPIREAT",
        run: hexpireat,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Has fields expire at a time.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HPEXPIREAT",
        run: hpexpireat,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Has fields expire at a time that is given in milliseconds.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HTTL",
        run: of_either!(httl),
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Gives the seconds that fields have left.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HPTTL",
        run: of_either!(hpttl),
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Gives the milliseconds that fields have left.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HEXPIRETIME",
        run: of_either!(hexpiretime),
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Gives the times at which fields expire, in seconds.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HPEXPIRETIME",
        run: of_either!(hpexpiretime),
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Gives the times at which fields expire, in milliseconds.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HPERSIST",
        run: hpersist,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Has fields not expire any more.",
        complexity: "O(n), n the number of fields given.",
        since: "7.4.0",
    },
    Row {
        name: "HGETDEL",
        run: getex::HGETDEL,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Gives the values of fields, and removes the fields.",
        complexity: "O(n), n the number of fields given.",
        since: "8.0.0",
    },
    Row {
        name: "HGETEX",
        run: getex::hgetex,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        summary: "Gives the values of fields, and says when the fields expire.",
        complexity: "O(n), n the number of fields given.",
        since: "8.0.0",
    },
    Row {
        name: "HSETEX",
        run: setex::hsetex,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: WRITE.and(Flags::DENY_OOM),
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value \
                 [field value ...]",
        summary: "Gives fields their values, and says when the fields expire.",
        complexity: "O(n), n the number of fields given.",
        since: "8.0.0",
    },
];

// --- what the commands read -----------------------------------------------------------------------

/// The latest time at which a field may expire, in milliseconds: 46 bits, less one.
const LAST_MS: u64 = (1 << 46) - 1;

/// What is refused where the number of fields is not above 0.
pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// A unit of time, and whether the time is counted from now.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    ms: u64,
    from_now: bool,
}

pub(super) const EX: Unit = Unit {
    ms: 1000,
    from_now: true,
};
pub(super) const PX: Unit = Unit {
    ms: 1,
    from_now: true,
};
pub(super) const EXAT: Unit = Unit {
    ms: 1000,
    from_now: false,
};
pub(super) const PXAT: Unit = Unit {
    ms: 1,
    from_now: false,
};

/// What a command does to the times of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// They expire at this time, in Unix milliseconds.
    At(u64),
    Persist,
    Keep,
}

/// Refuses a key that holds something other than a hash.
pub(super) fn check_hash(call: &Call<'_, '_>, key: &[u8]) -> Result<()> {
    match call.keyspace.kind(key) {
        None | Some(Kind::Hash | Kind::TimedHash) => Ok(()),
        Some(_) => Err(Error::WrongType),
    }
}

/// Reads a time, and answers it in Unix milliseconds.
pub(super) fn read_time(call: &mut Call<'_, '_>, unit: Unit) -> Result<u64> {
    let number = call.args.int()?;
    let Ok(number) = u64::try_from(number) else {
        return Err(Error::text("ERR invalid expire time, must be >= 0"));
    };
    let base_ms = match unit.from_now {
        true => call.keyspace.now_ms(),
        false => 0,
    };
    let at_ms = number.checked_mul(unit.ms);
    let at_ms = at_ms.and_then(|ms| ms.checked_add(base_ms));
    let refusal = || Error::InvalidExpire(lower_name(call));
    let at_ms = at_ms
        .filter(|at_ms| *at_ms <= LAST_MS)
        .ok_or_else(refusal)?;
    // What expires at 0 does not expire.
    Ok(at_ms.max(1))
}

/// The name of the command as errors write it.
fn lower_name(call: &Call<'_, '_>) -> &'static str {
    match call.command.name {
        "HEXPIRE" => "hexpire",
        "HPEXPIRE" => "hpexpire",
        "HEXPIREAT" => "hexpireat",
        "HPEXPIREAT" => "hpexpireat",
        "HGETEX" => "hgetex",
        _ => "hsetex",
    }
}

/// Reads `FIELDS numfields field ...`, which the request ends with.
pub(super) fn read_fields<'a>(
    call: &mut Call<'a, '_>,
    not_positive: &'static str,
) -> Result<Arguments<'a>> {
    if !call.args.option("FIELDS") {
        return Err(Error::text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = call.args.positive_or(Error::text(not_positive))?;
    if count != call.args.len() {
        return Err(Error::text(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    call.args.take(count)
}

/// Answers the same number for each of these fields.
fn answer_each(call: &mut Call<'_, '_>, fields: Arguments<'_>, number: i64) {
    call.reply.array(fields.len());
    fields.iter().for_each(|_| call.reply.int(number));
}

// --- when fields expire ---------------------------------------------------------------------------

/// What has come of a field that was to expire.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum Timed {
    NoField = -2,
    NotAllowed = 0,
    Set = 1,
    /// The time is past, so the field was removed.
    Removed = 2,
}

fn hexpire(call: &mut Call<'_, '_>) -> Result<()> {
    expire(call, EX)
}

fn hpexpire(call: &mut Call<'_, '_>) -> Result<()> {
    expire(call, PX)
}

fn hexpireat(call: &mut Call<'_, '_>) -> Result<()> {
    expire(call, EXAT)
}

fn hpexpireat(call: &mut Call<'_, '_>) -> Result<()> {
    expire(call, PXAT)
}

fn expire(call: &mut Call<'_, '_>, unit: Unit) -> Result<()> {
    let key = call.args.key()?;
    check_hash(call, key)?;
    let at_ms = read_time(call, unit)?;
    let condition = Condition::read_one(&mut call.args);
    let fields = read_fields(call, "ERR Parameter `numFields` should be greater than 0")?;

    let (over_ms, limits) = (call.keyspace.over_ms(), call.keyspace.limits());
    let Some(mut guard) = call.keyspace.write_timed(key)? else {
        answer_each(call, fields, Timed::NoField as i64);
        return Ok(());
    };
    let hash = &mut *guard;
    let mut seen = Seen::default();
    call.reply.array(fields.len());
    for field in fields.iter() {
        let timed = match hash.deadline(field) {
            None => Timed::NoField,
            Some(old) if !condition.allows(old, at_ms as i64) => Timed::NotAllowed,
            Some(_) if at_ms <= over_ms => {
                hash.remove(field);
                Timed::Removed
            }
            Some(_) => {
                hash.set_deadline(field, Some(at_ms), limits);
                Timed::Set
            }
        };
        seen.see(timed);
        call.reply.int(timed as i64);
    }
    seen.name(guard, "hexpire");
    Ok(())
}

/// What has come of the fields of one command together.
#[derive(Default)]
pub(super) struct Seen {
    is_set: bool,
    is_removed: bool,
}

impl Seen {
    pub(super) fn see(&mut self, timed: Timed) {
        self.is_set |= timed == Timed::Set;
        self.is_removed |= timed == Timed::Removed;
    }

    /// Lets a hash go whose fields were given times, under the name of that.
    pub(super) fn name(&self, mut guard: WriteGuard<'_, '_, TimedHash>, set: &'static str) {
        match (self.is_set, self.is_removed) {
            (_, true) => guard.event("hdel"),
            (true, false) => guard.event(set),
            (false, false) => guard.unchanged(),
        }
    }
}

fn hpersist(call: &mut Call<'_, '_>) -> Result<()> {
    either::run(call, persist_none, persist)
}

/// HPERSIST where no field expires.
fn persist_none(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    check_hash(call, key)?;
    let fields = read_fields(call, NOT_POSITIVE)?;
    let hash = call.keyspace.read::<Hash>(key)?;
    call.reply.array(fields.len());
    for field in fields.iter() {
        let is_there = hash.is_some_and(|hash| hash.contains(field));
        call.reply.int(if is_there { -1 } else { -2 });
    }
    Ok(())
}

fn persist(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let fields = read_fields(call, NOT_POSITIVE)?;
    let limits = call.keyspace.limits();
    let Some(mut guard) = call.keyspace.write_existing::<TimedHash>(key)? else {
        return Ok(());
    };
    let hash = &mut *guard;
    let mut is_changed = false;
    call.reply.array(fields.len());
    for field in fields.iter() {
        let deadline = hash.deadline(field);
        if let Some(Some(_)) = deadline {
            hash.set_deadline(field, None, limits);
            is_changed = true;
        }
        call.reply.int(match deadline {
            None => -2,
            Some(None) => -1,
            Some(Some(_)) => 1,
        });
    }
    if !is_changed {
        guard.unchanged();
    }
    Ok(())
}

fn httl<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    answer_times::<H>(call, |at_ms| at_ms.saturating_sub(now_ms).div_ceil(1000))
}

fn hpttl<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    answer_times::<H>(call, |at_ms| at_ms.saturating_sub(now_ms))
}

fn hexpiretime<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    answer_times::<H>(call, |at_ms| at_ms.div_ceil(1000))
}

fn hpexpiretime<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    answer_times::<H>(call, |at_ms| at_ms)
}

/// Answers times made of when fields expire; -1 for one that does not, -2 for one that is not there.
fn answer_times<H: FieldMap>(call: &mut Call<'_, '_>, shown: impl Fn(u64) -> u64) -> Result<()> {
    let key = call.args.key()?;
    check_hash(call, key)?;
    let fields = read_fields(call, NOT_POSITIVE)?;
    let hash = call.keyspace.read::<H>(key)?;
    call.reply.array(fields.len());
    for field in fields.iter() {
        call.reply
            .int(match hash.and_then(|hash| hash.deadline(field)) {
                None => -2,
                Some(None) => -1,
                Some(Some(at_ms)) => shown(at_ms) as i64,
            });
    }
    Ok(())
}

/// Changes when a field expires. What expires by `over_ms` goes at once.
pub(super) fn change_time(
    hash: &mut TimedHash,
    field: &[u8],
    change: Change,
    over_ms: u64,
    limits: &Limits,
) -> Timed {
    match (hash.deadline(field), change) {
        (None, _) => Timed::NoField,
        (Some(_), Change::At(at_ms)) if at_ms <= over_ms => {
            hash.remove(field);
            Timed::Removed
        }
        (Some(_), Change::At(at_ms)) => {
            hash.set_deadline(field, Some(at_ms), limits);
            Timed::Set
        }
        (Some(Some(_)), Change::Persist) => {
            hash.set_deadline(field, None, limits);
            Timed::Set
        }
        (Some(_), _) => Timed::NotAllowed,
    }
}
