//! XINFO.

use super::super::{Consumer, Group, Id, Log, Producers, Stream};
use super::{answer_entries, answer_entry_or_null, answer_id, no_group};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::reply::Reply;

/// How many entries, and pending entries of each group and consumer, the long form gives.
const COUNT_DEFAULT: usize = 10;

/// `None` is the short form; else how many of each the long form is to give.
fn read_count(args: &mut Args<'_>) -> Result<Option<usize>> {
    let refusal = args.subcommand_syntax();
    let wrong = || refusal.clone();
    if args.is_empty() {
        return Ok(None);
    }
    if !args.option("FULL") {
        return Err(wrong());
    }
    match args.len() {
        0 => Ok(Some(COUNT_DEFAULT)),
        2 if args.option("COUNT") => Ok(Some(match usize::try_from(args.int()?) {
            Ok(0) => usize::MAX,
            Ok(count) => count,
            Err(_) => COUNT_DEFAULT,
        })),
        _ => Err(wrong()),
    }
}

pub(super) fn stream(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let count = read_count(&mut call.args);
    let stream = call.keyspace.read::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let (log, reply) = (&stream.log, &mut *call.reply);
    match count? {
        None => {
            let producers = stream.producers.as_deref();
            reply.map(if producers.is_some() { 16 } else { 10 });
            answer_counters(reply, log);
            if let Some(producers) = producers {
                answer_producers(reply, producers);
            }
            named_int(reply, "groups", stream.groups.len());
            reply.bulk(b"first-entry");
            answer_entry_or_null(reply, log.first());
            reply.bulk(b"last-entry");
            answer_entry_or_null(reply, log.last());
        }
        Some(count) => {
            let producers = stream.producers.as_deref();
            reply.map(if producers.is_some() { 15 } else { 9 });
            answer_counters(reply, log);
            if let Some(producers) = producers {
                answer_producers(reply, producers);
            }
            reply.bulk(b"entries");
            answer_entries(reply, log.range(Id::MIN, Id::MAX).take(count));
            reply.bulk(b"groups");
            reply.array(stream.groups.len());
            for (name, group) in &stream.groups {
                answer_full_group(reply, name, group, log, count);
            }
        }
    }
    Ok(())
}

/// What is remembered of producers. Redis shows it since 8.6; here it is shown where there is some, so
/// that clients of older servers see what they know.
fn answer_producers(reply: &mut dyn Reply, producers: &Producers) {
    named_int(
        reply,
        "idmp-duration",
        producers.duration_ms() as usize / 1000,
    );
    named_int(reply, "idmp-maxsize", producers.names_max());
    named_int(reply, "pids-tracked", producers.len());
    named_int(reply, "iids-tracked", producers.names());
    named_int(reply, "iids-added", producers.added() as usize);
    named_int(reply, "iids-duplicates", producers.repeated() as usize);
}

/// The seven counters that both forms begin with.
fn answer_counters(reply: &mut dyn Reply, log: &Log) {
    named_int(reply, "length", log.len() as usize);
    named_int(reply, "radix-tree-keys", log.block_ids().len());
    named_int(reply, "radix-tree-nodes", radix_tree_nodes(log));
    named_id(reply, "last-generated-id", log.last_id());
    named_id(reply, "max-deleted-entry-id", log.max_removed_id());
    named_int(reply, "entries-added", log.entries_added() as usize);
    named_id(reply, "recorded-first-entry-id", log.first_id());
}

fn answer_full_group(reply: &mut dyn Reply, name: &[u8], group: &Group, log: &Log, count: usize) {
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    named_id(reply, "last-delivered-id", group.last_delivered_id());
    named_int_or_null(
        reply,
        "entries-read",
        group.entries_read().map(u64::cast_signed),
    );
    named_int_or_null(reply, "lag", group.lag(log));
    named_int(reply, "pel-count", group.pending_len());

    reply.bulk(b"pending");
    reply.array(group.pending_len().min(count));
    for (id, pending) in group.pending_range(Id::MIN, Id::MAX).take(count) {
        reply.array(4);
        answer_id(reply, id);
        reply.bulk(pending.consumer.as_deref().unwrap_or_default());
        reply.int(pending.delivered_at_ms().unwrap_or(0) as i64);
        reply.int(pending.deliveries as i64);
    }

    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        answer_full_consumer(reply, name, consumer, group, count);
    }
}

fn answer_full_consumer(
    reply: &mut dyn Reply,
    name: &[u8],
    consumer: &Consumer,
    group: &Group,
    count: usize,
) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(name);
    named_int(reply, "seen-time", consumer.seen_ms as usize);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms.map_or(-1, |at| at as i64));
    named_int(reply, "pel-count", consumer.pending_len());

    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    for (id, pending) in group
        .pending_range_of(consumer, Id::MIN, Id::MAX)
        .take(count)
    {
        reply.array(3);
        answer_id(reply, id);
        reply.int(pending.delivered_at_ms().unwrap_or(0) as i64);
        reply.int(pending.deliveries as i64);
    }
}

pub(super) fn groups(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let stream = call.keyspace.read::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let reply = &mut *call.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        named_int(reply, "consumers", group.consumers().len());
        named_int(reply, "pending", group.pending_len());
        named_id(reply, "last-delivered-id", group.last_delivered_id());
        named_int_or_null(
            reply,
            "entries-read",
            group.entries_read().map(u64::cast_signed),
        );
        named_int_or_null(reply, "lag", group.lag(&stream.log));
    }
    Ok(())
}

pub(super) fn consumers(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name) = (call.args.key()?, call.args.bytes()?);
    let now_ms = call.keyspace.now_ms();
    let stream = call.keyspace.read::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let group = stream.groups.get(name).ok_or_else(|| no_group(key, name))?;
    let reply = &mut *call.reply;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(name);
        named_int(reply, "pending", consumer.pending_len());
        named_int(
            reply,
            "idle",
            now_ms.saturating_sub(consumer.seen_ms) as usize,
        );
        reply.bulk(b"inactive");
        reply.int(
            consumer
                .active_ms
                .map_or(-1, |at| now_ms.saturating_sub(at) as i64),
        );
    }
    Ok(())
}

// --- answers ----------------------------------------------------------------------------------

fn named_int(reply: &mut dyn Reply, name: &str, number: usize) {
    reply.bulk(name.as_bytes());
    reply.int(number as i64);
}

fn named_int_or_null(reply: &mut dyn Reply, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.int(number),
        None => reply.null(),
    }
}

fn named_id(reply: &mut dyn Reply, name: &str, id: Id) {
    reply.bulk(name.as_bytes());
    answer_id(reply, id);
}

/// How many nodes Redis's radix tree would have with the ids of the blocks as its keys.
///
/// A key is 16 bytes, and a leaf of the tree. Where keys part there is a node; what lies between
/// two such nodes, or behind the last, is one node more, unless it is empty.
fn radix_tree_nodes(log: &Log) -> usize {
    let keys: Vec<[u8; 16]> = log.block_ids().map(Id::to_bytes).collect();
    match keys.len() {
        0 => 1,
        _ => nodes_below(&keys, 0),
    }
}

fn nodes_below(keys: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return 0;
    };
    let parting = (depth..16).find(|&at| first[at] != last[at]);
    let Some(parting) = parting else {
        return usize::from(depth < 16) + 1;
    };
    let branches = keys.chunk_by(|one, other| one[parting] == other[parting]);
    let below: usize = branches
        .map(|branch| nodes_below(branch, parting + 1))
        .sum();
    usize::from(depth < parting) + 1 + below
}
