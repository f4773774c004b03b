//! An answer that will come: who gets it, and until when they wait.

use larder_store::{Refusal, Value};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::loss::{Failure, Loss};

/// Until when a caller waits, and who looks at the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// As long as answers may take on this connection. The driver sees to it, for all callers with one
    /// timer.
    Usual(Instant),
    /// The caller has a time of its own, and a timer. When it is over, that says nothing of the connection.
    Own(Instant),
}

impl Until {
    pub(crate) fn at(self) -> Instant {
        match self {
            Until::Usual(at) | Until::Own(at) => at,
        }
    }
}

/// An answer that will come, and who gets it.
#[derive(Debug)]
pub(super) struct Expected {
    /// Nobody, if the caller was told something else before it came.
    pub(super) reply: Option<Reply>,
    /// How many more answers come for it.
    pub(super) left: usize,
    /// How many of them are of no interest to the caller.
    pub(super) skipped: usize,
    /// Until when its caller waits.
    pub(super) until: Instant,
    /// When the connection is of no use if it has not come. Never before that.
    pub(super) due: Instant,
}

/// What came of a command of a batch: some may be answered before the connection is lost.
pub(crate) type Answered = Result<Value, Failure>;

/// Where answers go.
#[derive(Debug)]
pub(super) enum Reply {
    One(oneshot::Sender<Result<Value, Failure>>),
    /// An answer for each command of a batch.
    All(
        Vec<Answered>,
        oneshot::Sender<Result<Vec<Answered>, Failure>>,
    ),
    /// What was refused of the commands in front of a PING, which have no answers if they go well.
    Fence(Vec<Refusal>, oneshot::Sender<Result<Vec<Refusal>, Failure>>),
    /// The driver's own question whether anybody is there.
    Ping,
}

impl Expected {
    /// Gives the caller what happened instead of an answer.
    pub(super) fn fail(&mut self, failure: Failure) {
        // Whoever has lost interest does not hear of it.
        match self.reply.take() {
            Some(Reply::One(to)) => drop(to.send(Err(failure))),
            Some(Reply::All(mut answers, to)) => {
                answers.resize(answers.len() + self.left, Err(failure));
                drop(to.send(Ok(answers)));
            }
            Some(Reply::Fence(_, to)) => drop(to.send(Err(failure))),
            Some(Reply::Ping) | None => {}
        }
    }

    /// Whether somebody still waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.reply {
            Some(Reply::One(to)) => !to.is_closed(),
            Some(Reply::All(_, to)) => !to.is_closed(),
            Some(Reply::Fence(_, to)) => !to.is_closed(),
            Some(Reply::Ping) | None => false,
        }
    }

    /// Whether its caller waits no longer, and wants what was answered so far.
    fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.reply, Some(Reply::All(..))) && self.until <= now
    }
}

/// Tells those whose time is over, and who want to know it, what was answered so far.
pub(super) fn tell_overdue<'e>(all: impl Iterator<Item = &'e mut Expected>) {
    let now = Instant::now();
    all.filter(|expected| expected.is_overdue(now))
        .for_each(|expected| expected.fail(Failure::Unanswered(Loss::Late)));
}
