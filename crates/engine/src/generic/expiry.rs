//! Times to live: the options EX, PX, EXAT, PXAT, and the commands of the EXPIRE family.

use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result, shown};
use crate::keyspace::entry::Entry;

const WRITE: Flags = Flags::WRITE.and(Flags::FAST);
const READ: Flags = Flags::READONLY.and(Flags::FAST);

/// A time at which something expires, as an option gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpireOption {
    /// In Unix milliseconds.
    pub(crate) at_ms: u64,
}

impl ExpireOption {
    /// So many units from now. `None` if that is not after now, or beyond all times.
    pub(crate) fn after(ttl: i64, unit_ms: i64, now_ms: u64) -> Option<ExpireOption> {
        let ttl_ms = ttl.checked_mul(unit_ms).filter(|ttl| *ttl > 0)?;
        let at_ms = ttl_ms.checked_add_unsigned(now_ms)?;
        Some(ExpireOption {
            at_ms: at_ms as u64,
        })
    }

    /// So many units after the epoch. `None` if that is not after the epoch, or beyond all times.
    fn at(time: i64, unit_ms: i64) -> Option<ExpireOption> {
        let at_ms = time.checked_mul(unit_ms).filter(|at| *at > 0)?;
        Some(ExpireOption {
            at_ms: at_ms as u64,
        })
    }
}

/// Reads one of EX, PX, EXAT, PXAT with its number, if it comes next.
///
/// # Errors
///
/// If the number is no integer, not positive, or beyond all times.
pub(crate) fn expire_option(
    args: &mut Args<'_>,
    command: &'static str,
    now_ms: u64,
) -> Result<Option<ExpireOption>> {
    let (unit_ms, is_absolute) = match () {
        () if args.option("EX") => (1000, false),
        () if args.option("PX") => (1, false),
        () if args.option("EXAT") => (1000, true),
        () if args.option("PXAT") => (1, true),
        () => return Ok(None),
    };
    let number = args.int()?;
    let option = match is_absolute {
        true => ExpireOption::at(number, unit_ms),
        false => ExpireOption::after(number, unit_ms, now_ms),
    };
    option.map(Some).ok_or(Error::InvalidExpire(command))
}

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "EXPIRE",
        run: expire,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key seconds [NX | XX | GT | LT]",
        summary: "Has a key expire after some seconds.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "PEXPIRE",
        run: pexpire,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key milliseconds [NX | XX | GT | LT]",
        summary: "Has a key expire after some milliseconds.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "EXPIREAT",
        run: expireat,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key unix-time-seconds [NX | XX | GT | LT]",
        summary: "Has a key expire at a time.",
        complexity: "O(1)",
        since: "1.2.0",
    },
    Row {
        name: "PEXPIREAT",
        run: pexpireat,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
        summary: "Has a key expire at a time.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "TTL",
        run: ttl,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the seconds that a key has left.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "PTTL",
        run: pttl,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the milliseconds that a key has left.",
        complexity: "O(1)",
        since: "2.6.0",
    },
    Row {
        name: "EXPIRETIME",
        run: expiretime,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the time at which a key expires, in seconds.",
        complexity: "O(1)",
        since: "7.0.0",
    },
    Row {
        name: "PEXPIRETIME",
        run: pexpiretime,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the time at which a key expires, in milliseconds.",
        complexity: "O(1)",
        since: "7.0.0",
    },
    Row {
        name: "PERSIST",
        run: persist,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key",
        summary: "Has a key not expire any more.",
        complexity: "O(1)",
        since: "2.2.0",
    },
];

/// When EXPIRE sets a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn read(args: &mut Args<'_>) -> Result<Condition> {
        let mut condition = Condition::default();
        while let Some(word) = args.peek() {
            match () {
                () if args.option("NX") => condition.nx = true,
                () if args.option("XX") => condition.xx = true,
                () if args.option("GT") => condition.gt = true,
                () if args.option("LT") => condition.lt = true,
                () => {
                    let word = shown(word);
                    return Err(Error::text(format!("ERR Unsupported option {word}")));
                }
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Error::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.gt && condition.lt {
            return Err(Error::text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Reads one condition, if the next word is one.
    pub(crate) fn read_one(args: &mut Args<'_>) -> Condition {
        let mut condition = Condition::default();
        condition.nx = args.option("NX");
        condition.xx = !condition.nx && args.option("XX");
        condition.gt = !condition.nx && !condition.xx && args.option("GT");
        condition.lt = !condition.nx && !condition.xx && !condition.gt && args.option("LT");
        condition
    }

    /// Whether what expires at `old`, or never, may expire at `new`.
    pub(crate) fn allows(self, old: Option<u64>, new: i64) -> bool {
        let new = i128::from(new);
        match old.map(i128::from) {
            Some(_) if self.nx => false,
            Some(old) if self.gt => new > old,
            Some(old) if self.lt => new < old,
            Some(_) => true,
            // Never is later than all times.
            None => !self.xx && !self.gt,
        }
    }
}

fn expire(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    set(call, "expire", 1000, now_ms)
}

fn pexpire(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    set(call, "pexpire", 1, now_ms)
}

fn expireat(call: &mut Call<'_, '_>) -> Result<()> {
    set(call, "expireat", 1000, 0)
}

fn pexpireat(call: &mut Call<'_, '_>) -> Result<()> {
    set(call, "pexpireat", 1, 0)
}

fn set(call: &mut Call<'_, '_>, name: &'static str, unit_ms: i64, base_ms: u64) -> Result<()> {
    let (key, number) = (call.args.key()?, call.args.int());
    let condition = Condition::read(&mut call.args)?;
    let number = number?;
    let at_ms = number
        .checked_mul(unit_ms)
        .and_then(|offset_ms| offset_ms.checked_add_unsigned(base_ms))
        .ok_or(Error::InvalidExpire(name))?;

    let is_set = match call.keyspace.expiry(key) {
        Some(old) => condition.allows(old, at_ms),
        None => false,
    };
    if is_set {
        // A time before the epoch is over, as is every time that is past.
        call.keyspace
            .set_expiry(key, Some(u64::try_from(at_ms).unwrap_or(0)));
    }
    call.reply.int(i64::from(is_set));
    Ok(())
}

fn ttl(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    answer_time(call, |at| (at.saturating_sub(now_ms) + 500) / 1000)
}

fn pttl(call: &mut Call<'_, '_>) -> Result<()> {
    let now_ms = call.keyspace.now_ms();
    answer_time(call, |at| at.saturating_sub(now_ms))
}

fn expiretime(call: &mut Call<'_, '_>) -> Result<()> {
    answer_time(call, |at| (at + 500) / 1000)
}

fn pexpiretime(call: &mut Call<'_, '_>) -> Result<()> {
    answer_time(call, |at| at)
}

/// Answers a time made of when the key expires; -1 if it does not, -2 if there is no such key.
fn answer_time(call: &mut Call<'_, '_>, shown: impl Fn(u64) -> u64) -> Result<()> {
    let key = call.args.key()?;
    call.reply
        .int(match call.keyspace.ask(key).map(Entry::expires_at) {
            None => -2,
            Some(None) => -1,
            Some(Some(at)) => shown(at) as i64,
        });
    Ok(())
}

fn persist(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let is_volatile = matches!(call.keyspace.expiry(key), Some(Some(_)));
    if is_volatile {
        call.keyspace.set_expiry(key, None);
    }
    call.reply.int(i64::from(is_volatile));
    Ok(())
}
