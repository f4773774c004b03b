//! Callers that wait for keys.
//!
//! A command that finds nothing (`BLPOP` on an empty list) leaves a [`Waiter`] in the queues of
//! its keys, under the shards that it holds, so no change can slip in between. Its caller gets a
//! [`Waiting`], a future. Whoever changes one of the keys runs the waiter's command for it, in the
//! order in which waiters came, before it lets the keys go: nobody else can take what the waiter
//! gets. The first answer that is not "nothing yet" ends the wait.
//!
//! A wait also ends at its deadline, when the engine is told that time has passed, and when the
//! [`Waiting`] is dropped. Neither takes a shard that somebody holds: a waiter that is over and can't
//! leave its queues stays there as what it is, and is passed over until somebody sweeps it out.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_store::{Command, Value};

use super::entry::Kind;
use crate::engine::{Engine, Ticks};
use crate::reply::{Reply, write_value};
use crate::session::{Caller, Session};
use crate::sync::Mutex;

/// How a command says that there is nothing: where it may not wait, and when its wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// With the null of byte strings: `BLMOVE`.
    Null,
    /// With the null of arrays: `BLPOP`, `XREAD`.
    NullArray,
    /// With a count of none: `WAIT`.
    Count,
    /// With two of them: `WAITAOF`.
    Counts,
    /// It does not: only the end of its connection ends it. `SHUTDOWN`.
    Never,
    /// With what came of a snapshot, which will come: `SAVE`, and `SHUTDOWN` if it fails.
    Saved,
}

impl Nothing {
    /// Answers that nothing came.
    pub(crate) fn write(self, reply: &mut dyn Reply) {
        match self {
            Nothing::Null => reply.null(),
            Nothing::NullArray => reply.null_array(),
            Nothing::Count | Nothing::Counts => write_value(reply, &self.late()),
            Nothing::Never | Nothing::Saved => {}
        }
    }

    /// The answer of a wait that is over. That there is nothing is said with the null of arrays then,
    /// also by commands that would say it otherwise at once.
    fn late(self) -> Value {
        match self {
            Nothing::Count => Value::Int(0),
            Nothing::Counts => Value::Array(vec![Value::Int(0), Value::Int(0)]),
            Nothing::Null | Nothing::NullArray | Nothing::Never | Nothing::Saved => Value::Null,
        }
    }
}

/// What a command says when it found nothing and wants to wait.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// The keys that may bring an answer.
    pub(crate) keys: Vec<Box<[u8]>>,
    /// What a key must hold to bring one; `None` where any change may, even that the key goes.
    pub(crate) kind: Option<Kind>,
    /// How long, in microseconds; `None` is for ever.
    pub(crate) timeout_us: Option<u64>,
    /// What is answered at once where nobody may wait, as in a transaction.
    pub(crate) nothing: Nothing,
    /// The request to run again, where it is not the one that was sent: `XREAD` with `$`.
    pub(crate) request: Option<Command>,
}

impl Wait {
    /// A wait that no key ends.
    pub(crate) fn for_time(timeout_us: Option<u64>, nothing: Nothing) -> Wait {
        Wait {
            keys: Vec::new(),
            kind: None,
            timeout_us,
            nothing,
            request: None,
        }
    }
}

/// A caller in the queues of the keys that it waits for.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Tells waiters apart, in the order in which they came.
    pub(crate) id: u64,
    pub(crate) db: usize,
    pub(crate) keys: Vec<Box<[u8]>>,
    kind: Option<Kind>,
    nothing: Nothing,
    /// What is run when one of the keys changes.
    pub(crate) request: Command,
    /// When the wait ends, if it does by itself.
    pub(crate) deadline: Option<Ticks>,
    /// Who waits.
    pub(crate) caller: Caller,
    pub(crate) resp3: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    /// Somebody runs the request right now. Its deadline does not count any more.
    Served(Option<Waker>),
    Answered(Value),
    Over,
}

impl Waiter {
    /// A waiter on behalf of `session`, with the request that is run when one of the keys changes.
    pub(crate) fn new(
        id: u64,
        session: &Session,
        request: Command,
        wait: Wait,
        now: Ticks,
    ) -> Waiter {
        Waiter {
            id,
            db: session.db(),
            keys: wait.keys,
            kind: wait.kind,
            nothing: wait.nothing,
            request,
            deadline: wait.timeout_us.map(|timeout_us| now.after_us(timeout_us)),
            caller: session.caller().clone(),
            resp3: session.is_resp3(),
            state: Mutex::new(State::Waiting(None)),
        }
    }

    /// Where the wait stands in the order of deadlines: those that never end come last.
    pub(crate) fn place(&self) -> (Ticks, u64) {
        (self.deadline.unwrap_or(Ticks::NEVER), self.id)
    }

    /// Whether a change of a key that now holds this may bring an answer.
    pub(crate) fn wants(&self, kind: Option<Kind>) -> bool {
        self.kind.is_none() || self.kind == kind
    }

    /// Whether any change of a key may bring an answer, even that it goes.
    pub(crate) fn wants_any_change(&self) -> bool {
        self.kind.is_none()
    }

    /// Claims the right to answer, if nobody has it: whoever has it runs the request, or ends the
    /// wait, and nobody else does. Follows [`Waiter::answer`] or [`Waiter::wait_on`].
    pub(crate) fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let State::Waiting(waker) = &mut *state else {
            return false;
        };
        *state = State::Served(waker.take());
        true
    }

    /// Whether another client may end the wait: CLIENT UNBLOCK.
    pub(crate) fn can_be_unblocked(&self) -> bool {
        !matches!(self.nothing, Nothing::Never | Nothing::Saved)
    }

    /// Whether its wait ends in this way.
    pub(crate) fn ends_with(&self, nothing: Nothing) -> bool {
        self.nothing == nothing
    }

    /// Answers a claimed waiter that nothing came.
    pub(crate) fn answer_nothing(&self) {
        self.answer(self.nothing.late());
    }

    /// Gives the claim back: there is no answer yet.
    pub(crate) fn wait_on(&self) {
        let mut state = self.state.lock();
        if let State::Served(waker) = &mut *state {
            *state = State::Waiting(waker.take());
        }
    }

    /// Answers a claimed waiter.
    pub(crate) fn answer(&self, value: Value) {
        let mut state = self.state.lock();
        let State::Served(waker) = &mut *state else {
            return;
        };
        let waker = waker.take();
        *state = State::Answered(value);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the answer has not come yet.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(*self.state.lock(), State::Waiting(_) | State::Served(_))
    }

    /// Whether the wait is over: answered, or given up.
    fn is_over(&self) -> bool {
        !self.is_waiting()
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Value> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Answered(value) => Poll::Ready(value),
            State::Over => Poll::Ready(Value::Null),
            State::Waiting(_) => {
                *state = State::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Served(_) => {
                *state = State::Served(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Ends the wait without an answer. Answers whether it was going on.
    fn give_up(&self) -> bool {
        let old = std::mem::replace(&mut *self.state.lock(), State::Over);
        matches!(old, State::Waiting(_) | State::Served(_))
    }
}

/// Those who wait for one key, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: BTreeMap<u64, Arc<Waiter>>,
    /// How many want a value of each kind, and last, how many any change.
    wanted: [usize; Kind::COUNT + 1],
    /// Whether the key has changed and its waiters are to be served.
    is_ready: bool,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn add(&mut self, waiter: Arc<Waiter>) {
        let place = wanted_place(waiter.kind);
        if self.waiters.insert(waiter.id, waiter).is_none() {
            self.wanted[place] += 1;
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some(waiter) = self.waiters.remove(&id) {
            self.wanted[wanted_place(waiter.kind)] -= 1;
        }
    }

    /// Takes those out that are over.
    pub(super) fn sweep(&mut self) {
        let over = self.waiters.values().filter(|waiter| waiter.is_over());
        let over: Vec<u64> = over.map(|waiter| waiter.id).collect();
        over.into_iter().for_each(|id| self.remove(id));
    }

    /// The first waiter that wants a key with this kind of value, of those behind another.
    pub(super) fn next(&self, after: u64, kind: Option<Kind>) -> Option<Arc<Waiter>> {
        let any = self.wanted[wanted_place(None)];
        let wanted = kind.map_or(0, |kind| self.wanted[wanted_place(Some(kind))]);
        if any + wanted == 0 {
            return None;
        }
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let mut waiters = self.waiters.range(behind).map(|(_, waiter)| waiter);
        waiters.find(|waiter| waiter.wants(kind)).cloned()
    }

    /// Notes that the key has changed. Answers whether that is news.
    pub(super) fn become_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.is_ready, true)
    }

    /// Those who wait have been served, as far as that was possible.
    pub(super) fn end_serving(&mut self) {
        self.is_ready = false;
    }
}

fn wanted_place(kind: Option<Kind>) -> usize {
    kind.map_or(Kind::COUNT, |kind| kind as usize)
}

/// The answer of a command that waits. Dropping it ends the wait.
#[must_use = "dropping it ends the wait"]
pub struct Waiting {
    engine: Arc<Engine>,
    waiter: Arc<Waiter>,
    /// Whether no answer is wanted: `CLIENT REPLY OFF`.
    is_silent: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("waiter", &self.waiter.id)
            .finish_non_exhaustive()
    }
}

impl Waiting {
    pub(crate) fn new(engine: Arc<Engine>, waiter: Arc<Waiter>) -> Waiting {
        Waiting {
            engine,
            waiter,
            is_silent: false,
        }
    }

    /// Who waits.
    #[cfg(all(test, larder_model))]
    pub(crate) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    /// The same wait, of a caller that wants no answer.
    pub(crate) fn silent(mut self) -> Waiting {
        self.is_silent = true;
        self
    }
}

impl Waiting {
    /// Writes the value that this future gave.
    pub fn write(&self, value: &Value, reply: &mut dyn Reply) {
        match value {
            _ if self.is_silent => {}
            Value::Null => reply.null_array(),
            value => write_value(reply, value),
        }
    }
}

impl Future for Waiting {
    type Output = Value;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Value> {
        self.waiter.poll(context)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.waiter.give_up() {
            self.engine.forget(&self.waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Now;
    use crate::execute::Outcome;
    use crate::reply::ValueReply;
    use crate::session::Session;

    /// A wait whose deadline came just while its request was run, in vain, had no deadline any more
    /// and never ended.
    #[test]
    fn a_wait_that_is_over_while_its_request_runs_ends_after_that() {
        let (begin, over) = (Now::from_unix_us(1), Now::from_unix_us(2_000_000));
        let engine = Engine::new([0; 32], begin);
        let request = Command::new("BLPOP").arg("queue").arg(1);
        let (mut session, mut reply) = (Session::local(), ValueReply::new());
        let outcome = engine.execute(&mut session, request.arguments(), &begin, &mut reply);
        let Outcome::Blocked(mut waiting) = outcome else {
            panic!("there is nothing in the queue");
        };

        assert!(waiting.waiter.claim());
        engine.tick(&over);
        engine.wait_on(&waiting.waiter);
        engine.tick(&over);

        let mut context = Context::from_waker(Waker::noop());
        let answer = Pin::new(&mut waiting).poll(&mut context);
        assert_eq!(answer, Poll::Ready(Value::Null));
    }
}
