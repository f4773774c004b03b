//! OBJECT: how a key's value is held.

use crate::admin::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::entry::{Collection, Entry, Kind, Str};

/// The longest string that Redis calls `embstr`: one that it holds beside its header.
const EMBEDDED_MAX: usize = 44;
/// Redis shares the integers from 0 up to, but not including, this one.
const SHARED_INTEGERS: i64 = 10_000;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "OBJECT ENCODING",
        run: encoding,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how the value of a key is held, in Redis's words.",
        complexity: "O(1)",
        since: "2.2.3",
    },
    Row {
        name: "OBJECT REFCOUNT",
        run: refcount,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how many share the value of a key: 1, except for small integers.",
        complexity: "O(1)",
        since: "2.2.3",
    },
    Row {
        name: "OBJECT FREQ",
        run: freq,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how often a key is used, where a policy of eviction counts that.",
        complexity: "O(1)",
        since: "4.0.0",
    },
    Row {
        name: "OBJECT IDLETIME",
        run: idletime,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says for how many seconds a key has been neither read nor written.",
        complexity: "O(1)",
        since: "2.2.3",
    },
    help::row("OBJECT HELP", "6.2.0"),
];

/// The entry of the key that the request names. Nothing is answered if there is none.
fn entry<'a>(call: &'a mut Call<'_, '_>) -> Result<Option<&'a Entry>> {
    let key = call.args.key()?;
    let entry = call.keyspace.ask(key);
    if entry.is_none() {
        call.reply.null();
    }
    Ok(entry)
}

fn encoding(call: &mut Call<'_, '_>) -> Result<()> {
    let encoding = entry(call)?.map(Entry::encoding);
    if let Some(encoding) = encoding {
        call.reply.bulk(encoding.as_bytes());
    }
    Ok(())
}

fn refcount(call: &mut Call<'_, '_>) -> Result<()> {
    let shares_nothing = call.engine.memory.shares_nothing();
    let refcount = entry(call)?.map(|entry| match shares_nothing {
        true => 1,
        false => entry.refcount(),
    });
    if let Some(refcount) = refcount {
        call.reply.int(refcount);
    }
    Ok(())
}

fn idletime(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    if call.keyspace.counts_uses() && call.keyspace.exists(key) {
        return Err(Error::IdleTimeNotTracked);
    }
    match call.keyspace.idle_s(key) {
        Some(idle_s) => call.reply.int(i64::from(idle_s)),
        None => call.reply.null(),
    }
    Ok(())
}

fn freq(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    if !call.keyspace.counts_uses() && call.keyspace.exists(key) {
        return Err(Error::UsesNotCounted);
    }
    match call.keyspace.uses(key) {
        Some(uses) => call.reply.int(i64::from(uses)),
        None => call.reply.null(),
    }
    Ok(())
}

impl Entry {
    /// How the value is held, in Redis's words.
    pub(crate) fn encoding(&self) -> &'static str {
        match (self.kind(), self.str()) {
            (Kind::Int, _) => "int",
            (Kind::Inline, Some(string)) if string.len() <= EMBEDDED_MAX => "embstr",
            (_, Some(_)) => "raw",
            (_, None) => self.collection().map_or("unknown", Collection::encoding),
        }
    }

    /// How many share the value, in Redis's eyes: whoever holds one of the small integers that Redis
    /// makes at its start holds what nobody counts.
    pub(crate) fn refcount(&self) -> i64 {
        match self.str() {
            Some(Str::Int(0..SHARED_INTEGERS)) => i64::from(i32::MAX),
            _ => 1,
        }
    }
}
