//! XREAD and XREADGROUP.

use larder_store::Command as Request;

use super::super::{Entry, Group, Id, Log, Stream};
use super::claim::DELIVERIES_MAX;
use super::{
    CONSUMER_CREATED, answer_entries, answer_entry, answer_fields, answer_id, int_or,
    option_with_value, parse_id, stream_and_group,
};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result, shown};
use crate::keyspace::Keyspace;
use crate::keyspace::entry::Kind;
use crate::keyspace::waiting::{Nothing, Wait};
use crate::reply::Reply;

/// What both commands read from their arguments.
struct Options<'a> {
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// The most entries of each stream.
    count: usize,
    /// How long to wait, in microseconds, if at all; `Some(None)` is for ever.
    wait_us: Option<Option<u64>>,
    no_ack: bool,
    /// For how long an entry has to be pending to be claimed, in milliseconds, if any is.
    claim_ms: Option<u64>,
    /// Each stream's key, and from where it is read.
    streams: Vec<(&'a [u8], &'a [u8])>,
}

/// Which command is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Alone,
    InGroup,
}

impl<'a> Options<'a> {
    fn read(call: &mut Call<'a, '_>, reader: Reader) -> Result<Options<'a>> {
        let mut options = Options {
            group: None,
            count: usize::MAX,
            wait_us: None,
            no_ack: false,
            claim_ms: None,
            streams: Vec::new(),
        };
        let (args, keyspace) = (&mut call.args, &call.keyspace);
        loop {
            if option_with_value(args, "BLOCK") {
                options.wait_us = Some(args.timeout_ms(keyspace.now())?);
            } else if option_with_value(args, "COUNT") {
                options.count = match usize::try_from(args.int()?) {
                    Ok(count @ 1..) => count,
                    _ => usize::MAX,
                };
            } else if option_with_value(args, "CLAIM") {
                only_in_group(reader, "CLAIM")?;
                options.claim_ms = Some(claim_ms(args)?);
            } else if option_with_value(args, "STREAMS") {
                break;
            } else if args.len() > 2 && args.option("GROUP") {
                only_in_group(reader, "GROUP")?;
                options.group = Some((args.bytes()?, args.bytes()?));
            } else if args.option("NOACK") {
                only_in_group(reader, "NOACK")?;
                options.no_ack = true;
            } else {
                return Err(Error::Syntax);
            }
        }
        options.streams = keys_and_ids(args, reader)?;
        if reader == Reader::InGroup && options.group.is_none() {
            return Err(Error::text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    fn keys(&self) -> Vec<Box<[u8]>> {
        let mut keys: Vec<Box<[u8]>> = self.streams.iter().map(|&(key, _)| key.into()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Reads for how long an entry has to be pending to be claimed.
fn claim_ms(args: &mut Args<'_>) -> Result<u64> {
    let number = int_or(args, "ERR min-idle-time is not an integer")?;
    let refusal = Error::text("ERR min-idle-time must be a positive integer");
    u64::try_from(number).map_err(|_| refusal)
}

fn only_in_group(reader: Reader, option: &str) -> Result<()> {
    match reader {
        Reader::InGroup => Ok(()),
        Reader::Alone => Err(Error::text(format!(
            "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
        ))),
    }
}

/// The keys, and the ids that stand behind them all.
fn keys_and_ids<'a>(args: &mut Args<'a>, reader: Reader) -> Result<Vec<(&'a [u8], &'a [u8])>> {
    let len = args.len();
    if !len.is_multiple_of(2) {
        let (name, ids) = match reader {
            Reader::Alone => ("xread", "ID, '+', or '$'"),
            Reader::InGroup => ("xreadgroup", "ID or '>'"),
        };
        return Err(Error::text(format!(
            "ERR Unbalanced '{name}' list of streams: for each stream key an {ids} must be \
             specified."
        )));
    }
    let keys = args.take(len / 2)?;
    Ok(keys.iter().zip(args.rest()).collect())
}

// --- reading alone ----------------------------------------------------------------------------

const ONLY_IN_GROUP: &str = "ERR The > ID can be specified only when calling XREADGROUP using the \
                             GROUP <group> <consumer> option.";

pub(super) fn xread(call: &mut Call<'_, '_>) -> Result<()> {
    let options = Options::read(call, Reader::Alone)?;
    let mut after = Vec::with_capacity(options.streams.len());
    for &(key, word) in &options.streams {
        after.push(start_of(call.keyspace, key, word)?);
    }

    let mut found: Vec<(&[u8], Vec<Entry<'_>>)> = Vec::new();
    for (&(key, _), &after) in options.streams.iter().zip(&after) {
        let Some(stream) = call.keyspace.read::<Stream>(key)? else {
            continue;
        };
        let entries: Vec<_> = stream.log.range_after(after).take(options.count).collect();
        if !entries.is_empty() {
            found.push((key, entries));
        }
    }
    if !found.is_empty() {
        open_streams(call.reply, found.len());
        for (key, entries) in found {
            open_stream(call.reply, key);
            answer_entries(call.reply, entries.into_iter());
        }
        return Ok(());
    }
    match options.wait_us {
        None => call.reply.null_array(),
        Some(timeout_us) => {
            let request = with_ids(call, &after);
            call.wait_for(Wait {
                keys: options.keys(),
                kind: Some(Kind::Stream),
                timeout_us,
                nothing: Nothing::NullArray,
                request: Some(request),
            });
        }
    }
    Ok(())
}

/// The id behind which XREAD reads a stream.
fn start_of(keyspace: &Keyspace<'_>, key: &[u8], word: &[u8]) -> Result<Id> {
    let log = keyspace.read::<Stream>(key)?.map(|stream| &stream.log);
    Ok(match (word, log) {
        (b"$", Some(log)) => log.last_id(),
        // Behind the last but one, so that the last one is read.
        (b"+", Some(log)) => match log.last().and_then(|last| last.id.previous()) {
            Some(id) => id,
            None => log.last_id(),
        },
        (b"$" | b"+", None) => Id::MIN,
        (b">", _) => return Err(Error::text(ONLY_IN_GROUP)),
        _ => parse_id(word)?,
    })
}

/// The request with these ids, so that `$` means the same when it is run again.
fn with_ids(call: &Call<'_, '_>, ids: &[Id]) -> Request {
    let words = call.request();
    let mut request = Request::from(words.slice(0..words.len() - ids.len()));
    for id in ids {
        request.push(id.to_string());
    }
    request
}

// --- reading in a group -----------------------------------------------------------------------

const NO_DOLLAR: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to \
                         read the history of this consumer by specifying a proper ID, or use the \
                         > ID to get new messages. The $ ID would just return an empty result set.";
const NO_PLUS: &str = "ERR The + ID is meaningless in the context of XREADGROUP: you want to read \
                       the history of this consumer by specifying a proper ID, or use the > ID to \
                       get new messages. The + ID would just return an empty result set.";

/// What a consumer asks for.
#[derive(Clone, Copy)]
enum Wanted {
    /// Entries that nobody in the group has got.
    New,
    /// Its own pending entries behind this id.
    PendingAfter(Id),
}

/// What it gets.
enum Served {
    /// The entries from one id to another.
    New(Id, Id),
    Pending(Vec<Id>),
    /// Entries that others had, and then new ones, the ids of the first and the last.
    Claimed(Vec<Claimed>, Option<(Id, Id)>),
}

/// An entry that was pending, as it was before.
struct Claimed {
    id: Id,
    idle_ms: i64,
    deliveries: u64,
}

pub(super) fn xreadgroup(call: &mut Call<'_, '_>) -> Result<()> {
    let options = Options::read(call, Reader::InGroup)?;
    let Some((group, _)) = options.group else {
        return Err(Error::Syntax);
    };
    let mut wanted = Vec::with_capacity(options.streams.len());
    for &(key, word) in &options.streams {
        if stream_and_group(call.keyspace, key, group)?.is_none() {
            return Err(no_group(key, group));
        }
        wanted.push(match word {
            b"$" => return Err(Error::text(NO_DOLLAR)),
            b"+" => return Err(Error::text(NO_PLUS)),
            b">" => Wanted::New,
            _ => Wanted::PendingAfter(parse_id(word)?),
        });
    }

    let mut served = Vec::new();
    for (&(key, _), wanted) in options.streams.iter().zip(wanted) {
        if let Some(got) = serve(call.keyspace, key, wanted, &options)? {
            served.push((key, got));
        }
    }
    if !served.is_empty() {
        open_streams(call.reply, served.len());
        for (key, got) in served {
            answer_served(call, key, got)?;
        }
        return Ok(());
    }
    match options.wait_us {
        None => call.reply.null_array(),
        Some(timeout_us) => {
            look_again(call, &options, group, timeout_us)?;
            call.wait_for(Wait {
                keys: options.keys(),
                // That the group has gone is an answer too.
                kind: None,
                timeout_us,
                nothing: Nothing::NullArray,
                request: None,
            });
        }
    }
    Ok(())
}

/// How soon a caller that waits for entries to claim looks again, at the least, where there is none that
/// could be claimed.
const LOOK_AGAIN_MS: u64 = 100;

/// Has a caller that waits look again when the next entry may be claimed: nothing changes then.
fn look_again(
    call: &mut Call<'_, '_>,
    options: &Options<'_>,
    group: &[u8],
    timeout_us: Option<u64>,
) -> Result<()> {
    let Some(claim_ms) = options.claim_ms.filter(|_| call.may_wait()) else {
        return Ok(());
    };
    let (now_ms, db, ticks) = (
        call.keyspace.now_ms(),
        call.keyspace.db(),
        call.keyspace.ticks(),
    );
    for &(key, _) in &options.streams {
        let mut stream = call.keyspace.write_existing::<Stream>(key)?;
        let Some(stream) = &mut stream else {
            continue;
        };
        let group = stream.groups.get_mut(group);
        let first_ms = group.and_then(Group::first_delivered_at_ms);
        stream.unchanged();
        let wait_ms = match first_ms {
            None => claim_ms.max(LOOK_AGAIN_MS),
            Some(at_ms) => at_ms.saturating_add(claim_ms).saturating_sub(now_ms).max(1),
        };
        let wait_us = wait_ms.saturating_mul(1000);
        if timeout_us.is_none_or(|timeout_us| wait_us < timeout_us) {
            call.engine.look_again(ticks.after_us(wait_us), db, key);
        }
    }
    Ok(())
}

fn no_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (shown(key), shown(group));
    Error::text(format!(
        "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
    ))
}

/// Delivers what a consumer wants of one stream; `None` if there is nothing new.
fn serve(
    keyspace: &mut Keyspace<'_>,
    key: &[u8],
    wanted: Wanted,
    options: &Options<'_>,
) -> Result<Option<Served>> {
    let now_ms = keyspace.now_ms();
    let Some((group, consumer)) = options.group else {
        return Ok(None);
    };
    let mut guard = keyspace.write::<Stream>(key)?;
    guard.unwatched();
    let Stream { log, groups, .. } = &mut *guard;
    let Some(group) = groups.get_mut(group) else {
        return Ok(None);
    };

    let is_new = group.add_consumer(consumer, now_ms);
    group.see(consumer, now_ms);
    let served = match wanted {
        Wanted::New => match options.claim_ms {
            None => deliver_new(log, group, consumer, options, options.count, now_ms)
                .map(|(first, last)| Served::New(first, last)),
            Some(claim_ms) => {
                let claimed = claim(log, group, consumer, (claim_ms, options.count), now_ms);
                let count = options.count - claimed.len();
                let new = deliver_new(log, group, consumer, options, count, now_ms);
                let is_none = claimed.is_empty() && new.is_none();
                (!is_none).then_some(Served::Claimed(claimed, new))
            }
        },
        Wanted::PendingAfter(after) => {
            let ids = group.pending_ids_of(consumer, after, options.count);
            for &id in ids.iter().filter(|&&id| log.get(id).is_some()) {
                group.deliver_again(id, now_ms);
            }
            Some(Served::Pending(ids))
        }
    };
    // To give a consumer once more what it has is no change, as in Redis.
    let is_change = matches!(served, Some(Served::New(..) | Served::Claimed(..)));
    if is_new {
        guard.event(CONSUMER_CREATED);
    } else if !is_change {
        guard.unchanged();
    }
    Ok(served)
}

/// Delivers entries that nobody in the group has got, and answers the ids of the first and the last.
fn deliver_new(
    log: &Log,
    group: &mut Group,
    consumer: &[u8],
    options: &Options<'_>,
    count: usize,
    now_ms: u64,
) -> Option<(Id, Id)> {
    let ids = log.range_after(group.last_delivered_id()).take(count);
    let ids: Vec<Id> = ids.map(|entry| entry.id).collect();
    for &id in &ids {
        group.advance(id, log);
        if !options.no_ack {
            group.deliver(id, consumer, now_ms);
        }
    }
    Some((*ids.first()?, *ids.last()?))
}

/// Gives a consumer up to `count` entries that have been pending for so many milliseconds, those first
/// that have been so for longest. What has been removed from the stream is pending no more.
fn claim(
    log: &Log,
    group: &mut Group,
    consumer: &[u8],
    (claim_ms, count): (u64, usize),
    now_ms: u64,
) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    for id in group.claimable(claim_ms, now_ms, count) {
        if log.get(id).is_none() {
            group.forget(id);
            continue;
        }
        let Some(pending) = group.pending(id) else {
            continue;
        };
        let (idle_ms, deliveries) = (pending.idle_ms(now_ms), pending.deliveries);
        claimed.push(Claimed {
            id,
            idle_ms,
            deliveries,
        });
        let deliveries = deliveries.saturating_add(1).min(DELIVERIES_MAX);
        group.assign(id, consumer, now_ms, deliveries);
        group.activate(consumer, now_ms);
    }
    claimed
}

fn answer_served(call: &mut Call<'_, '_>, key: &[u8], served: Served) -> Result<()> {
    open_stream(call.reply, key);
    let Some(stream) = call.keyspace.read::<Stream>(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    match served {
        Served::New(first, last) => answer_entries(call.reply, stream.log.range(first, last)),
        Served::Pending(ids) => {
            call.reply.array(ids.len());
            for id in ids {
                answer_pending(call.reply, id, stream.log.get(id));
            }
        }
        Served::Claimed(claimed, new) => {
            let new = new.map(|(first, last)| stream.log.range(first, last));
            let new: Vec<Entry<'_>> = new.into_iter().flatten().collect();
            call.reply.array(claimed.len() + new.len());
            for one in claimed {
                if let Some(entry) = stream.log.get(one.id) {
                    answer_claimed(call.reply, entry, one.idle_ms, one.deliveries);
                }
            }
            new.into_iter()
                .for_each(|entry| answer_claimed(call.reply, entry, 0, 0));
        }
    }
    Ok(())
}

/// An entry, for how long it had been pending, and how often it had been delivered.
fn answer_claimed(reply: &mut dyn Reply, entry: Entry<'_>, idle_ms: i64, deliveries: u64) {
    reply.array(4);
    answer_fields(reply, entry);
    reply.int(idle_ms);
    reply.int(deliveries as i64);
}

/// A pending entry; one that has been removed has no fields.
fn answer_pending(reply: &mut dyn Reply, id: Id, entry: Option<Entry<'_>>) {
    match entry {
        Some(entry) => answer_entry(reply, entry),
        None => {
            reply.array(2);
            answer_id(reply, id);
            reply.null_array();
        }
    }
}

// --- answers ----------------------------------------------------------------------------------

/// Opens an answer with so many streams: a map, or pairs in RESP2.
fn open_streams(reply: &mut dyn Reply, len: usize) {
    match reply.is_resp3() {
        true => reply.map(len),
        false => reply.array(len),
    }
}

/// Opens one stream of the answer; its entries follow.
fn open_stream(reply: &mut dyn Reply, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}
