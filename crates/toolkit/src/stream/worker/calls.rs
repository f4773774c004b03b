//! What a worker asks of the store.

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Error, Script};

use super::builder::Settings;
use crate::stream::entry::{self, Read};
use crate::stream::{Group, Id};

static CLAIM: Script = Script::new(include_str!("claim.lua"));
static SETTLE: Script = Script::new(include_str!("settle.lua"));
static BEAT: Script = Script::new(include_str!("beat.lua"));
static LEAVE: Script = Script::new(include_str!("leave.lua"));
static SWEEP: Script = Script::new(include_str!("sweep.lua"));

/// The longest error that a dead letter tells, in bytes.
const ERROR_LEN_MAX: usize = 2000;

/// An entry that was delivered to this worker.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: Id,
    pub(super) deliveries: u32,
    pub(super) body: Option<Bytes>,
}

/// What was taken over.
pub(super) struct Claimed {
    pub(super) taken: Vec<Delivery>,
    /// How many entries were gone.
    pub(super) gone: u64,
    /// The id from which to look on, if there may be more.
    pub(super) next: Option<String>,
    /// When the next retry is due, from now.
    pub(super) due: Option<Duration>,
}

/// How a delivery ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) id: Id,
    pub(super) deliveries: u32,
    pub(super) how: How,
}

#[derive(Clone, Debug)]
pub(super) enum How {
    Done,
    Retry { after: Duration },
    Dead { error: String },
}

/// What became of an [`End`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The delivery is ended.
    Done,
    /// It was not this consumer's any more.
    NotOurs,
    /// The store refused to note what is to become of the entry, which stays pending.
    Refused,
}

impl From<u32> for Settled {
    fn from(code: u32) -> Settled {
        match code {
            0 => Settled::NotOurs,
            1 => Settled::Done,
            _ => Settled::Refused,
        }
    }
}

/// Waits for new entries. It owns what it needs, so that a worker can go on with other things.
pub(super) async fn read<T>(
    group: Group<T>,
    consumer: String,
    most: usize,
    wait: Duration,
) -> Result<Vec<Delivery>, Error> {
    let command = Command::new("XREADGROUP")
        .arg("GROUP")
        .arg(group.name())
        .arg(consumer)
        .arg("COUNT")
        .arg(most)
        .arg("BLOCK")
        .arg(wait)
        .arg("STREAMS")
        .arg(group.stream().key())
        .arg(">");
    let read: Read = group.stream().store().run(command).await?;
    let delivery = |mut raw: entry::Raw| Delivery {
        id: raw.id,
        deliveries: 1,
        body: raw.fields.remove(entry::BODY),
    };
    Ok(entry::entries(read).into_iter().map(delivery).collect())
}

/// Takes over up to `most` entries: retries that are due, and from the id `from` on those that were
/// left, or those of this consumer's earlier life.
pub(super) async fn claim<T>(
    group: &Group<T>,
    settings: &Settings,
    from: &str,
    own: bool,
    most: usize,
    in_hand: impl Iterator<Item = Id>,
) -> Result<Claimed, Error> {
    type Answer = (Vec<(Id, u32, Option<Bytes>)>, u64, String, i64);
    let idle = if own { Duration::ZERO } else { settings.idle };
    let (taken, gone, next, due_ms): Answer = CLAIM
        .on(group.stream().store())
        .key(group.stream().key().clone())
        .key(group.retries())
        .arg(group.name())
        .arg(&settings.consumer)
        .arg(idle)
        .arg(most)
        .arg(from)
        .arg(if own { &settings.consumer } else { "" })
        .args(in_hand.map(|id| id.to_string()))
        .run()
        .await?;
    let delivery = |(id, deliveries, body)| Delivery {
        id,
        deliveries,
        body,
    };
    Ok(Claimed {
        taken: taken.into_iter().map(delivery).collect(),
        gone,
        next: (!next.is_empty()).then_some(next),
        due: u64::try_from(due_ms).ok().map(Duration::from_millis),
    })
}

/// Ends deliveries, and says what became of each.
pub(super) async fn settle<T>(
    group: &Group<T>,
    settings: &Settings,
    ends: &[End],
) -> Result<Vec<Settled>, Error> {
    let mut call = SETTLE
        .on(group.stream().store())
        .key(group.stream().key().clone())
        .key(group.retries())
        .key(group.dead())
        .arg(group.name())
        .arg(&settings.consumer)
        .arg(entry::count(settings.dead_letters_max.get()));
    for end in ends {
        let (how, after, error) = match &end.how {
            How::Done => ("done", Duration::ZERO, ""),
            How::Retry { after } => ("retry", *after, ""),
            How::Dead { error } => ("dead", Duration::ZERO, shortened(error)),
        };
        call = call
            .arg(end.id.to_string())
            .arg(end.deliveries)
            .arg(how)
            .arg(after)
            .arg(error);
    }
    let codes: Vec<u32> = call.run().await?;
    Ok(codes.into_iter().map(Settled::from).collect())
}

/// Shows that the consumer is at work on these, and says of each whether it is still its own.
pub(super) async fn beat<T>(
    group: &Group<T>,
    settings: &Settings,
    in_hand: &[(Id, u32)],
) -> Result<Vec<bool>, Error> {
    let mut call = BEAT
        .on(group.stream().store())
        .key(group.stream().key().clone())
        .arg(group.name())
        .arg(&settings.consumer);
    for (id, deliveries) in in_hand {
        call = call.arg(id.to_string()).arg(deliveries);
    }
    call.run().await
}

/// Lets the consumer go, and says how many entries it leaves to others.
pub(super) async fn leave<T>(group: &Group<T>, settings: &Settings) -> Result<u64, Error> {
    LEAVE
        .on(group.stream().store())
        .key(group.stream().key().clone())
        .arg(group.name())
        .arg(&settings.consumer)
        .arg(settings.idle)
        .run()
        .await
}

/// Removes the consumers that were silent for too long, and says how many.
pub(super) async fn sweep<T>(group: &Group<T>, settings: &Settings) -> Result<u64, Error> {
    SWEEP
        .on(group.stream().store())
        .key(group.stream().key().clone())
        .arg(group.name())
        .arg(&settings.consumer)
        .arg(settings.silence_max)
        .run()
        .await
}

fn shortened(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_LEN_MAX)]
}
