//! Somebody who is told of each call.
//!
//! ```text
//! Store::observed ── Observed ── the backend
//!                       │  Trail, in the Delivery of the command: who was asked, and how often
//!                       └─ Observer::done, once a call
//! ```
//!
//! A store that nobody observes has none of this, and pays nothing for it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{
    Answer, Backend, Capabilities, Channels, Command, ConnectionEvents, Error, Native, NodeStatus,
    Part, Subscription, Trail, TwinCall, Value, shape,
};

/// Somebody who is told of each call of a store: [`Store::observed`](crate::Store::observed).
pub trait Observer: Send + Sync + 'static {
    /// A call is over: a command, a batch, a script or a subscription. It comes once a call, on the
    /// caller's task, who waits for it: it should take no longer than a note does, and not panic.
    fn done(&self, call: &Call<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn done(&self, call: &Call<'_>) {
        (**self).done(call);
    }
}

/// A call that is over. It has no keys and no values: those may be secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The name of the command in capitals, with its subcommand: `GET`, `CONFIG GET`, `EVALSHA`. Of a
    /// batch `PIPELINE`, or `MULTI` if it is a transaction, and behind it the name that all its commands
    /// have, if they have the same.
    pub operation: &'a str,
    /// The script that was called: its [name](crate::Script::named), else its SHA-1 if it was called by
    /// that. Also the function of an `FCALL`.
    pub script: Option<&'a str>,
    /// How many commands the batch had, if it was one, without `MULTI` and `EXEC`.
    pub batch: Option<usize>,
    /// The address of the node that was asked last, if there are nodes. `None` of a batch that went to
    /// several.
    pub node: Option<&'a str>,
    /// The number of the database that was asked on that node.
    pub db: Option<u32>,
    /// How often a node was chosen for it: 1 if all went well, and 0 if none could be, or there are no
    /// nodes. What is over 1 are retries and redirections.
    pub tries: u32,
    /// What came of it.
    pub outcome: Outcome<'a>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It was answered; of a batch, each of its commands.
    Answered,
    /// The store refused it, with this code: `WRONGTYPE`. Of a batch, at least one of its commands, and
    /// the first such code.
    Refused(&'a str),
    /// It was not sent, as the store can't be reached.
    Away,
    /// It was not sent, as the store is closed.
    Closed,
    /// It was sent, and nobody knows whether it happened.
    Unanswered,
    /// It was not sent, as it can't be asked.
    Invalid,
    /// The caller let go of it before it was answered.
    Dropped,
    /// It failed in another way.
    Failed,
}

impl<'a> Outcome<'a> {
    /// That of a failure.
    pub fn of(error: &'a Error) -> Outcome<'a> {
        match error {
            Error::Refused(refusal) => Outcome::Refused(refusal.code()),
            Error::Away(_) => Outcome::Away,
            Error::Closed => Outcome::Closed,
            Error::Unanswered { .. } => Outcome::Unanswered,
            Error::Invalid { .. } => Outcome::Invalid,
            _ => Outcome::Failed,
        }
    }

    fn of_result<T>(result: &'a Result<T, Error>) -> Outcome<'a> {
        result.as_ref().err().map_or(Outcome::Answered, Outcome::of)
    }

    /// That of a batch: the first failure in it.
    fn of_batch<T>(results: &'a Result<Vec<Result<T, Error>>, Error>) -> Outcome<'a> {
        match results {
            Ok(results) => {
                let failure = results.iter().find_map(|result| result.as_ref().err());
                failure.map_or(Outcome::Answered, Outcome::of)
            }
            Err(error) => Outcome::of(error),
        }
    }

    /// One word for it: the code of a refusal, else `answered`, `away`, `closed`, `unanswered`,
    /// `invalid`, `dropped` or `failed`.
    pub fn as_str(self) -> &'a str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Refused(code) => code,
            Outcome::Away => "away",
            Outcome::Closed => "closed",
            Outcome::Unanswered => "unanswered",
            Outcome::Invalid => "invalid",
            Outcome::Dropped => "dropped",
            Outcome::Failed => "failed",
        }
    }

    /// Whether it is a failure: it was neither answered nor given up by its own caller.
    pub fn is_failure(self) -> bool {
        !matches!(self, Outcome::Answered | Outcome::Dropped)
    }
}

/// Another handle on a backend, of whose calls somebody is told.
pub(crate) struct Observed {
    backend: Arc<dyn Backend>,
    observer: Arc<dyn Observer>,
}

impl Observed {
    pub(crate) fn new(backend: Arc<dyn Backend>, observer: impl Observer) -> Observed {
        Observed {
            backend,
            observer: Arc::new(observer),
        }
    }

    /// Begins to watch a call.
    fn watch(&self, subject: Subject, trail: Option<Arc<Trail>>) -> Watch {
        Watch {
            observer: Arc::clone(&self.observer),
            subject,
            trail: trail.unwrap_or_default(),
            begun: Instant::now(),
            is_done: false,
        }
    }
}

impl Backend for Observed {
    fn call(&self, mut command: Command) -> Answer<'_, Value> {
        let mut watch = self.watch(Subject::of(&command), Some(command.trail()));
        let answer = self.backend.call(command);
        Answer::later(async move {
            let result = answer.await;
            watch.end(Outcome::of_result(&result));
            result
        })
    }

    fn call_all(&self, mut commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        let subject = Subject::of_batch(&commands);
        // The first has it for all.
        let mut watch = self.watch(subject, commands.first_mut().map(Command::trail));
        let answer = self.backend.call_all(commands);
        Answer::later(async move {
            let results = answer.await;
            watch.end(Outcome::of_batch(&results));
            results
        })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        let mut watch = self.watch(Subject::named("SUBSCRIBE"), None);
        let answer = self.backend.subscribe(channels);
        Answer::later(async move {
            let result = answer.await;
            watch.end(Outcome::of_result(&result));
            result
        })
    }

    /// What goes the short road is a call as well: it is sent as a command.
    fn direct(&self) -> Option<&dyn crate::Direct> {
        None
    }

    fn native(&self) -> Option<&dyn Native> {
        self.backend.native().map(|_| self as &dyn Native)
    }

    fn is_observed(&self) -> bool {
        true
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.backend.parts()
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        self.backend.nodes()
    }

    fn connection_events(&self) -> ConnectionEvents {
        self.backend.connection_events()
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        self.backend.capabilities()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.backend.close()
    }
}

impl Native for Observed {
    fn run<'a>(&'a self, call: TwinCall<'a>) -> Answer<'a, Value> {
        let Some(native) = self.backend.native() else {
            return Answer::ready(Err(Error::Closed));
        };
        let mut watch = self.watch(Subject::of_twin(&call), None);
        let answer = native.run(call);
        Answer::later(async move {
            let result = answer.await;
            watch.end(Outcome::of_result(&result));
            result
        })
    }
}

/// What a call is, to whoever is told of it.
struct Subject {
    operation: Cow<'static, str>,
    script: Option<Cow<'static, str>>,
    batch: Option<usize>,
}

impl Subject {
    fn named(operation: impl Into<Cow<'static, str>>) -> Subject {
        Subject {
            operation: operation.into(),
            script: None,
            batch: None,
        }
    }

    fn of(command: &Command) -> Subject {
        Subject {
            script: script_of(command),
            ..Subject::named(name_of(command))
        }
    }

    fn of_twin(call: &TwinCall<'_>) -> Subject {
        let digest = || Cow::Owned(call.digest.to_owned());
        Subject {
            script: Some(call.name.map_or_else(digest, Cow::Borrowed)),
            ..Subject::named("EVALSHA")
        }
    }

    fn of_batch(commands: &[Command]) -> Subject {
        let is =
            |command: &Command, name: &str| command.name().eq_ignore_ascii_case(name.as_bytes());
        let (kind, commands) = match commands {
            [first, inner @ .., last] if is(first, "MULTI") && is(last, "EXEC") => ("MULTI", inner),
            commands => ("PIPELINE", commands),
        };
        let mut names = commands.iter().map(name_of);
        let operation = match names.next() {
            Some(first) if names.all(|name| name == first) => format!("{kind} {first}").into(),
            _ => Cow::Borrowed(kind),
        };
        Subject {
            batch: Some(commands.len()),
            ..Subject::named(operation)
        }
    }
}

/// The name of a command. Of one that is not in our tables it is the first word, which the program has
/// chosen.
fn name_of(command: &Command) -> Cow<'static, str> {
    match shape::of(command.arguments()) {
        Some(shape) => Cow::Borrowed(shape.name),
        None => String::from_utf8_lossy(command.name())
            .to_ascii_uppercase()
            .into(),
    }
}

/// The script that a command calls, or the function.
fn script_of(command: &Command) -> Option<Cow<'static, str>> {
    if let Some(name) = command.delivery().script {
        return Some(Cow::Borrowed(name));
    }
    let calls = ["EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"];
    let is_named = |name: &&str| command.name().eq_ignore_ascii_case(name.as_bytes());
    calls.iter().find(|name| is_named(name))?;
    let name = String::from_utf8_lossy(command.arguments().get(1)?);
    Some(Cow::Owned(name.into_owned()))
}

/// A call that is not over yet. If its caller drops it, that is its end.
struct Watch {
    observer: Arc<dyn Observer>,
    subject: Subject,
    trail: Arc<Trail>,
    begun: Instant,
    is_done: bool,
}

impl Watch {
    fn end(&mut self, outcome: Outcome<'_>) {
        self.is_done = true;
        let elapsed = self.begun.elapsed();
        let place = self.trail.take_place();
        self.observer.done(&Call {
            operation: &self.subject.operation,
            script: self.subject.script.as_deref(),
            batch: self.subject.batch,
            node: place.as_ref().map(|place| &*place.node),
            db: place.as_ref().map(|place| place.db),
            tries: self.trail.tries(),
            outcome,
            elapsed,
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_done {
            self.end(Outcome::Dropped);
        }
    }
}
