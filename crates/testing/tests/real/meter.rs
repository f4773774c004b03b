//! Measures each call of a store from outside.
//!
//! A call has a task of its own, so that its time does not depend on when its caller looks: a worker, for
//! one, reads while it awaits other calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_store::shape::Wait;
use larder_store::{
    Answer, Backend, Capabilities, Channels, Command, Delivery, Error, Part, Subscription, Value,
};
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

/// A store whose calls are measured.
pub(crate) struct Metered<B> {
    inner: Arc<B>,
    ledger: Arc<Ledger>,
    /// How long a call may take that has no deadline of its own.
    usual: Duration,
}

/// What became of calls.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) answered: AtomicU64,
    pub(crate) away: AtomicU64,
    pub(crate) in_doubt: AtomicU64,
    worst: Mutex<Worst>,
    /// Refusals by their code.
    refused: Mutex<BTreeMap<String, u64>>,
    /// Whatever no store of servers answers here.
    strange: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Worst {
    took: Duration,
    /// By how much a call has outlived its deadline, and which.
    late: Duration,
    what: String,
}

impl<B: Backend> Metered<B> {
    pub(crate) fn new(inner: B, ledger: &Arc<Ledger>, usual: Duration) -> Metered<B> {
        Metered {
            inner: Arc::new(inner),
            ledger: Arc::clone(ledger),
            usual,
        }
    }

    fn limit(&self, delivery: &Delivery, wait: Option<Wait>) -> Option<Duration> {
        let patience = delivery.within.unwrap_or(self.usual);
        match wait {
            None => Some(patience),
            Some(Wait::For(wait)) => Some(patience + wait),
            Some(Wait::Forever) => None,
        }
    }
}

impl Ledger {
    fn note<'e>(&self, errors: impl Iterator<Item = Option<&'e Error>>) {
        for error in errors {
            match error {
                None => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
                Some(Error::Away(_)) => drop(self.away.fetch_add(1, Ordering::Relaxed)),
                Some(Error::Unanswered { .. }) => {
                    self.in_doubt.fetch_add(1, Ordering::Relaxed);
                }
                Some(Error::Refused(refusal)) => {
                    let code = refusal.code().to_owned();
                    *self.refused.lock().entry(code).or_default() += 1;
                }
                Some(error) => self.strange.lock().push(error.to_string()),
            }
        }
    }

    fn time(&self, begun: Instant, limit: Option<Duration>, what: impl FnOnce() -> String) {
        let took = begun.elapsed();
        let Some(limit) = limit else { return };
        let mut worst = self.worst.lock();
        worst.took = worst.took.max(took);
        let late = took.saturating_sub(limit);
        if late > worst.late {
            worst.late = late;
            worst.what = format!("{} took {took:?}, and had {limit:?}", what());
        }
    }

    /// The longest call.
    pub(crate) fn worst(&self) -> Duration {
        self.worst.lock().took
    }

    /// By how much a call has outlived its deadline at most, and which.
    pub(crate) fn late(&self) -> (Duration, String) {
        let worst = self.worst.lock();
        (worst.late, worst.what.clone())
    }

    /// How often calls were refused, by the refusals' codes.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.lock().clone()
    }

    pub(crate) fn strange(&self) -> Vec<String> {
        self.strange.lock().clone()
    }
}

/// Runs a call in a task of its own, which ends with its caller.
fn alone<T: Send + 'static>(
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Answer<'static, T> {
    let task = AbortOnDropHandle::new(tokio::spawn(call));
    Answer::later(async move { task.await.expect("a call does not panic") })
}

impl<B: Backend> Backend for Metered<B> {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        let limit = self.limit(command.delivery(), command.waits());
        let name = String::from_utf8_lossy(command.name()).into_owned();
        let (inner, ledger) = (Arc::clone(&self.inner), Arc::clone(&self.ledger));
        alone(async move {
            let begun = Instant::now();
            let answer = inner.call(command).await;
            ledger.time(begun, limit, || name);
            ledger.note([answer.as_ref().err()].into_iter());
            answer
        })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        let limit = self.limit(&Delivery::of_all(&commands), Wait::of_all(&commands));
        let (inner, ledger) = (Arc::clone(&self.inner), Arc::clone(&self.ledger));
        alone(async move {
            let begun = Instant::now();
            let len = commands.len();
            let answers = inner.call_all(commands).await;
            ledger.time(begun, limit, || format!("{len} commands"));
            match &answers {
                Ok(answers) => ledger.note(answers.iter().map(|it| it.as_ref().err())),
                Err(error) => ledger.note([Some(error)].into_iter()),
            }
            answers
        })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.inner.subscribe(channels)
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.inner.parts()
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        self.inner.capabilities()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.inner.close()
    }
}
