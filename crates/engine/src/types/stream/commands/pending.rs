//! XACK and XPENDING.

use super::super::{Bound, Group, Id, Pending, Stream};
use super::{answer_id, no_key_or_group, parse_bound, parse_id, stream_and_group};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::reply::Reply;

pub(super) fn xack(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, ids) = (call.args.key()?, call.args.bytes()?, call.args.rest());
    if stream_and_group(call.keyspace, key, name)?.is_none() {
        call.reply.int(0);
        return Ok(());
    }
    let ids = ids.map(parse_id).collect::<Result<Vec<Id>>>()?;

    let mut stream = call.keyspace.write::<Stream>(key)?;
    stream.unwatched();
    let Some(group) = stream.groups.get_mut(name) else {
        return Err(Error::Internal);
    };
    let acknowledged = ids.into_iter().filter(|&id| group.forget(id)).count();
    if acknowledged == 0 {
        stream.unchanged();
    }
    call.reply.int(acknowledged as i64);
    Ok(())
}

/// What the long form of XPENDING asks for.
struct Query<'a> {
    idle_min_ms: u64,
    start: Id,
    end: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Query<'a> {
    /// `None` is the short form, which asks for a summary.
    fn read(args: &mut Args<'a>) -> Result<Option<Query<'a>>> {
        match args.len() {
            0 => return Ok(None),
            3..=6 => {}
            _ => return Err(Error::Syntax),
        }
        let mut idle_min_ms = 0;
        if args.option("IDLE") {
            idle_min_ms = u64::try_from(args.int()?).unwrap_or(0);
        }
        let (start, end) = (args.bytes()?, args.bytes()?);
        let count = usize::try_from(args.int()?).unwrap_or(0);
        Ok(Some(Query {
            idle_min_ms,
            start: parse_bound(Bound::Start, start)?,
            end: parse_bound(Bound::End, end)?,
            count,
            consumer: args.next(),
        }))
    }
}

pub(super) fn xpending(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name) = (call.args.key()?, call.args.bytes()?);
    let query = Query::read(&mut call.args)?;
    let now_ms = call.keyspace.now_ms();

    let found = stream_and_group(call.keyspace, key, name)?;
    let (_, group) = found.ok_or_else(|| no_key_or_group(key, name))?;
    match query {
        None => answer_summary(call.reply, group),
        Some(query) => answer_query(call.reply, group, &query, now_ms),
    }
    Ok(())
}

fn answer_summary(reply: &mut dyn Reply, group: &Group) {
    reply.array(4);
    reply.int(group.pending_len() as i64);
    let mut all = group.pending_range(Id::MIN, Id::MAX).map(|(id, _)| id);
    let Some(first) = all.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    answer_id(reply, first);
    answer_id(reply, all.next_back().unwrap_or(first));
    let having = || {
        group
            .consumers()
            .filter(|(_, consumer)| consumer.pending_len() > 0)
    };
    reply.array(having().count());
    for (name, consumer) in having() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(
            itoa::Buffer::new()
                .format(consumer.pending_len())
                .as_bytes(),
        );
    }
}

fn answer_query(reply: &mut dyn Reply, group: &Group, query: &Query<'_>, now_ms: u64) {
    let found: Vec<(Id, &Pending)> = match query.consumer {
        None => wanted(group.pending_range(query.start, query.end), query, now_ms),
        Some(name) => match group.consumer(name) {
            None => Vec::new(),
            Some(consumer) => {
                let own = group.pending_range_of(consumer, query.start, query.end);
                wanted(own, query, now_ms)
            }
        },
    };
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        answer_id(reply, id);
        reply.bulk(pending.consumer.as_deref().unwrap_or_default());
        reply.int(pending.idle_ms(now_ms));
        reply.int(pending.deliveries as i64);
    }
}

/// The pending entries that have been so for long enough, as many as are wanted.
fn wanted<'g>(
    pending: impl Iterator<Item = (Id, &'g Pending)>,
    query: &Query<'_>,
    now_ms: u64,
) -> Vec<(Id, &'g Pending)> {
    pending
        .filter(|(_, pending)| pending.is_idle(query.idle_min_ms, now_ms))
        .take(query.count)
        .collect()
}
