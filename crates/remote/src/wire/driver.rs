//! The task behind a connection: writes what the outbox holds, and hands out what is answered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use larder_store::Value;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::{self, Malformed, Scanner};
use super::expected::{Expected, Reply, tell_overdue};
use super::loss::{Failure, Loss};
use super::outbox::{Patience, Shared, Taken};
use super::stream::Stream;

/// Gets messages that are no answers, in the order in which they came among the answers.
pub(crate) type Pushes = Box<dyn FnMut(Vec<Value>) + Send>;

/// How much is read at once, at least.
const READ: usize = 16 * 1024;

/// Buffers that are larger than this are given back when they are empty.
const KEPT: usize = 256 * 1024;

const LEFT: Loss = Loss::GivenUp("nobody holds the connection any more");
const RUNTIME_ENDED: Loss = Loss::GivenUp("the runtime has ended in which the connection was made");

/// Drives a connection until it ends, or nobody holds it any more.
pub(super) struct Driver {
    stream: Stream,
    shared: Arc<Shared>,
    patience: Patience,
    pushes: Option<Pushes>,
    /// What is being written, up to where it is written.
    output: Vec<u8>,
    written: usize,
    is_flushed: bool,
    /// Whose answers will come, in order.
    sent: VecDeque<Expected>,
    /// How many of them, at the end, are in what is being written, if none of that is written yet.
    unwritten: usize,
    /// What was read and is not handed out yet.
    input: BytesMut,
    scanner: Scanner,
    timer: Pin<Box<Sleep>>,
    /// When the server said something last.
    heard: Instant,
    is_asking: bool,
    has_ended: bool,
}

impl Driver {
    pub(super) fn new(
        stream: Stream,
        shared: Arc<Shared>,
        patience: Patience,
        pushes: Option<Pushes>,
    ) -> Driver {
        let now = Instant::now();
        let usual = patience.response_timeout;
        let first = now + patience.ping_after.map_or(usual, |after| after.min(usual));
        Driver {
            stream,
            shared,
            patience,
            pushes,
            output: Vec::new(),
            written: 0,
            is_flushed: true,
            sent: VecDeque::new(),
            unwritten: 0,
            input: BytesMut::new(),
            scanner: Scanner::default(),
            timer: Box::pin(sleep_until(first)),
            heard: now,
            is_asking: false,
            has_ended: false,
        }
    }

    /// Does what can be done now. It is ready when the connection is over.
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Loss> {
        loop {
            match self.write(context) {
                Ok(true) => return Poll::Ready(LEFT),
                Ok(false) => {}
                Err(error) => return Poll::Ready(self.last_words(context, error)),
            }
            // Each answer may be what a caller waits for before it asks again, so there may be more to
            // write after a read.
            match self.read(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(loss)) => return Poll::Ready(loss),
                Poll::Pending => break,
            }
        }
        while self.timer.as_mut().poll(context).is_ready() {
            if let Some(loss) = self.look_at_the_clock() {
                return Poll::Ready(loss);
            }
        }
        Poll::Pending
    }

    /// Nothing can be written any more. What the server has said before, such as why, is read nevertheless.
    fn last_words(&mut self, context: &mut Context<'_>, error: std::io::Error) -> Loss {
        loop {
            match self.read(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(loss @ Loss::TurnedAway(_))) => return loss,
                Poll::Ready(Err(_)) | Poll::Pending => return error.into(),
            }
        }
    }

    /// Writes as much as the stream takes. Answers whether nobody holds the connection any more.
    fn write(&mut self, context: &mut Context<'_>) -> std::io::Result<bool> {
        loop {
            if self.written == self.output.len() && !self.refill(context) {
                break;
            }
            let rest = &self.output[self.written..];
            match Pin::new(&mut self.stream).poll_write(context, rest)? {
                Poll::Ready(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Poll::Ready(len) => {
                    self.written += len;
                    self.unwritten = 0;
                    self.is_flushed = false;
                }
                // Callers may leave meanwhile, or their time be over.
                Poll::Pending => {
                    let heard = self.shared.heed(context.waker());
                    self.mind(&heard);
                    return Ok(self.has_ended);
                }
            }
        }
        if !self.is_flushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.is_flushed = true;
        }
        Ok(self.has_ended)
    }

    /// Takes what is to be sent. Answers whether there is something.
    fn refill(&mut self, context: &mut Context<'_>) -> bool {
        self.written = 0;
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
        loop {
            let taken = self
                .shared
                .take(&mut self.output, &mut self.sent, context.waker());
            self.mind(&taken);
            match taken {
                Taken::Requests(requests) => {
                    self.unwritten = requests;
                    return true;
                }
                Taken::Overdue => {}
                Taken::Nothing | Taken::Left => return false,
            }
        }
    }

    /// Does what callers want who wait no longer.
    fn mind(&mut self, heard: &Taken) {
        match heard {
            Taken::Overdue => tell_overdue(self.sent.iter_mut()),
            Taken::Left => self.has_ended = true,
            Taken::Requests(_) | Taken::Nothing => {}
        }
    }

    /// Reads what is there and hands it out. Pending if nothing is there.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = BytesMut::new();
        }
        self.input.reserve(READ);
        let len = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context));
        Poll::Ready(match len {
            Ok(0) => Err(Loss::Closed),
            Ok(_) => {
                self.heard = Instant::now();
                self.hand_out()
            }
            Err(error) => Err(error.into()),
        })
    }

    /// Gives each answer that is there as a whole to its caller.
    fn hand_out(&mut self) -> Result<(), Loss> {
        let mut done = Done::default();
        let outcome: Result<(), Loss> = loop {
            let end = match self.scanner.end_of(&self.input) {
                Ok(Some(end)) => end,
                Ok(None) => break Ok(()),
                Err(malformed) => break Err(malformed.into()),
            };
            let value = match answer::read(&self.input[..end]) {
                Ok(value) => value,
                Err(malformed) => break Err(malformed.into()),
            };
            let is_push = self.input[0] == b'>';
            self.input.advance(end);
            if is_push {
                self.push(value);
            } else if self.sent.is_empty() {
                break Err(unasked(value));
            } else {
                self.answer(value, &mut done);
            }
        };
        self.shared.answered(done.requests, done.pings);
        outcome
    }

    fn push(&mut self, value: Value) {
        if let (Some(pushes), Value::Array(parts)) = (&mut self.pushes, value) {
            pushes(parts);
        }
    }

    /// Gives an answer to whoever comes next.
    fn answer(&mut self, value: Value, done: &mut Done) {
        let Some(next) = self.sent.front_mut() else {
            return;
        };
        if let (Some(Reply::Fence(refusals, _)), Value::Error(refusal)) = (&mut next.reply, &value)
        {
            refusals.push(refusal.clone());
            return;
        }
        next.left -= 1;
        let is_skipped = next.skipped > 0;
        next.skipped = next.skipped.saturating_sub(1);
        if let Some(Reply::All(answers, _)) = &mut next.reply
            && !is_skipped
        {
            answers.push(Ok(value));
            if next.left == 0 {
                self.finish(Value::Null, done);
            }
        } else if next.left == 0 {
            self.finish(value, done);
        }
    }

    /// The first of those who wait has all answers.
    fn finish(&mut self, last: Value, done: &mut Done) {
        done.requests += 1;
        // Whoever has lost interest does not hear of it.
        match self.sent.pop_front().and_then(|first| first.reply) {
            Some(Reply::One(to)) => drop(to.send(Ok(last))),
            Some(Reply::All(answers, to)) => drop(to.send(Ok(answers))),
            Some(Reply::Fence(refusals, to)) => drop(to.send(Ok(refusals))),
            Some(Reply::Ping) => {
                done.pings += 1;
                self.is_asking = false;
            }
            None => {}
        }
    }

    /// The timer went off: somebody may have waited too long, or the server been silent. Sets it again,
    /// or says why the connection is of no use.
    ///
    /// It goes off no later than an answer may take. What is asked meanwhile is due later than that, so the
    /// timer is not set anew for each request.
    fn look_at_the_clock(&mut self) -> Option<Loss> {
        let now = Instant::now();
        let dues = || self.sent.iter().map(|expected| expected.due);
        if dues().chain(self.shared.due()).any(|due| due <= now) {
            self.shared.over(&Loss::Late);
            for expected in self.sent.iter_mut().filter(|expected| expected.due <= now) {
                expected.fail(Failure::Unanswered(Loss::Late));
            }
            // Who is more patient than the others still waits.
            if !self.sent.iter().any(Expected::is_wanted) {
                return Some(Loss::Late);
            }
        }
        let ping = self.patience.ping_after.filter(|_| !self.is_asking);
        if let Some(after) = ping
            && self.heard + after <= now
        {
            self.is_asking = true;
            self.shared.ask(now + self.patience.response_timeout);
        }
        let dues = self.sent.iter().map(|expected| expected.due);
        let silent = ping.map(|after| self.heard + after);
        let usual = now + self.patience.response_timeout;
        let next = dues.chain(self.shared.due()).chain(silent);
        let next = next.filter(|at| *at > now).min();
        self.timer
            .as_mut()
            .reset(next.map_or(usual, |next| next.min(usual)));
        None
    }

    /// Tells everybody that the connection is over.
    fn end(&mut self, loss: &Loss) {
        // Whoever heard what the server told learns of the end before any caller does.
        self.pushes = None;
        self.shared.over(loss);
        let written = self.sent.len() - self.unwritten.min(self.sent.len());
        for (place, expected) in self.sent.iter_mut().enumerate() {
            expected.fail(match place < written {
                true => Failure::Unanswered(loss.clone()),
                false => Failure::NotSent(loss.clone()),
            });
        }
        self.sent.clear();
        self.shared.end();
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let loss = ready!(self.turn(context));
        self.end(&loss);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    /// A runtime that ends drops its tasks without a word.
    fn drop(&mut self) {
        self.end(&RUNTIME_ENDED);
    }
}

/// What it means that a server says something to nobody.
fn unasked(value: Value) -> Loss {
    match value {
        Value::Error(refusal) => Loss::TurnedAway(refusal),
        _ => Malformed("an answer that nobody has asked for").into(),
    }
}

/// What was answered in a turn.
#[derive(Default)]
struct Done {
    requests: usize,
    pings: usize,
}
