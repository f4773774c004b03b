//! Callers that wait for keys.
//!
//! A command that finds nothing (`BLPOP` on an empty list) leaves a [`Waiter`] in the queues of
//! its keys, under the shards that it holds, so no change can slip in between. Its caller gets a
//! [`Waiting`], a future. Whoever changes one of the keys runs the waiter's command for it, in the
//! order in which waiters came, before its own answer is given; the first answer that is not
//! "nothing yet" ends the wait. A wait also ends at its deadline, when the engine is told that
//! time has passed, and when the [`Waiting`] is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_store::{Command, Value};
use parking_lot::Mutex;

use super::entry::Kind;
use crate::engine::Engine;
use crate::reply::{Reply, write_value};

/// How a command says that there is nothing, where it may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// With the null of byte strings: `BLMOVE`.
    Null,
    /// With the null of arrays: `BLPOP`, `XREAD`.
    NullArray,
}

impl Nothing {
    /// Answers that nothing came.
    pub(crate) fn write(self, reply: &mut dyn Reply) {
        match self {
            Nothing::Null => reply.null(),
            Nothing::NullArray => reply.null_array(),
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

/// A caller in the queues of the keys that it waits for.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Tells waiters apart, in the order in which they came.
    pub(crate) id: u64,
    pub(crate) db: usize,
    pub(crate) keys: Vec<Box<[u8]>>,
    kind: Option<Kind>,
    /// What is run when one of the keys changes.
    pub(crate) request: Command,
    /// When the wait ends, in Unix microseconds.
    pub(crate) deadline_us: Option<u64>,
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
    #[allow(
        clippy::too_many_arguments,
        reason = "a plain record, made in one place"
    )]
    pub(crate) fn new(
        id: u64,
        db: usize,
        request: Command,
        wait: Wait,
        now_us: u64,
        resp3: bool,
    ) -> Waiter {
        Waiter {
            id,
            db,
            keys: wait.keys,
            kind: wait.kind,
            request,
            deadline_us: wait
                .timeout_us
                .map(|timeout| now_us.saturating_add(timeout)),
            resp3,
            state: Mutex::new(State::Waiting(None)),
        }
    }

    /// Whether a change of a key that now holds this may bring an answer.
    pub(crate) fn wants(&self, kind: Option<Kind>) -> bool {
        self.kind.is_none() || self.kind == kind
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
            // Also where the command itself would say so with the null of byte strings.
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
        engine.tick(over);
        engine.wait_on(&waiting.waiter);
        engine.tick(over);

        let mut context = Context::from_waker(Waker::noop());
        let answer = Pin::new(&mut waiting).poll(&mut context);
        assert_eq!(answer, Poll::Ready(Value::Null));
    }
}
