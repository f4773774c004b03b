//! OBJECT: how a key's value is held.

use crate::admin::help;
use crate::command::{Arity, Call, Command, Flags, Keys};
use crate::error::{Error, Result};
use crate::keyspace::entry::{Entry, Kind};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// The longest string that Redis calls `embstr`: one that it holds beside its header.
const EMBEDDED_MAX: usize = 44;

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "OBJECT ENCODING",
        run: encoding,
        arity: Arity::Exactly(3),
        keys: Keys::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how the value of a key is held, in Redis's words.",
        complexity: "O(1)",
        since: "2.2.3",
    },
    Command {
        name: "OBJECT REFCOUNT",
        run: refcount,
        arity: Arity::Exactly(3),
        keys: Keys::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how many share the value of a key: always 1.",
        complexity: "O(1)",
        since: "2.2.3",
    },
    Command {
        name: "OBJECT FREQ",
        run: freq,
        arity: Arity::Exactly(3),
        keys: Keys::First,
        flags: Flags::READONLY,
        syntax: "key",
        summary: "Says how often a key is used, where a policy of eviction counts that.",
        complexity: "O(1)",
        since: "4.0.0",
    },
    Command {
        name: "OBJECT IDLETIME",
        run: idletime,
        arity: Arity::Exactly(3),
        keys: Keys::First,
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
    let entry = call.keyspace.entry(key);
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
    if entry(call)?.is_some() {
        call.reply.int(1);
    }
    Ok(())
}

fn idletime(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    match call.keyspace.idle_s(key) {
        Some(idle_s) => call.reply.int(i64::from(idle_s)),
        None => call.reply.null(),
    }
    Ok(())
}

fn freq(call: &mut Call<'_, '_>) -> Result<()> {
    match entry(call)? {
        None => Ok(()),
        Some(_) => Err(Error::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        )),
    }
}

impl Entry {
    /// How the value is held, in Redis's words.
    fn encoding(&self) -> &'static str {
        let encoding = match self.kind() {
            Kind::Int => Some("int"),
            Kind::Inline | Kind::Raw => self.str().map(|string| match string.len() {
                ..=EMBEDDED_MAX if self.kind() == Kind::Inline => "embstr",
                _ => "raw",
            }),
            Kind::List => self.object::<List>().map(List::encoding),
            Kind::Hash => self.object::<Hash>().map(Hash::encoding),
            Kind::Set => self.object::<Set>().map(Set::encoding),
            Kind::SortedSet => self.object::<SortedSet>().map(SortedSet::encoding),
            Kind::Stream => self.object::<Stream>().map(Stream::encoding),
        };
        encoding.unwrap_or("unknown")
    }
}
