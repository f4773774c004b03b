//! XCLAIM and XAUTOCLAIM.

use super::super::{Bound, Group, Id, Log, Stream};
use super::{
    CONSUMER_CREATED, answer_entry_or_null, answer_id, id, int_or, no_key_or_group,
    option_with_value, parse_bound, stream_and_group,
};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result, shown};
use crate::reply::Reply;

/// How an entry that is claimed is noted.
#[derive(Clone, Copy)]
struct Claim<'a> {
    consumer: &'a [u8],
    idle_min_ms: u64,
    now_ms: u64,
    /// What is noted as the time of delivery.
    delivered_at_ms: u64,
    /// What is noted as the number of deliveries; `None` is one more than before.
    deliveries: Option<u64>,
    /// Whether an entry that is pending for nobody is claimed too.
    force: bool,
    just_id: bool,
}

/// The greatest number that an answer has.
pub(super) const DELIVERIES_MAX: u64 = i64::MAX as u64;

/// What became of an entry that was to be claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimed {
    Yes,
    No,
    /// It has been removed from the stream, and is no longer pending.
    Gone,
}

impl Claim<'_> {
    /// Claims one entry.
    fn apply(&self, log: &Log, group: &mut Group, id: Id) -> Claimed {
        if log.get(id).is_none() {
            return if group.forget(id) {
                Claimed::Gone
            } else {
                Claimed::No
            };
        }
        let before = match group.pending(id) {
            Some(pending) if !pending.is_idle(self.idle_min_ms, self.now_ms) => return Claimed::No,
            Some(pending) => pending.deliveries,
            None if self.force => 1,
            None => return Claimed::No,
        };
        let deliveries = match self.deliveries {
            Some(deliveries) => deliveries,
            None if self.just_id => before,
            None => before.saturating_add(1).min(DELIVERIES_MAX),
        };
        group.assign(id, self.consumer, self.delivered_at_ms, deliveries);
        group.activate(self.consumer, self.now_ms);
        Claimed::Yes
    }
}

/// Answers entries by their ids, or the ids alone.
fn answer_claimed(reply: &mut dyn Reply, log: &Log, ids: &[Id], just_id: bool) {
    reply.array(ids.len());
    for &id in ids {
        if just_id {
            answer_id(reply, id);
        } else {
            answer_entry_or_null(reply, log.get(id));
        }
    }
}

// --- by id ------------------------------------------------------------------------------------

/// The options of XCLAIM.
#[derive(Default)]
struct Options {
    delivered_at_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: Id,
}

impl Options {
    fn read(args: &mut Args<'_>, now_ms: u64) -> Result<Options> {
        let mut options = Options::default();
        while !args.is_empty() {
            if args.option("FORCE") {
                options.force = true;
            } else if args.option("JUSTID") {
                options.just_id = true;
            } else if option_with_value(args, "IDLE") {
                let idle_ms = int_or(args, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_at_ms = Some((now_ms as i64).saturating_sub(idle_ms));
            } else if option_with_value(args, "TIME") {
                let time_ms = int_or(args, "ERR Invalid TIME option argument for XCLAIM")?;
                options.delivered_at_ms = Some(time_ms);
            } else if option_with_value(args, "RETRYCOUNT") {
                let count = int_or(args, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if option_with_value(args, "LASTID") {
                options.last_id = id(args)?;
            } else {
                let word = shown(args.bytes()?);
                return Err(Error::text(format!(
                    "ERR Unrecognized XCLAIM option '{word}'"
                )));
            }
        }
        Ok(options)
    }

    /// The time of delivery to note. One that is not in the past is now: clocks differ.
    fn delivered_at_ms(&self, now_ms: u64) -> u64 {
        let at = self.delivered_at_ms.and_then(|at| u64::try_from(at).ok());
        at.filter(|&at| at <= now_ms).unwrap_or(now_ms)
    }
}

/// The words up to the first that is no id.
fn leading_ids(args: &mut Args<'_>) -> Vec<Id> {
    let mut ids = Vec::new();
    while let Some(id) = args.peek().and_then(|word| Id::parse(word, 0)) {
        ids.push(id);
        args.next();
    }
    ids
}

pub(super) fn xclaim(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, consumer) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let now_ms = call.keyspace.now_ms();
    if stream_and_group(call.keyspace, key, name)?.is_none() {
        return Err(no_key_or_group(key, name));
    }
    let idle_min_ms = int_or(
        &mut call.args,
        "ERR Invalid min-idle-time argument for XCLAIM",
    )?;
    let ids = leading_ids(&mut call.args);
    let options = Options::read(&mut call.args, now_ms)?;

    let mut guard = call.keyspace.write::<Stream>(key)?;
    guard.unwatched();
    let Stream { log, groups, .. } = &mut *guard;
    let Some(group) = groups.get_mut(name) else {
        return Err(Error::Internal);
    };
    let is_new = group.add_consumer(consumer, now_ms);
    let mut is_changed = is_new;
    group.see(consumer, now_ms);
    if options.last_id > group.last_delivered_id() {
        group.set_position(options.last_id, group.entries_read());
        is_changed = true;
    }
    let claim = Claim {
        consumer,
        idle_min_ms: u64::try_from(idle_min_ms).unwrap_or(0),
        now_ms,
        delivered_at_ms: options.delivered_at_ms(now_ms),
        deliveries: options.deliveries,
        force: options.force,
        just_id: options.just_id,
    };
    let mut claimed = Vec::new();
    for id in ids {
        let result = claim.apply(log, group, id);
        is_changed |= result != Claimed::No;
        if result == Claimed::Yes {
            claimed.push(id);
        }
    }
    answer_claimed(call.reply, log, &claimed, options.just_id);
    if is_new {
        guard.event(CONSUMER_CREATED);
    }
    if !is_changed {
        guard.unchanged();
    }
    Ok(())
}

// --- by time ----------------------------------------------------------------------------------

/// How many pending entries XAUTOCLAIM looks at for each that it may claim.
const LOOKS_PER_CLAIM: usize = 10;

/// The most entries that XAUTOCLAIM can be asked for.
const COUNT_MAX: i64 = i64::MAX / 16;
/// Redis makes room for so many ids at once; those of more would not fit into any address space.
const COUNT_IN_MEMORY_MAX: i64 = (1 << 47) / 16;

pub(super) fn xautoclaim(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, consumer) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let now_ms = call.keyspace.now_ms();
    let idle_min_ms = int_or(
        &mut call.args,
        "ERR Invalid min-idle-time argument for XAUTOCLAIM",
    )?;
    let start = parse_bound(Bound::Start, call.args.bytes()?)?;
    let (mut count, mut just_id) = (100, false);
    while !call.args.is_empty() {
        if option_with_value(&mut call.args, "COUNT") {
            let number = int_or(&mut call.args, "ERR COUNT must be > 0")?;
            if !(1..=COUNT_MAX).contains(&number) {
                return Err(Error::text("ERR COUNT must be > 0"));
            }
            if number > COUNT_IN_MEMORY_MAX {
                return Err(Error::text(
                    "ERR Insufficient memory, failed allocating transient memory, COUNT too high.",
                ));
            }
            count = number as usize;
        } else if call.args.option("JUSTID") {
            just_id = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    if stream_and_group(call.keyspace, key, name)?.is_none() {
        return Err(no_key_or_group(key, name));
    }

    let mut guard = call.keyspace.write::<Stream>(key)?;
    guard.unwatched();
    let Stream { log, groups, .. } = &mut *guard;
    let Some(group) = groups.get_mut(name) else {
        return Err(Error::Internal);
    };
    let is_new = group.add_consumer(consumer, now_ms);
    group.see(consumer, now_ms);
    let claim = Claim {
        consumer,
        idle_min_ms: u64::try_from(idle_min_ms).unwrap_or(0),
        now_ms,
        delivered_at_ms: now_ms,
        deliveries: None,
        force: false,
        just_id,
    };
    let sweep = sweep(&claim, log, group, start, count);

    call.reply.array(3);
    answer_id(call.reply, sweep.next);
    answer_claimed(call.reply, log, &sweep.claimed, just_id);
    call.reply.array(sweep.gone.len());
    sweep.gone.iter().for_each(|&id| answer_id(call.reply, id));
    if is_new {
        guard.event(CONSUMER_CREATED);
    } else if sweep.claimed.is_empty() && sweep.gone.is_empty() {
        guard.unchanged();
    }
    Ok(())
}

/// What a step through the pending entries did.
struct Sweep {
    claimed: Vec<Id>,
    gone: Vec<Id>,
    /// Where the next step begins; `0-0` at the end.
    next: Id,
}

/// Claims up to `count` entries from `start` on.
fn sweep(claim: &Claim<'_>, log: &Log, group: &mut Group, start: Id, count: usize) -> Sweep {
    let looks = count.saturating_mul(LOOKS_PER_CLAIM);
    let ids = group.pending_range(start, Id::MAX).map(|(id, _)| id);
    let ids: Vec<Id> = ids.take(looks.saturating_add(1)).collect();
    let mut sweep = Sweep {
        claimed: Vec::new(),
        gone: Vec::new(),
        next: Id::MIN,
    };
    for (looked_at, &id) in ids.iter().enumerate() {
        if looked_at == looks || sweep.claimed.len() + sweep.gone.len() == count {
            sweep.next = id;
            break;
        }
        match claim.apply(log, group, id) {
            Claimed::Yes => sweep.claimed.push(id),
            Claimed::Gone => sweep.gone.push(id),
            Claimed::No => {}
        }
    }
    sweep
}
