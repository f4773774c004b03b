//! Commands on keys of any type.

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::DATABASES;
use crate::keyspace::entry::{Entry, Kind};
use crate::keyspace::table::Keyed;
use crate::pubsub::glob;
use crate::text::c_text;

const READ: Flags = Flags::READONLY.and(Flags::FAST);
const WALK: Flags = Flags::READONLY.and(Flags::WHOLE).and(Flags::SHARDWISE);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "DEL",
        run: del,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: Flags::WRITE,
        syntax: "key [key ...]",
        summary: "Removes keys, and answers how many there were.",
        complexity: "O(n), n the number of keys. What they hold is freed by another thread.",
        since: "1.0.0",
    },
    Row {
        name: "UNLINK",
        run: del,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key [key ...]",
        summary: "Removes keys, and answers how many there were.",
        complexity: "O(n), n the number of keys. What they hold is freed by another thread.",
        since: "4.0.0",
    },
    Row {
        name: "EXISTS",
        run: exists,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Counts the keys that there are; one that is named twice counts twice.",
        complexity: "O(n), n the number of keys.",
        since: "1.0.0",
    },
    Row {
        name: "TOUCH",
        run: touch,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: READ,
        syntax: "key [key ...]",
        summary: "Marks keys as used, and counts them.",
        complexity: "O(n), n the number of keys.",
        since: "3.2.1",
    },
    Row {
        name: "TYPE",
        run: kind,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Gives the type of a key.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "RENAME",
        run: rename,
        arity: Arity::Exactly(3),
        keys: KeySpec::FirstTwo,
        flags: Flags::WRITE,
        syntax: "key newkey",
        summary: "Gives a key another name, in the place of whatever had it.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "RENAMENX",
        run: renamenx,
        arity: Arity::Exactly(3),
        keys: KeySpec::FirstTwo,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key newkey",
        summary: "Gives a key another name, if nothing has it.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "COPY",
        run: copy,
        arity: Arity::AtLeast(3),
        keys: KeySpec::FirstTwo,
        flags: Flags::WRITE.and(Flags::DENY_OOM),
        syntax: "source destination [DB destination-db] [REPLACE]",
        summary: "Gives a key's value to another key as well, if that is not there.",
        complexity: "O(n), n the size of the value.",
        since: "6.2.0",
    },
    Row {
        name: "MOVE",
        run: move_key,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key db",
        summary: "Moves a key to another database, if that does not have it.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "KEYS",
        run: keys,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: WALK,
        syntax: "pattern",
        summary: "Lists the keys that match a pattern: those that are there throughout, once each.",
        complexity: "O(n), n the number of keys.",
        since: "1.0.0",
    },
    Row {
        name: "SCAN",
        run: scan,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: WALK,
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        summary: "Walks over the keys, some at a time.",
        complexity: "O(1) for each call, O(n) for a whole walk.",
        since: "2.8.0",
    },
    Row {
        name: "RANDOMKEY",
        run: randomkey,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: WALK,
        syntax: "",
        summary: "Gives a key chosen at random.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "DBSIZE",
        run: dbsize,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: WALK.and(Flags::FAST),
        syntax: "",
        summary: "Counts the keys of the database.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "FLUSHDB",
        run: flushdb,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: Flags::WRITE.and(Flags::WHOLE),
        syntax: "[ASYNC | SYNC]",
        summary: "Removes all keys of the database.",
        complexity: "O(1). What they hold is freed by another thread.",
        since: "1.0.0",
    },
    Row {
        name: "FLUSHALL",
        run: flushall,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: Flags::WRITE.and(Flags::WHOLE),
        syntax: "[ASYNC | SYNC]",
        summary: "Removes all keys of all databases.",
        complexity: "O(1). What they hold is freed by another thread.",
        since: "1.0.0",
    },
    Row {
        name: "SWAPDB",
        run: swapdb,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: Flags::WRITE.and(Flags::WHOLE).and(Flags::FAST),
        syntax: "index1 index2",
        summary: "Exchanges two databases.",
        complexity: "O(1)",
        since: "4.0.0",
    },
];

fn del(call: &mut Call<'_, '_>) -> Result<()> {
    let removed = call
        .args
        .rest()
        .filter(|key| call.keyspace.remove(key))
        .count();
    call.reply.int(removed as i64);
    Ok(())
}

fn exists(call: &mut Call<'_, '_>) -> Result<()> {
    let count = call
        .args
        .rest()
        .filter(|key| call.keyspace.ask(key).is_some())
        .count();
    call.reply.int(count as i64);
    Ok(())
}

fn touch(call: &mut Call<'_, '_>) -> Result<()> {
    let keys = call.args.rest();
    let count = keys.filter(|key| call.keyspace.touch_key(key)).count();
    call.reply.int(count as i64);
    Ok(())
}

fn kind(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let kind = call.keyspace.ask(key).map(Entry::kind);
    call.reply.status(kind.map_or("none", Kind::type_name));
    Ok(())
}

fn rename(call: &mut Call<'_, '_>) -> Result<()> {
    let (old, new) = (call.args.key()?, call.args.key()?);
    if !call.keyspace.exists(old) {
        return Err(Error::NoSuchKey);
    }
    if old != new {
        move_to(call, old, new);
    }
    call.reply.ok();
    Ok(())
}

fn renamenx(call: &mut Call<'_, '_>) -> Result<()> {
    let (old, new) = (call.args.key()?, call.args.key()?);
    if !call.keyspace.exists(old) {
        return Err(Error::NoSuchKey);
    }
    let is_free = !call.keyspace.exists(new);
    if is_free {
        move_to(call, old, new);
    }
    call.reply.int(i64::from(is_free));
    Ok(())
}

fn move_to(call: &mut Call<'_, '_>, old: &[u8], new: &[u8]) {
    if let Some(entry) = call.keyspace.take(old) {
        call.keyspace.put_entry(entry.with_key(new));
    }
}

fn move_key(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, target) = (call.args.key()?, call.args.db()?);
    let source = call.keyspace.db();
    if source == target {
        return Err(Error::SameObject);
    }

    call.keyspace.select(target);
    let is_taken = call.keyspace.exists(key);
    call.keyspace.select(source);
    let entry = if is_taken {
        None
    } else {
        call.keyspace.take(key)
    };
    let is_moved = entry.is_some();
    if let Some(entry) = entry {
        call.keyspace.select(target);
        call.keyspace.put_entry(entry);
        call.keyspace.select(source);
    }
    call.reply.int(i64::from(is_moved));
    Ok(())
}

fn copy(call: &mut Call<'_, '_>) -> Result<()> {
    let (source, destination) = (call.args.key()?, call.args.key()?);
    let db = call.keyspace.db();
    let (mut target, mut replaces) = (db, false);
    while !call.args.is_empty() {
        match () {
            () if call.args.option("REPLACE") => replaces = true,
            () if call.args.option("DB") => target = call.args.db()?,
            () => return Err(Error::Syntax),
        }
    }
    if db == target && source == destination {
        return Err(Error::SameObject);
    }

    call.keyspace.select(target);
    let is_free = replaces || !call.keyspace.exists(destination);
    call.keyspace.select(db);
    let limits = call.keyspace.limits();
    let entry = call.keyspace.ask(source).filter(|_| is_free);
    let copied = entry.map(|entry| entry.copy(destination, limits));
    call.reply.int(i64::from(copied.is_some()));
    if let Some(copied) = copied {
        call.keyspace.select(target);
        call.keyspace.put_entry(copied);
        call.keyspace.select(db);
    }
    Ok(())
}

fn keys(call: &mut Call<'_, '_>) -> Result<()> {
    let pattern = call.args.bytes()?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    call.keyspace.each_entry(&mut |entry| {
        if glob::matches(pattern, entry.key()) {
            found.push(entry.key().to_vec());
        }
    })?;
    call.reply.array(found.len());
    found.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}

/// The options that all commands of the SCAN family share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    /// About how many elements a call looks at.
    pub(crate) count: usize,
}

impl<'a> ScanOptions<'a> {
    /// No option yet.
    pub(crate) fn new() -> ScanOptions<'a> {
        ScanOptions {
            pattern: None,
            count: 10,
        }
    }

    /// Reads MATCH or COUNT with its word, if it comes next. Answers whether it did.
    pub(crate) fn read(&mut self, args: &mut crate::args::Args<'a>) -> Result<bool> {
        if args.option("MATCH") {
            self.pattern = Some(args.bytes()?);
            return Ok(true);
        }
        if args.option("COUNT") {
            let count = args.int()?;
            if count < 1 {
                return Err(Error::Syntax);
            }
            self.count = count as usize;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether an element is wanted.
    pub(crate) fn allows(&self, element: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, element))
    }
}

/// Reads a cursor, as C's `strtoul` does: a sign may stand before it, and nothing is 0.
pub(crate) fn cursor(word: &[u8]) -> Result<u64> {
    let word = c_text(word);
    if word.is_empty() {
        return Ok(0);
    }
    let (digits, is_negative) = match word {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    let number = match digits {
        [b'0'..=b'9', ..] => std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok()),
        _ => None,
    };
    let number: u64 = number.ok_or(Error::InvalidCursor)?;
    Ok(match is_negative {
        true => number.wrapping_neg(),
        false => number,
    })
}

fn scan(call: &mut Call<'_, '_>) -> Result<()> {
    let mut cursor = cursor(call.args.bytes()?)?;
    let (mut options, mut wanted_type) = (ScanOptions::new(), None);
    while !call.args.is_empty() {
        if call.args.option("TYPE") {
            wanted_type = Some(call.args.bytes()?.to_ascii_lowercase());
        } else if !options.read(&mut call.args)? {
            return Err(Error::Syntax);
        }
    }

    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut seen = 0;
    // A step that finds nothing costs little; so many of them end a call all the same.
    for _ in 0..options.count.saturating_mul(10) {
        let step = call.keyspace.scan(cursor, &mut |entry| {
            seen += 1;
            let is_type = |wanted: &Vec<u8>| entry.kind().type_name().as_bytes() == &wanted[..];
            if options.allows(entry.key()) && wanted_type.as_ref().is_none_or(is_type) {
                found.push(entry.key().to_vec());
            }
        });
        match step {
            Ok(next) => cursor = next,
            // Others hold the next shard: the caller comes back for it.
            Err(_) if seen > 0 => break,
            Err(contended) => return Err(contended.into()),
        }
        if cursor == 0 || seen >= options.count {
            break;
        }
    }
    call.reply.array(2);
    call.reply
        .bulk(itoa::Buffer::new().format(cursor).as_bytes());
    call.reply.array(found.len());
    found.iter().for_each(|key| call.reply.bulk(key));
    Ok(())
}

fn randomkey(call: &mut Call<'_, '_>) -> Result<()> {
    let engine = call.engine;
    let weights = engine.shards.figures();
    let weights: Vec<usize> = weights
        .map(|figures| figures.keys(call.keyspace.db()))
        .collect();
    let mut key = call.keyspace.random_key(&weights, || engine.random())?;
    if key.is_none() && engine.keeps_expired(call.keyspace.ticks()) {
        // While nothing goes, Redis ends its search with a key that should have gone.
        key = call.keyspace.any_key()?;
    }
    call.reply.bulk_or_null(key.as_deref());
    Ok(())
}

fn dbsize(call: &mut Call<'_, '_>) -> Result<()> {
    let db = call.keyspace.db();
    call.reply.int(call.engine.keys(db) as i64);
    Ok(())
}

fn flushdb(call: &mut Call<'_, '_>) -> Result<()> {
    flush_option(call)?;
    call.keyspace.clear();
    call.keyspace.invalidate_everything();
    call.reply.ok();
    Ok(())
}

fn flushall(call: &mut Call<'_, '_>) -> Result<()> {
    flush_option(call)?;
    let db = call.keyspace.db();
    for other in 0..DATABASES {
        call.keyspace.select(other);
        call.keyspace.clear();
    }
    call.keyspace.select(db);
    call.keyspace.invalidate_everything();
    call.reply.ok();
    Ok(())
}

/// ASYNC and SYNC are the same here: nobody waits until what was there is freed.
fn flush_option(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.args.option("ASYNC") {
        call.args.option("SYNC");
    }
    call.args.end()
}

fn swapdb(call: &mut Call<'_, '_>) -> Result<()> {
    let refusals = ["ERR invalid first DB index", "ERR invalid second DB index"];
    let [first, second] = call.args.dbs_or(refusals)?;
    if first != second {
        call.keyspace.swap(first, second);
        call.keyspace.invalidate_everything();
    }
    call.reply.ok();
    Ok(())
}
