//! Conditions on what a key holds: those of SET, and the commands that remove a key under one.
//!
//! `IFEQ` and DELIFEQ are those of Valkey 8.1 and 9.0; `IFNE`, `IFDEQ`, `IFDNE`, DELEX and DIGEST those
//! of Redis 8.4, after its documentation. A digest is the 64 bits of
//! [XXH3](https://github.com/Cyan4973/xxHash), in 16 hexadecimal digits.

use xxhash_rust::xxh3::xxh3_64;

use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::keyspace::entry::Str;

const WRITE: Flags = Flags::WRITE.and(Flags::FAST);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "DELIFEQ",
        run: delifeq,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key value",
        summary: "Removes a key if its string is this one. Valkey has it, and Redis does not.",
        complexity: "O(1)",
        since: "9.0.0",
    },
    Row {
        name: "DELEX",
        run: delex,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: WRITE,
        syntax: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
        summary: "Removes a key, if its string or the digest of that is this one, or is not.",
        complexity: "O(1), O(n) for a digest, n the length of the string.",
        since: "8.4.0",
    },
    Row {
        name: "DIGEST",
        run: digest,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: Flags::READONLY.and(Flags::FAST),
        syntax: "key",
        summary: "Gives the digest of a string, in hexadecimal digits.",
        complexity: "O(n), n the length of the string.",
        since: "8.4.0",
    },
];

/// What a key has to hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    Always,
    IfMissing,
    IfPresent,
    IfEqual(&'a [u8]),
    IfNotEqual(&'a [u8]),
    IfDigest(Digest),
    IfNotDigest(Digest),
}

/// What stands for a string: the same for the same bytes, and most likely another for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; DIGITS]);

/// How many digits a digest is written with.
const DIGITS: usize = 16;

impl Digest {
    fn of(bytes: &[u8]) -> Digest {
        let mut digits = [b'0'; DIGITS];
        let text = format!("{:016x}", xxh3_64(bytes));
        digits.copy_from_slice(text.as_bytes());
        Digest(digits)
    }

    /// Reads one that is to be compared with.
    fn read(text: &[u8]) -> Result<Digest> {
        let refusal = Error::text("ERR must be exactly 16 hexadecimal characters");
        let digits: [u8; DIGITS] = text.try_into().map_err(|_| refusal)?;
        Ok(Digest(digits.map(|digit| digit.to_ascii_lowercase())))
    }
}

impl<'a> Condition<'a> {
    /// Reads a condition on a string, if the next word is one.
    pub(super) fn read(args: &mut Args<'a>) -> Result<Option<Condition<'a>>> {
        Ok(Some(match () {
            () if args.option("IFEQ") => Condition::IfEqual(args.bytes()?),
            () if args.option("IFNE") => Condition::IfNotEqual(args.bytes()?),
            () if args.option("IFDEQ") => Condition::IfDigest(Digest::read(args.bytes()?)?),
            () if args.option("IFDNE") => Condition::IfNotDigest(Digest::read(args.bytes()?)?),
            () => return Ok(None),
        }))
    }

    /// Whether it holds for what the key holds. A key that is not there has no string, and so none that
    /// is equal to another.
    pub(super) fn allows(self, keyspace: &Keyspace<'_>, key: &[u8]) -> Result<bool> {
        Ok(match self {
            Condition::Always => true,
            Condition::IfMissing => !keyspace.exists(key),
            Condition::IfPresent => keyspace.exists(key),
            _ => {
                let string = keyspace.read_string(key)?;
                let is_it = |wanted: &[u8]| {
                    string.is_some_and(|string| string.with_bytes(|bytes| bytes == wanted))
                };
                let has_it =
                    |wanted| string.is_some_and(|string| string.with_bytes(Digest::of) == wanted);
                match self {
                    Condition::IfEqual(wanted) => is_it(wanted),
                    Condition::IfNotEqual(wanted) => !is_it(wanted),
                    Condition::IfDigest(wanted) => has_it(wanted),
                    Condition::IfNotDigest(wanted) => !has_it(wanted),
                    Condition::Always | Condition::IfMissing | Condition::IfPresent => true,
                }
            }
        })
    }
}

fn delifeq(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.key()?, call.args.bytes()?);
    let is_equal = Condition::IfEqual(value).allows(call.keyspace, key)?;
    if is_equal {
        call.keyspace.remove(key);
    }
    call.reply.int(i64::from(is_equal));
    Ok(())
}

fn delex(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    if !matches!(call.args.len(), 0 | 2) {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    let is_unconditional = call.args.is_empty();
    // As in Redis, a key that is not there is none that a condition could be wrong about.
    let is_allowed = match call.keyspace.entry(key) {
        None => false,
        Some(_) if is_unconditional => true,
        Some(entry) if entry.str().is_none() => {
            return Err(Error::text(
                "ERR Key should be of string type if conditions are specified",
            ));
        }
        Some(_) => {
            let refusal = Error::text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
            let condition = Condition::read(&mut call.args)?.ok_or(refusal)?;
            condition.allows(call.keyspace, key)?
        }
    };
    if is_allowed {
        call.keyspace.remove(key);
    }
    call.reply.int(i64::from(is_allowed));
    Ok(())
}

fn digest(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let digest = call.keyspace.read_string(key)?;
    let digest = digest.map(|string| string.with_bytes(Digest::of));
    Str::write_or_null(
        digest.as_ref().map(|digest| Str::Bytes(&digest.0)),
        call.reply,
    );
    Ok(())
}
