//! Reads on the connection on which their server tells of changes.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use larder_store::near::{Keep, NearStats, Places, ReadNear};
use larder_store::{Answer, Command, Error, Freshness, Value, shape};
use tokio::time::Instant;

use crate::remote::{Inner, given};
use crate::verdict::Verdict;
use crate::wire::Answered;

/// What answers near reads of a store.
pub(crate) struct Reads {
    store: Arc<Inner>,
    places: Arc<Places>,
}

/// How long a key lives, as it was asked behind the read.
enum Life {
    /// Until it is changed.
    Unbounded,
    Until(Clock),
    /// It was not there, or nobody knows.
    None,
}

impl Reads {
    pub(crate) fn open(store: &Arc<Inner>, bytes_max: usize) -> Reads {
        Reads {
            places: store.nears.open(bytes_max),
            store: Arc::clone(store),
        }
    }

    async fn ask(&self, command: Command, keep: Keep) -> Result<(Value, Freshness), Error> {
        self.store.refuse_if_unusable()?;
        self.places.missed();
        let own = command.delivery().within;
        let until = own.map(|within| Instant::now() + within);
        if let Some(answered) = self.ask_tracked(&command, keep, until).await {
            return answered;
        }
        // Whatever stood in the way, the usual way knows what to do about it.
        let command = match until {
            Some(until) => command.within(until.saturating_duration_since(Instant::now())),
            None => command,
        };
        Ok((self.store.call(&command).await?, Freshness::NEVER))
    }

    /// Reads where the server tells of changes. `None` if that came to nothing: to read again does no harm.
    async fn ask_tracked(
        &self,
        command: &Command,
        keep: Keep,
        until: Option<Instant>,
    ) -> Option<Result<(Value, Freshness), Error>> {
        let key = command.arguments().get(shape::PURE_KEY)?;
        let route = self.store.route(command).ok()?;
        let node = self.store.topology.node(&route, false, until).await.ok()?;
        let tracked = node.tracked(&self.store.nears, until).await?;
        let place = self.places.reserve(key, tracked.source())?;
        let sent = Clock::now();
        let request = [
            Command::new("CLIENT").arg("CACHING").arg("YES"),
            command.clone(),
            Command::new("PTTL").arg(key),
        ];
        let answers = node.call_tracked(&tracked, &request, until).await.ok()?;
        let [caching, answer, pttl] = <[Answered; 3]>::try_from(answers).ok()?;
        if Verdict::of(&answer) != Verdict::Final {
            return None;
        }
        let value = match given(answer) {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        let is_tracked = matches!(caching, Ok(Value::Status(_)));
        let until = match life(&pttl, sent) {
            Life::Unbounded => None,
            Life::Until(until) => Some(until),
            Life::None if self.store.topology.is_cluster() || !says_nothing(&value) => {
                return Some(Ok((value, Freshness::NEVER)));
            }
            Life::None => None,
        };
        let freshness = match is_tracked {
            true => place.answered(command, &value, keep, until),
            false => Freshness::NEVER,
        };
        Some(Ok((value, freshness)))
    }
}

/// How long a key lives that was read in a request that was sent then. The server has counted from later,
/// so it does not live shorter than this says.
fn life(pttl: &Answered, sent: Clock) -> Life {
    match pttl {
        Ok(Value::Int(-1)) => Life::Unbounded,
        Ok(Value::Int(ms @ 0..)) => Life::Until(sent + Duration::from_millis(*ms as u64)),
        _ => Life::None,
    }
}

/// Whether a key may give this answer that is not there. One that gave another has expired between the
/// read and the question how long it lives.
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
