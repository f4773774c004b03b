//! INCREX: a number that grows within bounds, and when it expires. It is that of Redis 8.8, after its
//! documentation.

use std::cmp::Ordering;

use crate::args::parse_int;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::error::{Error, Result};
use crate::generic::expiry::{ExpireOption, expire_option};
use crate::keyspace::Expiry;
use crate::long_double::LongDouble;
use crate::reply::Reply;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "INCREX",
    run: increx,
    arity: Arity::AtLeast(2),
    keys: KeySpec::First,
    flags: Flags::WRITE.and(Flags::DENY_OOM).and(Flags::FAST),
    syntax: "key [BYFLOAT float | BYINT integer] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE] \
             [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | PERSIST] [ENX]",
    summary: "Adds to the number of a key within bounds, and says when the key expires.",
    complexity: "O(1)",
    since: "8.8.0",
}];

/// After which commands the changes are called.
const BY_INT: usize = commands::number_of("INCRBY");
const BY_FLOAT: usize = commands::number_of("INCRBYFLOAT");

/// What is refused if a sum is no number.
const NOT_FINITE: &str = "ERR value cannot be Infinity";

/// The options, not yet as numbers.
#[derive(Default)]
struct Options<'a> {
    by: Option<By<'a>>,
    low: Option<&'a [u8]>,
    high: Option<&'a [u8]>,
    saturates: bool,
    until: Option<Until>,
    only_new: bool,
}

#[derive(Clone, Copy)]
enum By<'a> {
    Int(&'a [u8]),
    Float(&'a [u8]),
}

enum Until {
    At(Result<ExpireOption>),
    Persist,
}

impl<'a> Options<'a> {
    fn read(call: &mut Call<'a, '_>) -> Result<Options<'a>> {
        let mut options = Options::default();
        let (args, now_ms) = (&mut call.args, call.keyspace.now_ms());
        while !args.is_empty() {
            match () {
                () if options.by.is_none() && args.option("BYINT") => {
                    options.by = Some(By::Int(args.bytes()?));
                }
                () if options.by.is_none() && args.option("BYFLOAT") => {
                    options.by = Some(By::Float(args.bytes()?));
                }
                () if options.low.is_none() && args.option("LBOUND") => {
                    options.low = Some(args.bytes()?);
                }
                () if options.high.is_none() && args.option("UBOUND") => {
                    options.high = Some(args.bytes()?);
                }
                () if !options.saturates && args.option("SATURATE") => options.saturates = true,
                () if !options.only_new && args.option("ENX") => options.only_new = true,
                () if options.until.is_none() && args.option("PERSIST") => {
                    options.until = Some(Until::Persist);
                }
                () if options.until.is_none() => {
                    let option = expire_option(args, "increx", now_ms).transpose();
                    options.until = Some(Until::At(option.ok_or(Error::Syntax)?));
                }
                () => return Err(Error::Syntax),
            }
        }
        match options.until {
            Some(Until::Persist) if options.only_new => Err(Error::Syntax),
            None if options.only_new => Err(Error::text("ERR ENX flag requires an expiration")),
            _ => Ok(options),
        }
    }
}

/// When the key expires from now on.
#[derive(Clone, Copy)]
enum Then {
    Keep,
    Persist,
    At { at_ms: u64, only_new: bool },
}

fn increx(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let options = Options::read(call)?;
    let then = match options.until {
        None => Then::Keep,
        Some(Until::Persist) => Then::Persist,
        Some(Until::At(option)) => Then::At {
            at_ms: option?.at_ms,
            only_new: options.only_new,
        },
    };
    let bounds = (options.low, options.high);
    match options.by {
        Some(By::Float(by)) => add_float(call, key, by, bounds, options.saturates, then),
        Some(By::Int(by)) => {
            let refusal = Error::text("ERR Increment is not an integer or out of range");
            let by = parse_int(by).ok_or(refusal)?;
            add_int(call, key, by, bounds, options.saturates, then)
        }
        None => add_int(call, key, 1, bounds, options.saturates, then),
    }
}

/// The texts of a lower and an upper bound.
type Bounds<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

fn crossed() -> Error {
    Error::text("ERR LBOUND can't be greater than UBOUND")
}

// --- integers -------------------------------------------------------------------------------------

fn add_int(
    call: &mut Call<'_, '_>,
    key: &[u8],
    by: i64,
    bounds: Bounds<'_>,
    saturates: bool,
    then: Then,
) -> Result<()> {
    let bound = |text: Option<&[u8]>, name: &str, unbounded: i64| match text {
        None => Ok(unbounded),
        Some(text) => {
            let refusal = format!("ERR {name} is not an integer or out of range");
            parse_int(text).ok_or_else(|| Error::text(refusal))
        }
    };
    let low = bound(bounds.0, "LBOUND", i64::MIN)?;
    let high = bound(bounds.1, "UBOUND", i64::MAX)?;
    if low > high {
        return Err(crossed());
    }
    let number = match call.keyspace.read_string(key)? {
        None => 0,
        Some(string) => string.int().ok_or(Error::NotAnInteger)?,
    };

    let sum = i128::from(number) + i128::from(by);
    let within = sum.clamp(low.into(), high.into());
    if within != sum && !saturates {
        answer_ints(call.reply, number, 0);
        return Ok(());
    }
    let overflow = || Error::text("ERR applied increment would overflow");
    let added = i64::try_from(within - i128::from(number)).map_err(|_| overflow())?;
    let within = i64::try_from(within).map_err(|_| overflow())?;
    put(call, key, Sum::Int(within), then);
    answer_ints(call.reply, within, added);
    Ok(())
}

fn answer_ints(reply: &mut dyn Reply, number: i64, added: i64) {
    reply.array(2);
    reply.int(number);
    reply.int(added);
}

// --- floats ---------------------------------------------------------------------------------------

fn add_float(
    call: &mut Call<'_, '_>,
    key: &[u8],
    by: &[u8],
    bounds: Bounds<'_>,
    saturates: bool,
    then: Then,
) -> Result<()> {
    let by = read_float(
        by,
        "ERR Increment is not a valid float",
        "ERR BYFLOAT increment cannot be Infinity",
    )?;
    let bound = |text: Option<&[u8]>, name: &str| {
        let refusal = format!("ERR {name} is not a valid float");
        text.map(|text| LongDouble::read(text, Error::text(refusal)))
            .transpose()
    };
    let (low, high) = (bound(bounds.0, "LBOUND")?, bound(bounds.1, "UBOUND")?);
    if let (Some(low), Some(high)) = (low, high)
        && low.order(high) == Ordering::Greater
    {
        return Err(crossed());
    }
    let number = match call.keyspace.read_string(key)? {
        None => LongDouble::default(),
        Some(string) => string
            .with_bytes(|text| read_float(text, "ERR value is not a valid float", NOT_FINITE))?,
    };

    let (within, added) = match bounded(number.checked_add(by), low, high) {
        Some(sum) => (sum, by),
        None if !saturates => {
            answer_floats(call.reply, number, LongDouble::default());
            return Ok(());
        }
        None => {
            // Which bound it is does not hang on the sum, which may be beyond all numbers.
            let is_high = |high: &LongDouble| match number.checked_add(by) {
                Ok(sum) => sum.order(*high) == Ordering::Greater,
                Err(_) => !by.is_negative(),
            };
            let bound = high
                .filter(is_high)
                .or(low)
                .ok_or(Error::IncrementNotFinite)?;
            (bound, bound.checked_add(number.negated())?)
        }
    };
    put(call, key, Sum::Float(within), then);
    answer_floats(call.reply, within, added);
    Ok(())
}

/// The sum, if it is a number within the bounds.
fn bounded(
    sum: Result<LongDouble>,
    low: Option<LongDouble>,
    high: Option<LongDouble>,
) -> Option<LongDouble> {
    let sum = sum.ok()?;
    let is_low = low.is_some_and(|low| sum.order(low) == Ordering::Less);
    let is_high = high.is_some_and(|high| sum.order(high) == Ordering::Greater);
    (!is_low && !is_high).then_some(sum)
}

fn read_float(text: &[u8], refusal: &'static str, infinite: &'static str) -> Result<LongDouble> {
    match LongDouble::read(text, Error::text(refusal)) {
        Err(Error::IncrementNotFinite) => Err(Error::text(infinite)),
        read => read,
    }
}

fn answer_floats(reply: &mut dyn Reply, number: LongDouble, added: LongDouble) {
    reply.array(2);
    for float in [number, added] {
        let text = float.to_string();
        match text.parse() {
            Ok(double) if reply.is_resp3() => reply.double(double),
            _ => reply.bulk(text.as_bytes()),
        }
    }
}

// --- writing --------------------------------------------------------------------------------------

enum Sum {
    Int(i64),
    Float(LongDouble),
}

/// Writes a sum, and says when its key expires.
fn put(call: &mut Call<'_, '_>, key: &[u8], sum: Sum, then: Then) {
    let was_volatile = matches!(call.keyspace.expiry(key), Some(Some(_)));
    let at_ms = match then {
        Then::At { only_new: true, .. } if was_volatile => None,
        Then::At { at_ms, .. } => Some(at_ms),
        Then::Keep | Then::Persist => None,
    };
    if at_ms.is_some_and(|at_ms| call.keyspace.is_over(at_ms)) {
        call.keyspace.remove(key);
        return;
    }
    let expiry = at_ms.map_or(Expiry::Keep, Expiry::At);
    match sum {
        Sum::Int(number) => {
            call.keyspace.begin_quietly(&commands::TABLE[BY_INT]);
            call.keyspace.put_int(key, number, expiry);
        }
        Sum::Float(number) => {
            call.keyspace.begin_quietly(&commands::TABLE[BY_FLOAT]);
            let text = number.to_string();
            call.keyspace.put_bytes(key, text.as_bytes(), expiry);
        }
    }
    if matches!(then, Then::Persist) && was_volatile {
        call.keyspace.set_expiry(key, None);
    }
}
