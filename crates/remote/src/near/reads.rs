//! Reads on the connection on which their server tells of changes.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use larder_store::near::{Keep, Life, NearStats, Places, ReadNear};
use larder_store::{Answer, Command, Error, Freshness, Value, shape};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::herd::Herd;
use crate::dispatch::Dispatch;
use crate::trip::Trip;
use crate::verdict::{Verdict, given};
use crate::wire::{Answered, Failure, Loss};

/// The answers of PTTL that are no time.
const EXPIRES_NOT: i64 = -1;
const IS_NOT_THERE: i64 = -2;

/// What answers near reads of a store.
pub(crate) struct Reads {
    dispatch: Arc<Dispatch>,
    places: Arc<Places>,
    herd: Herd,
}

impl Reads {
    pub(crate) fn open(dispatch: &Arc<Dispatch>, bytes_max: usize) -> Reads {
        Reads {
            places: dispatch.nears.open(bytes_max),
            dispatch: Arc::clone(dispatch),
            herd: Herd::default(),
        }
    }

    async fn ask(&self, command: Command, keep: Keep) -> Result<(Value, Freshness), Error> {
        self.dispatch.refuse_if_unusable()?;
        let own = command.delivery().within;
        let until = own.map(|within| Instant::now() + within);
        // Held until this is answered. Where nothing is kept, each has to have an answer of his own.
        let mut first = None;
        if keep == Keep::Answer {
            match self.herd.join(&command) {
                Ok(alone) => first = Some(alone),
                Err(over) => wait(over, until).await,
            }
            // Also for the first: another may have been so between the look and this.
            if let Some(kept) = self.places.kept(&command) {
                return Ok(kept);
            }
        }
        self.places.missed();
        if let Some(answered) = self.ask_tracked(&command, keep, until).await {
            return answered;
        }
        // Whatever stood in the way, the usual way knows what to do about it.
        let command = match until {
            Some(until) => command.within(until.saturating_duration_since(Instant::now())),
            None => command,
        };
        let value = Trip::of(&self.dispatch, &command)?.run().await?;
        drop(first);
        Ok((value, Freshness::NEVER))
    }

    /// Reads where the server tells of changes. `None` if that came to nothing: to read again does no harm.
    async fn ask_tracked(
        &self,
        command: &Command,
        keep: Keep,
        until: Option<Instant>,
    ) -> Option<Result<(Value, Freshness), Error>> {
        let key = command.arguments().get(shape::PURE_KEY)?;
        let route = self.dispatch.route(command).ok()?;
        let node = self
            .dispatch
            .topology
            .node(&route, false, until)
            .await
            .ok()?;
        let tracked = node.tracked(&self.dispatch.nears, until).await?;
        let place = self.places.reserve(key, tracked.source())?;
        let sent = Clock::now();
        let request = [
            Command::new("CLIENT").arg("CACHING").arg("YES"),
            command.clone(),
            Command::new("PTTL").arg(key),
        ];
        let answers = node.call_tracked(&tracked, &request, until).await.ok()?;
        let [caching, answer, pttl] = <[Answered; 3]>::try_from(answers).ok()?;
        if let Err(failure @ Failure::Unanswered(Loss::Late)) = answer {
            // Who has waited as long as he may does not wait again.
            return Some(Err(failure.into()));
        }
        if Verdict::of(&answer) != Verdict::Final {
            return None;
        }
        let value = match given(answer) {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        let is_tracked = matches!(caching, Ok(Value::Status(_)));
        let life = match pttl {
            Ok(Value::Int(EXPIRES_NOT)) => Some(None),
            // The server has counted from later on, so the key does not live shorter than this says.
            Ok(Value::Int(ms @ 0..)) => {
                let end = sent.checked_add(Duration::from_millis(ms as u64));
                Some(end.map(Life::Until))
            }
            Ok(Value::Int(IS_NOT_THERE)) => {
                let is_told = !self.dispatch.topology.is_cluster();
                // One that gave another answer has expired since.
                (is_told && says_nothing(&value)).then_some(None)
            }
            _ => None,
        };
        let freshness = match life.filter(|_| is_tracked) {
            Some(life) => place.answered(command, &value, keep, life),
            None => Freshness::NEVER,
        };
        Some(Ok((value, freshness)))
    }
}

/// Waits until somebody else has asked, but no longer than the caller may.
async fn wait(mut over: watch::Receiver<()>, until: Option<Instant>) {
    let over = over.changed();
    // It ends with an error, since nothing is ever sent. Who has no time left learns so when he asks.
    match until {
        Some(until) => drop(timeout_at(until, over).await),
        None => drop(over.await),
    }
}

/// Whether a key may give this answer that is not there.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Int(0) => true,
        Value::Status(kind) => kind == "none",
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Array(values) | Value::Set(values) => values.iter().all(says_nothing),
        Value::Map(pairs) => pairs.is_empty(),
        _ => false,
    }
}

impl ReadNear for Reads {
    fn kept(&self, command: &Command) -> Option<(Value, Freshness)> {
        self.places.kept(command)
    }

    fn read(&self, command: Command, keep: Keep) -> Answer<'_, (Value, Freshness)> {
        Answer::later(async move { self.ask(command, keep).await })
    }

    fn stats(&self) -> NearStats {
        self.places.stats()
    }
}
