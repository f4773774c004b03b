//! Commands on streams.
//!
//! A command is a row of [`COMMANDS`] and the function that the row names; the functions stand in
//! the modules below, by what they are about.

mod claim;
mod entries;
mod groups;
mod info;
mod pending;
mod read;
mod removing;

use super::{Bound, Entry, Group, Id, NoBound, Stream};
use crate::admin::help;
use crate::args::Args;
use crate::command::{Arity, Flags, KeySpec, Row};
use crate::error::{Error, Result, shown};
use crate::keyspace::Keyspace;
use crate::reply::Reply;

const READ: Flags = Flags::READONLY;
const ADD_GROUP: Flags = Flags::WRITE.and(Flags::DENY_OOM);
const ADD: Flags = ADD_GROUP.and(Flags::FAST);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "XADD",
        run: entries::xadd,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: ADD,
        syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMP producer-id idempotent-id | \
                 IDMPAUTO producer-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] \
                 <* | id> field value [field value ...]",
        summary: "Adds an entry at the end of a stream, and gives its id.",
        complexity: "O(1), or O(n) when n entries are trimmed.",
        since: "5.0.0",
    },
    Row {
        name: "XLEN",
        run: entries::xlen,
        arity: Arity::Exactly(2),
        keys: KeySpec::First,
        flags: READ.and(Flags::FAST),
        syntax: "key",
        summary: "Gives the number of entries of a stream.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "XRANGE",
        run: entries::xrange,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key start end [COUNT count]",
        summary: "Gives the entries of a range of ids.",
        complexity: "O(log(s)+n), s the length of the stream, n the number of entries given.",
        since: "5.0.0",
    },
    Row {
        name: "XREVRANGE",
        run: entries::xrevrange,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key end start [COUNT count]",
        summary: "Gives the entries of a range of ids, the last one first.",
        complexity: "O(log(s)+n), s the length of the stream, n the number of entries given.",
        since: "5.0.0",
    },
    Row {
        name: "XDEL",
        run: entries::xdel,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key id [id ...]",
        summary: "Removes entries, and answers how many there were.",
        complexity: "O(log(s)) for each entry, s the length of the stream.",
        since: "5.0.0",
    },
    Row {
        name: "XTRIM",
        run: entries::xtrim,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
        summary: "Removes entries from the beginning of a stream.",
        complexity: "O(n), n the number of entries removed.",
        since: "5.0.0",
    },
    Row {
        name: "XDELEX",
        run: removing::xdelex,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Removes entries with or without what groups have to do with them, or those that \
                  all groups are done with.",
        complexity: "O(log(s)) for each entry, s the length of the stream.",
        since: "8.2.0",
    },
    Row {
        name: "XCFGSET",
        run: removing::xcfgset,
        arity: Arity::AtLeast(2),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]",
        summary: "Says for how long, and how many of, the names are remembered under which a \
                  producer has added entries.",
        complexity: "O(n), n the number of names that are forgotten.",
        since: "8.6.0",
    },
    Row {
        name: "XSETID",
        run: entries::xsetid,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: ADD,
        syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        summary: "Sets the id behind which a stream goes on.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "XREAD",
        run: read::xread,
        arity: Arity::AtLeast(4),
        keys: KeySpec::Streams,
        flags: READ.and(Flags::BLOCKING),
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        summary: "Gives the entries of several streams behind ids; waits for some.",
        complexity: "O(n), n the number of entries given.",
        since: "5.0.0",
    },
    Row {
        name: "XREADGROUP",
        run: read::xreadgroup,
        arity: Arity::AtLeast(7),
        keys: KeySpec::Streams,
        flags: Flags::WRITE.and(Flags::BLOCKING),
        syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] \
                 [NOACK] STREAMS key [key ...] id [id ...]",
        summary: "Gives a consumer entries that nobody in its group has got, or those that are \
                  pending for it; waits for some.",
        complexity: "O(n), n the number of entries given.",
        since: "5.0.0",
    },
    Row {
        name: "XACK",
        run: pending::xack,
        arity: Arity::AtLeast(4),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key group id [id ...]",
        summary: "Takes entries off the pending ones of a group, and answers how many there were.",
        complexity: "O(1) for each entry.",
        since: "5.0.0",
    },
    Row {
        name: "XACKDEL",
        run: removing::xackdel,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Takes entries off the pending ones of a group, and removes them as XDELEX does.",
        complexity: "O(log(s)) for each entry, s the length of the stream.",
        since: "8.2.0",
    },
    Row {
        name: "XNACK",
        run: removing::xnack,
        arity: Arity::AtLeast(7),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
        summary: "Gives pending entries back, so that any consumer may claim them at once.",
        complexity: "O(log(n)) for each entry, n the number of pending ones.",
        since: "8.8.0",
    },
    Row {
        name: "XPENDING",
        run: pending::xpending,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
        summary: "Gives the pending entries of a group, or a summary.",
        complexity: "O(n), n the number of entries given; a summary is O(c), c the number of \
                     consumers.",
        since: "5.0.0",
    },
    Row {
        name: "XCLAIM",
        run: claim::xclaim,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME \
                 unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        summary: "Gives pending entries to another consumer.",
        complexity: "O(log(n)) for each entry, n the number of pending ones.",
        since: "5.0.0",
    },
    Row {
        name: "XAUTOCLAIM",
        run: claim::xautoclaim,
        arity: Arity::AtLeast(6),
        keys: KeySpec::First,
        flags: Flags::WRITE.and(Flags::FAST),
        syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        summary: "Gives entries that have been pending for long to another consumer.",
        complexity: "O(count)",
        since: "6.2.0",
    },
    Row {
        name: "XGROUP CREATE",
        run: groups::create,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: ADD_GROUP,
        syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
        summary: "Makes a consumer group.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "XGROUP SETID",
        run: groups::set_id,
        arity: Arity::AtLeast(5),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key group <id | $> [ENTRIESREAD entries-read]",
        summary: "Sets the id behind which a group goes on.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "XGROUP DESTROY",
        run: groups::destroy,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key group",
        summary: "Removes a consumer group with all that is pending in it.",
        complexity: "O(n), n the number of pending entries.",
        since: "5.0.0",
    },
    Row {
        name: "XGROUP CREATECONSUMER",
        run: groups::create_consumer,
        arity: Arity::Exactly(5),
        keys: KeySpec::First,
        flags: ADD_GROUP,
        syntax: "key group consumer",
        summary: "Makes a consumer in a group.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "XGROUP DELCONSUMER",
        run: groups::delete_consumer,
        arity: Arity::Exactly(5),
        keys: KeySpec::First,
        flags: Flags::WRITE,
        syntax: "key group consumer",
        summary: "Removes a consumer from a group with all that is pending for it, and answers \
                  how much that was.",
        complexity: "O(n), n the number of pending entries of the consumer.",
        since: "5.0.0",
    },
    help::row("XGROUP HELP", "5.0.0"),
    Row {
        name: "XINFO STREAM",
        run: info::stream,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key [FULL [COUNT count]]",
        summary: "Describes a stream.",
        complexity: "O(b), b the number of the stream's blocks.",
        since: "5.0.0",
    },
    Row {
        name: "XINFO GROUPS",
        run: info::groups,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key",
        summary: "Describes the groups of a stream.",
        complexity: "O(g), g the number of groups.",
        since: "5.0.0",
    },
    Row {
        name: "XINFO CONSUMERS",
        run: info::consumers,
        arity: Arity::Exactly(4),
        keys: KeySpec::First,
        flags: READ,
        syntax: "key group",
        summary: "Describes the consumers of a group.",
        complexity: "O(c), c the number of consumers.",
        since: "5.0.0",
    },
    help::row("XINFO HELP", "5.0.0"),
];

// --- arguments --------------------------------------------------------------------------------

/// What it is called, as an event, that a command has made the consumer that it was to read for.
const CONSUMER_CREATED: &str = "xgroup-createconsumer";

const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

/// The next word, as an id; a missing number is 0.
fn id(args: &mut Args<'_>) -> Result<Id> {
    parse_id(args.bytes()?)
}

fn parse_id(word: &[u8]) -> Result<Id> {
    Id::parse(word, 0).ok_or(Error::text(INVALID_ID))
}

/// A word as the bound of a range.
fn parse_bound(bound: Bound, word: &[u8]) -> Result<Id> {
    bound.parse(word).map_err(|error| {
        Error::text(match (error, bound) {
            (NoBound::NotAnId, _) => INVALID_ID,
            (NoBound::Nothing, Bound::Start) => "ERR invalid start ID for the interval",
            (NoBound::Nothing, Bound::End) => "ERR invalid end ID for the interval",
        })
    })
}

/// The next word, as an integer, or this error.
fn int_or(args: &mut Args<'_>, text: &'static str) -> Result<i64> {
    match args.int() {
        Err(Error::NotAnInteger) => Err(Error::text(text)),
        number => number,
    }
}

/// Reads the next word if it is this one and another follows.
fn option_with_value(args: &mut Args<'_>, name: &str) -> bool {
    args.len() > 1 && args.option(name)
}

// --- groups -----------------------------------------------------------------------------------

/// The stream of a key and one of its groups.
fn stream_and_group<'k>(
    keyspace: &'k Keyspace<'_>,
    key: &[u8],
    group: &[u8],
) -> Result<Option<(&'k Stream, &'k Group)>> {
    let stream = keyspace.read::<Stream>(key)?;
    Ok(stream.and_then(|stream| Some((stream, stream.groups.get(group)?))))
}

fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (shown(key), shown(group));
    Error::text(format!(
        "NOGROUP No such key '{key}' or consumer group '{group}'"
    ))
}

fn no_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (shown(key), shown(group));
    Error::text(format!(
        "NOGROUP No such consumer group '{group}' for key name '{key}'"
    ))
}

// --- answers ----------------------------------------------------------------------------------

fn answer_id(reply: &mut dyn Reply, id: Id) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    // Twice the digits of the largest number, and what is between.
    let mut text = [b'-'; 2 * 20 + 1];
    let len = ms.len() + 1 + seq.len();
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len() + 1..len].copy_from_slice(seq);
    reply.bulk(&text[..len]);
}

/// An entry is its id and its fields, names and values in turn.
fn answer_entry(reply: &mut dyn Reply, entry: Entry<'_>) {
    reply.array(2);
    answer_fields(reply, entry);
}

/// The id of an entry, and its fields.
fn answer_fields(reply: &mut dyn Reply, entry: Entry<'_>) {
    answer_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields {
        reply.bulk(name);
        reply.bulk(value);
    }
}

fn answer_entries<'l>(reply: &mut dyn Reply, entries: impl Iterator<Item = Entry<'l>>) {
    let entries: Vec<Entry<'_>> = entries.collect();
    reply.array(entries.len());
    for entry in entries {
        answer_entry(reply, entry);
    }
}

fn answer_entry_or_null(reply: &mut dyn Reply, entry: Option<Entry<'_>>) {
    match entry {
        Some(entry) => answer_entry(reply, entry),
        None => reply.null(),
    }
}
