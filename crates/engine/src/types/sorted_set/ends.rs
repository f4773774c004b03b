//! The commands that take members from the lowest or the highest end, and those that wait for
//! members to take.

use super::commands::answer_members;
use super::{Score, SortedSet};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::keyspace::entry::{Kind, Object, Str};
use crate::keyspace::waiting::{Nothing, Wait};
use crate::reply::Reply;

/// From which end members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// What taking members from this end is called, as an event.
    fn popped(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

/// Members that have been taken, in the order of their taking, with their scores.
type Taken = Vec<(Vec<u8>, Score)>;

/// Takes up to so many members from an end of a set.
fn take(set: &mut SortedSet, end: End, count: usize) -> Taken {
    let (len, count) = (set.len(), count.min(set.len()));
    let ranks = match end {
        End::Min => 0..count,
        End::Max => len - count..len,
    };
    let members = set
        .range(ranks.clone())
        .map(|(member, score)| (member.to_vec(), score));
    let mut taken: Taken = members.collect();
    if end == End::Max {
        taken.reverse();
    }
    set.remove_ranks(ranks);
    taken
}

/// Takes members from the first of these keys that has some. Answers which it was.
fn take_from_first<'a>(
    keyspace: &mut Keyspace<'_>,
    keys: &[&'a [u8]],
    end: End,
    count: usize,
) -> Result<Option<(&'a [u8], Taken)>> {
    for key in keys {
        if let Some(mut set) = keyspace.write_existing::<SortedSet>(key)? {
            set.event(end.popped());
            return Ok(Some((key, take(&mut set, end, count))));
        }
    }
    Ok(None)
}

// --- one key ------------------------------------------------------------------------------------

pub(super) fn zpopmin(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, End::Min)
}

pub(super) fn zpopmax(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, End::Max)
}

fn pop(call: &mut Call<'_, '_>, end: End) -> Result<()> {
    let key = call.args.key()?;
    let count = match call.args.len() {
        0 => None,
        1 => Some(call.args.natural()? as usize),
        _ => return Err(Error::Syntax),
    };

    let mut taken = Taken::new();
    if let Some(mut set) = call.keyspace.write_existing::<SortedSet>(key)?
        && count != Some(0)
    {
        taken = take(&mut set, end, count.unwrap_or(1));
    }
    match (count, taken.first()) {
        // Without a count, a member and its score are no pair of their own.
        (None, Some((member, score))) => {
            call.reply.array(2);
            call.reply.bulk(member);
            call.reply.double(score.get());
        }
        _ => {
            let members = taken
                .iter()
                .map(|(member, score)| (Str::Bytes(member), *score));
            answer_members(call.reply, taken.len(), members, true);
        }
    }
    Ok(())
}

// --- the first of several keys ------------------------------------------------------------------

/// What ZMPOP and BZMPOP ask for.
struct Request<'a> {
    keys: Vec<&'a [u8]>,
    end: End,
    count: usize,
}

impl<'a> Request<'a> {
    fn read(args: &mut Args<'a>) -> Result<Request<'a>> {
        let no_keys = Error::text("ERR numkeys should be greater than 0");
        let count = args.positive_or(no_keys)?;
        let keys = args.take(count)?.iter().collect();
        let end = match () {
            () if args.option("MIN") => End::Min,
            () if args.option("MAX") => End::Max,
            () => return Err(Error::Syntax),
        };
        let mut count = 1;
        if args.option("COUNT") {
            count = args.positive_or(Error::text("ERR count should be greater than 0"))?;
        }
        args.end()?;
        Ok(Request { keys, end, count })
    }

    /// Takes and answers members, if there are any. Answers whether there were.
    fn run(&self, keyspace: &mut Keyspace<'_>, reply: &mut dyn Reply) -> Result<bool> {
        let Some((key, taken)) = take_from_first(keyspace, &self.keys, self.end, self.count)?
        else {
            return Ok(false);
        };
        reply.array(2);
        reply.bulk(key);
        reply.array(taken.len());
        for (member, score) in &taken {
            reply.array(2);
            reply.bulk(member);
            reply.double(score.get());
        }
        Ok(true)
    }
}

pub(super) fn zmpop(call: &mut Call<'_, '_>) -> Result<()> {
    let request = Request::read(&mut call.args)?;
    if !request.run(call.keyspace, call.reply)? {
        call.reply.null_array();
    }
    Ok(())
}

// --- waiting ------------------------------------------------------------------------------------

/// Waits until one of these keys holds a sorted set.
fn wait(call: &mut Call<'_, '_>, keys: &[&[u8]], timeout_us: Option<u64>) {
    call.wait_for(Wait {
        keys: keys.iter().map(|key| (*key).into()).collect(),
        kind: Some(Kind::SortedSet),
        timeout_us,
        nothing: Nothing::NullArray,
        request: None,
    });
}

pub(super) fn bzmpop(call: &mut Call<'_, '_>) -> Result<()> {
    let timeout_us = call.timeout_s();
    let request = Request::read(&mut call.args)?;
    let timeout_us = timeout_us?;
    if !request.run(call.keyspace, call.reply)? {
        wait(call, &request.keys, timeout_us);
    }
    Ok(())
}

pub(super) fn bzpopmin(call: &mut Call<'_, '_>) -> Result<()> {
    pop_or_wait(call, End::Min)
}

pub(super) fn bzpopmax(call: &mut Call<'_, '_>) -> Result<()> {
    pop_or_wait(call, End::Max)
}

fn pop_or_wait(call: &mut Call<'_, '_>, end: End) -> Result<()> {
    let keys: Vec<_> = call.args.take(call.args.len() - 1)?.iter().collect();
    let timeout_us = call.timeout_s()?;

    let Some((key, taken)) = take_from_first(call.keyspace, &keys, end, 1)? else {
        wait(call, &keys, timeout_us);
        return Ok(());
    };
    for (member, score) in &taken {
        call.reply.array(3);
        call.reply.bulk(key);
        call.reply.bulk(member);
        call.reply.double(score.get());
    }
    Ok(())
}
