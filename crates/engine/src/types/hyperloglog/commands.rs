//! Commands on HyperLogLogs.

use super::{Encoding, REGISTERS, Registers, dense, sparse};
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result, shown};
use crate::keyspace::StringGuard;
use crate::keyspace::entry::{Entry, Str};
use crate::types::sample;

const WRITE: Flags = Flags::WRITE.and(Flags::DENY_OOM);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "PFADD",
        run: pfadd,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: WRITE.and(Flags::FAST),
        syntax: "key [element [element ...]]",
        summary: "Counts elements in, and answers whether the estimate may have changed.",
        complexity: "O(1) for each element.",
        since: "2.8.9",
    },
    Row {
        name: "PFCOUNT",
        run: pfcount,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
        syntax: "key [key ...]",
        summary: "Estimates how many different elements were counted in, for several keys together.",
        complexity: "O(1) for one key, as long as nothing was added; O(n) for n keys.",
        since: "2.8.9",
    },
    Row {
        name: "PFMERGE",
        run: pfmerge,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: WRITE,
        syntax: "destkey [sourcekey [sourcekey ...]]",
        summary: "Counts in what was counted in elsewhere.",
        complexity: "O(n), n the number of keys.",
        since: "2.8.9",
    },
    Row {
        name: "PFDEBUG",
        run: pfdebug,
        arity: Arity::Exactly(3),
        keys: KeySpec::AllButFirst,
        flags: WRITE.and(Flags::ADMIN),
        syntax: "<GETREG | DECODE | ENCODING | TODENSE> key",
        summary: "Shows how a HyperLogLog is held, for tests.",
        complexity: "O(1)",
        since: "2.8.9",
    },
    Row {
        name: "PFSELFTEST",
        run: pfselftest,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::ADMIN,
        syntax: "",
        summary: "Compares estimates with what was counted in, for tests.",
        complexity: "O(1)",
        since: "2.8.9",
    },
];

/// Whether there is such a key, and how its registers are held.
fn held(entry: Option<&Entry>) -> Result<Option<Encoding>> {
    let Some(entry) = entry else {
        return Ok(None);
    };
    match entry.str() {
        Some(Str::Bytes(bytes)) => super::encoding(bytes).map(Some),
        Some(Str::Int(_)) => Err(super::none()),
        None => Err(Error::WrongType),
    }
}

/// The HyperLogLog of a key, to be changed, and whether it is new. It is checked before it is touched.
fn write<'c, 'e>(call: &'c mut Call<'_, 'e>, key: &[u8]) -> Result<(StringGuard<'c, 'e>, bool)> {
    let is_new = held(call.keyspace.entry(key))?.is_none();
    let mut string = call.keyspace.write_string(key)?;
    if is_new {
        *string = super::empty();
    }
    Ok((string, is_new))
}

/// The bytes of a key that is read, if there is such a key.
fn read<'c>(call: &'c Call<'_, '_>, key: &[u8]) -> Result<Option<&'c [u8]>> {
    match call.keyspace.read_string(key)? {
        None => Ok(None),
        Some(Str::Bytes(bytes)) => super::encoding(bytes).map(|_| Some(bytes)),
        Some(Str::Int(_)) => Err(super::none()),
    }
}

fn pfadd(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let elements = call.args.rest();
    let sparse_len_max = call.keyspace.limits().hll_sparse_max_bytes.get();
    let (mut string, mut is_changed) = write(call, key)?;
    for element in elements {
        is_changed |= super::add(&mut string, element, sparse_len_max)?;
    }
    match is_changed {
        true => {
            super::forget_cardinality(&mut string);
            string.event("pfadd");
        }
        false => string.unchanged(),
    }
    drop(string);
    call.reply.int(i64::from(is_changed));
    Ok(())
}

fn pfcount(call: &mut Call<'_, '_>) -> Result<()> {
    let count = match call.args.len() {
        1 => {
            let key = call.args.key()?;
            count_one(call, key)?
        }
        _ => {
            let (registers, _) = merged(call)?;
            let mut histogram = [0; 64];
            for value in registers.iter() {
                histogram[usize::from(*value)] += 1;
            }
            super::estimate::cardinality(&histogram)
        }
    };
    call.reply.int(count);
    Ok(())
}

/// The estimate for a key. It is remembered with the key, which is no event.
fn count_one(call: &mut Call<'_, '_>, key: &[u8]) -> Result<i64> {
    let Some(bytes) = read(call, key)? else {
        return Ok(0);
    };
    if let Some(cardinality) = super::cardinality(bytes) {
        return Ok(cardinality);
    }
    let cardinality = super::count(bytes)?;
    let mut string = call.keyspace.write_string(key)?;
    super::remember_cardinality(&mut string, cardinality);
    Ok(cardinality)
}

/// The highest value of each register in the keys that are left, and whether any of them is dense.
fn merged(call: &mut Call<'_, '_>) -> Result<(Box<Registers>, bool)> {
    let (mut registers, mut is_dense) = (Box::new([0; REGISTERS]), false);
    for key in call.args.rest() {
        if let Some(bytes) = read(call, key)? {
            is_dense |= super::merge(bytes, &mut registers)? == Encoding::Dense;
        }
    }
    Ok((registers, is_dense))
}

fn pfmerge(call: &mut Call<'_, '_>) -> Result<()> {
    let target = call.args.peek().unwrap_or_default();
    let (registers, is_dense) = merged(call)?;

    let sparse_len_max = call.keyspace.limits().hll_sparse_max_bytes.get();
    let (mut string, _) = write(call, target)?;
    if is_dense {
        super::make_dense(&mut string)?;
    }
    let values = registers
        .iter()
        .enumerate()
        .filter(|(_, value)| **value > 0);
    for (index, value) in values {
        super::raise(&mut string, index, *value, sparse_len_max)?;
    }
    super::forget_cardinality(&mut string);
    drop(string);
    call.reply.ok();
    Ok(())
}

// --- for tests --------------------------------------------------------------------------------

/// What PFDEBUG shows.
#[derive(Clone, Copy)]
enum Shown {
    Registers,
    Runs,
    Encoding,
    /// Whether it has been made dense.
    MadeDense,
}

impl Shown {
    fn read(args: &mut Args<'_>) -> Result<Option<Shown>> {
        Ok(match () {
            () if args.option("GETREG") => Some(Shown::Registers),
            () if args.option("DECODE") => Some(Shown::Runs),
            () if args.option("ENCODING") => Some(Shown::Encoding),
            () if args.option("TODENSE") => Some(Shown::MadeDense),
            () => {
                args.bytes()?;
                None
            }
        })
    }
}

fn pfdebug(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.option("SIMD") {
        // Redis 8 can be told whether to use them, and tells whether it does.
        call.reply.status("disabled");
        return Ok(());
    }
    let name = shown(call.args.peek().unwrap_or_default()).into_owned();
    let shown = Shown::read(&mut call.args)?;
    let key = call.args.key()?;
    let encoding = held(call.keyspace.entry(key))?;
    let encoding = encoding.ok_or(Error::text("ERR The specified key does not exist"))?;
    let unknown = || Error::text(format!("ERR Unknown PFDEBUG subcommand '{name}'"));
    let shown = shown.ok_or_else(unknown)?;

    let mut string = call.keyspace.write_string(key)?;
    match shown {
        Shown::Encoding => call.reply.status(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }),
        Shown::Runs if encoding == Encoding::Dense => {
            return Err(Error::text("ERR HLL encoding is not sparse"));
        }
        Shown::Runs => call.reply.bulk(runs(&string).as_bytes()),
        Shown::MadeDense => {
            let made = super::made_dense(&string)?;
            call.reply.int(i64::from(made.is_some()));
            if let Some(dense) = made {
                *string = dense;
            }
        }
        Shown::Registers => {
            if let Some(dense) = super::made_dense(&string)? {
                *string = dense;
            }
            call.reply.array(REGISTERS);
            for index in 0..REGISTERS {
                let value = dense::get(&string[super::HEADER..], index);
                call.reply.int(i64::from(value));
            }
        }
    }
    // The same registers, held otherwise: as in Redis, nobody is told.
    string.unchanged();
    Ok(())
}

/// The runs of a sparse HyperLogLog, in the words of Redis.
fn runs(bytes: &[u8]) -> String {
    let runs = sparse::runs(&bytes[super::HEADER..]);
    let shown = runs.map(|run| match (run.value, run.is_long) {
        (0, false) => format!("z:{}", run.len),
        (0, true) => format!("Z:{}", run.len),
        (value, _) => format!("v:{value},{}", run.len),
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// How many elements PFSELFTEST counts in: as many as take a moment.
const TESTED: u64 = 100_000;

fn pfselftest(call: &mut Call<'_, '_>) -> Result<()> {
    let seed = sample::randoms(call.engine)();
    let sparse_len_max = call.keyspace.limits().hll_sparse_max_bytes.get();
    let (mut one, mut other) = (super::empty(), super::empty());
    super::make_dense(&mut other)?;
    let mut looks_at = 1;
    for number in 1..=TESTED {
        let element = (seed ^ number).to_le_bytes();
        super::add(&mut one, &element, sparse_len_max)?;
        super::add(&mut other, &element, sparse_len_max)?;
        if number == looks_at {
            check(number, super::count(&one)?, super::count(&other)?)?;
            looks_at *= 10;
        }
    }
    call.reply.ok();
    Ok(())
}

/// Refuses estimates that are not the same, or far from the truth: by six times the standard error.
fn check(truth: u64, sparse: i64, dense: i64) -> Result<()> {
    if sparse != dense {
        return Err(Error::text("ERR TESTFAILED dense/sparse disagree"));
    }
    let error = dense.abs_diff(truth as i64);
    let error_max = (1.04 / (REGISTERS as f64).sqrt() * 6.0 * truth as f64).ceil() as u64;
    match error <= error_max.max(1) {
        true => Ok(()),
        false => Err(Error::text(format!(
            "ERR TESTFAILED Too big error. card:{truth} abserr:{error}"
        ))),
    }
}
