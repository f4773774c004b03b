//! What a worker asks of the store.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Error, Script, ScriptCall};

use super::end::{End, How, Settled};
use super::hands::Delivery;
use super::settings::Settings;
use super::twins;
use crate::stream::entry::{self, Raw, Read};
use crate::stream::{Group, Id, keys};

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("../common.lua"),
            include_str!("common.lua"),
            include_str!($file)
        ))
        .named(concat!("stream/worker/", $file))
    };
}

pub(super) static BEAT: Script = script!("beat.lua").with_twin(twins::beat).repeatable();
pub(super) static CLAIM: Script = script!("claim.lua").with_twin(twins::claim);
pub(super) static LEAVE: Script = script!("leave.lua").with_twin(twins::leave);
pub(super) static SETTLE: Script = script!("settle.lua").with_twin(twins::settle);
pub(super) static SWEEP: Script = script!("sweep.lua").with_twin(twins::sweep);

/// The longest error that a dead letter tells, in bytes.
const ERROR_LEN_MAX: usize = 2000;

/// How many deliveries one call speaks of at most.
pub(super) const PAGE: usize = 100;

/// A worker's place at the store.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) group: Group<()>,
    pub(super) settings: Settings,
}

/// What was taken over.
pub(super) struct Claimed {
    pub(super) taken: Vec<Delivery>,
    /// How many entries were gone.
    pub(super) gone: u64,
    /// When the next retry is due, from now.
    pub(super) due: Option<Duration>,
}

impl Calls {
    /// Waits for new entries.
    pub(super) async fn read(&self, most: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let command = Command::new("XREADGROUP")
            .arg("GROUP")
            .arg(self.group.name())
            .arg(&self.settings.consumer)
            .arg("COUNT")
            .arg(most)
            .arg("BLOCK")
            .arg(wait)
            .arg("STREAMS")
            .arg(self.group.stream().key())
            .arg(">");
        let read: Read = self.group.stream().store().run(command).await?;
        let delivery = |raw: Raw| Delivery {
            id: raw.id,
            deliveries: 1,
            body: raw.body().cloned(),
        };
        Ok(entry::entries(read).into_iter().map(delivery).collect())
    }

    /// Takes over up to `most` entries: retries that are due; what others have left, and also those
    /// who are `silent`; and if `own` this consumer's own that are not in hand.
    pub(super) async fn claim(
        &self,
        most: usize,
        own: bool,
        silent: bool,
        in_hand: Vec<Id>,
    ) -> Result<Claimed, Error> {
        type Answer = (Vec<(Id, u32, Option<Bytes>)>, u64, i64);
        let (taken, gone, due_ms): Answer = self
            .call(&CLAIM)
            .arg(most)
            .arg(if own { "own" } else { "" })
            .arg(if silent { "silent" } else { "" })
            .args(in_hand.iter().map(Id::to_string))
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
            due: u64::try_from(due_ms).ok().map(Duration::from_millis),
        })
    }

    /// Ends deliveries, and says what became of each.
    pub(super) async fn settle(
        &self,
        ends: impl Iterator<Item = &End>,
    ) -> Result<Vec<Settled>, Error> {
        let mut call = self
            .call_with(&SETTLE, &[keys::DEAD])
            .arg(entry::count(self.settings.dead_letters_max));
        // One text after the other, in the same place.
        let mut id = String::new();
        for end in ends {
            id.clear();
            write!(id, "{}", end.id).expect("a string takes every text");
            let (how, after, error) = match &end.how {
                How::Done => ("done", Duration::ZERO, ""),
                How::Retry { after } => ("retry", *after, ""),
                How::Dead { error } => ("dead", Duration::ZERO, shortened(error)),
            };
            call = call
                .arg(&id)
                .arg(end.deliveries)
                .arg(how)
                .arg(after)
                .arg(error);
        }
        let codes: Vec<u32> = call.run().await?;
        Ok(codes.into_iter().map(Settled::from).collect())
    }

    /// Shows that the consumer is alive. Says whether the store has noted it, and of each of these
    /// deliveries whether it is still this consumer's.
    pub(super) async fn beat(
        &self,
        in_hand: impl Iterator<Item = (Id, u32)>,
    ) -> Result<(bool, Vec<bool>), Error> {
        self.call(&BEAT).args(in_hand.flat_map(words)).run().await
    }

    /// Lets the consumer go, and says how many entries it leaves to others.
    pub(super) async fn leave(
        &self,
        in_hand: impl Iterator<Item = (Id, u32)>,
    ) -> Result<u64, Error> {
        self.call(&LEAVE).args(in_hand.flat_map(words)).run().await
    }

    /// Looks after the other consumers, and says how many were removed.
    pub(super) async fn sweep(&self) -> Result<u64, Error> {
        let silence_max = self.settings.silence_max.max(self.settings.idle * 2);
        self.call(&SWEEP).arg(silence_max).run().await
    }

    fn call(&self, script: &'static Script) -> ScriptCall<'_> {
        self.call_with(script, &[])
    }

    /// Begins a call with what all scripts of a worker have, and with the keys of these parts.
    fn call_with(&self, script: &'static Script, parts: &[&str]) -> ScriptCall<'_> {
        let stream = self.group.stream();
        let mut call = script
            .on(stream.store())
            .key(stream.key().clone())
            .key(self.group.part(keys::RETRIES))
            .key(self.group.part(keys::ALIVE))
            .key(self.group.part(keys::POSITION))
            .key(stream.key().part(keys::CLOCK));
        for part in parts {
            call = call.key(self.group.part(part));
        }
        call.arg(self.group.name())
            .arg(&self.settings.consumer)
            .arg(self.settings.idle)
    }
}

/// A delivery as the scripts are told of it.
fn words((id, deliveries): (Id, u32)) -> [String; 2] {
    [id.to_string(), deliveries.to_string()]
}

fn shortened(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_LEN_MAX)]
}
