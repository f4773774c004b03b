//! A connection that many callers share.
//!
//! ```text
//! callers ── encode ──> outbox ── taken as a whole ──> driver ── written ──> server
//!         <── answers, in the order of the requests ── driver <── read ────
//! ```
//!
//! A task drives it. What callers ask while the driver writes is sent together when it has written, so
//! requests of many travel in few packets. A request that still lies in the outbox when the connection
//! ends was certainly not sent, and its caller learns so; of one that was taken out nobody knows.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use larder_store::{Arguments, Command, Error, Refusal, Value};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::answer::Malformed;
use super::driver::{Driver, Pushes};
use super::stream::Stream;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The request did not leave this process.
    NotSent(Loss),
    /// It did, or a part of it, and nobody knows whether it was executed.
    Unanswered(Loss),
}

impl Failure {
    pub(crate) fn loss(&self) -> &Loss {
        match self {
            Failure::NotSent(loss) | Failure::Unanswered(loss) => loss,
        }
    }

    pub(crate) fn into_loss(self) -> Loss {
        match self {
            Failure::NotSent(loss) | Failure::Unanswered(loss) => loss,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::NotSent(loss) => Error::away(loss),
            Failure::Unanswered(loss) => Error::unanswered(loss),
        }
    }
}

/// What ended a connection, or the wait for an answer on it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Loss {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection was lost: {0}")]
    Io(Arc<std::io::Error>),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It said so without having been asked, as a server that has as many clients as it may.
    #[error("the server ended the connection: {0}")]
    TurnedAway(Refusal),
    #[error("no answer came in time")]
    Late,
    #[error("as many commands are under way as may be, and none was answered in time")]
    NoTurn,
    /// Somebody here has given it up.
    #[error("{0}")]
    GivenUp(&'static str),
}

impl From<std::io::Error> for Loss {
    fn from(error: std::io::Error) -> Loss {
        Loss::Io(Arc::new(error))
    }
}

const GIVEN_UP: Loss = Loss::GivenUp("the connection was given up");

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How many requests may be under way at once.
    pub(crate) in_flight_max: usize,
    /// After so long without a word from the server it is asked whether it is there. `None` on a
    /// connection on which a command waits, which would hold up the question.
    pub(crate) ping_after: Option<Duration>,
    /// How long the answer to that may take, as any other may.
    pub(crate) response_timeout: Duration,
}

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

/// A handle on a connection. When the last one is dropped the connection is closed, and a command that
/// waits on it is given up.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

/// What the callers and the driver share.
#[derive(Debug)]
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    /// One for each request that may still be sent.
    turns: Semaphore,
    /// Set as soon as nothing should be sent any more; answers may still come.
    is_retired: AtomicBool,
    /// How many requests are sent or about to be.
    in_flight: AtomicUsize,
    /// How long an answer may take before the connection is of no use.
    response_timeout: Duration,
    ended: watch::Sender<bool>,
    /// Whether somebody has told that the connection was lost.
    is_told: AtomicBool,
}

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    requests: Vec<Expected>,
    /// Whoever drives the connection, while it has nothing to do or the stream takes nothing.
    driver: Option<Waker>,
    /// Why nothing can be sent any more.
    over: Option<Loss>,
    /// Nobody holds the connection any more.
    is_left: bool,
    /// The time of somebody is over who wants what was answered so far.
    is_overdue: bool,
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

impl Connection {
    /// A connection over a stream, driven by a task of its own. Messages that are no answers go to
    /// `pushes`.
    pub(crate) fn new(stream: Stream, patience: Patience, pushes: Option<Pushes>) -> Connection {
        let shared = Arc::new(Shared {
            outbox: Mutex::default(),
            turns: Semaphore::new(patience.in_flight_max.min(Semaphore::MAX_PERMITS)),
            is_retired: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            response_timeout: patience.response_timeout,
            ended: watch::Sender::new(false),
            is_told: AtomicBool::new(false),
        });
        let driver = Driver::new(stream, Arc::clone(&shared), patience, pushes);
        tokio::spawn(driver);
        Connection {
            handle: Arc::new(Handle { shared }),
        }
    }

    /// Sends a command and waits for its answer. A refusal is an answer.
    pub(crate) async fn call(&self, command: &Command, until: Until) -> Result<Value, Failure> {
        let (to, answer) = oneshot::channel();
        let request = |out: &mut Vec<u8>| write(out, command.arguments());
        let until = self.send(request, Reply::One(to), (1, 0), until).await?;
        wait(answer, until).await
    }

    /// The same, with another command right before it, whose answer is of no interest.
    pub(crate) async fn call_after(
        &self,
        first: &[&str],
        command: &Command,
        until: Until,
    ) -> Result<Value, Failure> {
        let (to, answer) = oneshot::channel();
        let request = |out: &mut Vec<u8>| {
            larder_resp::write_request(out, first);
            write(out, command.arguments());
        };
        let until = self.send(request, Reply::One(to), (2, 1), until).await?;
        wait(answer, until).await
    }

    /// Sends commands together and waits for what comes of each.
    pub(crate) async fn call_all<'c>(
        &self,
        commands: impl ExactSizeIterator<Item = &'c Command>,
        until: Until,
    ) -> Vec<Answered> {
        let (to, mut answers) = oneshot::channel();
        let len = commands.len();
        let request =
            |out: &mut Vec<u8>| commands.for_each(|command| write(out, command.arguments()));
        let reply = Reply::All(Vec::with_capacity(len), to);
        let outcome = match self.send(request, reply, (len, 0), until).await {
            Ok(Until::Own(at)) => match timeout_at(at, &mut answers).await {
                Ok(outcome) => outcome.unwrap_or_else(given_up),
                // Some may have come, and the driver has them.
                Err(_) => {
                    self.handle.shared.tell_overdue();
                    answers.await.unwrap_or_else(given_up)
                }
            },
            Ok(Until::Usual(_)) => answers.await.unwrap_or_else(given_up),
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|failure| vec![Err(failure); len])
    }

    /// Sends commands that have no answer if they go well, such as SUBSCRIBE, and waits until the server is
    /// behind them. The answer has what was refused.
    pub(crate) async fn call_silent(
        &self,
        commands: &[Command],
        until: Until,
    ) -> Result<Vec<Refusal>, Failure> {
        let (to, refused) = oneshot::channel();
        let request = |out: &mut Vec<u8>| {
            commands
                .iter()
                .for_each(|command| write(out, command.arguments()));
            larder_resp::write_request(out, &["PING"]);
        };
        let reply = Reply::Fence(Vec::new(), to);
        let until = self.send(request, reply, (1, 0), until).await?;
        wait(refused, until).await
    }

    /// Waits for a turn and puts a request into the outbox. Answers who looks at the clock from then on.
    async fn send(
        &self,
        request: impl FnOnce(&mut Vec<u8>),
        reply: Reply,
        (left, skipped): (usize, usize),
        until: Until,
    ) -> Result<Until, Failure> {
        let shared = &self.handle.shared;
        let until = match shared.turns.try_acquire() {
            Ok(turn) => {
                turn.forget();
                until
            }
            Err(_) => shared.wait_for_turn(until).await?,
        };
        let expected = Expected {
            reply: Some(reply),
            left,
            skipped,
            until: until.at(),
            due: match until {
                Until::Usual(at) => at,
                Until::Own(at) => at.max(Instant::now() + shared.response_timeout),
            },
        };
        shared.put(request, expected)?;
        Ok(until)
    }

    /// Sends nothing more on this connection; what is under way may still be answered.
    pub(crate) fn retire(&self) {
        self.handle.shared.is_retired.store(true, Ordering::Release);
    }

    /// Whether it is of no use any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.handle.shared.is_retired.load(Ordering::Acquire)
    }

    /// Whether nobody has told yet that it was lost. From now on somebody has.
    pub(crate) fn is_first_to_tell(&self) -> bool {
        !self.handle.shared.is_told.swap(true, Ordering::Relaxed)
    }

    /// How many requests are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.handle.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Ends the connection at once, with whatever is under way.
    pub(crate) fn cut(&self, reason: &'static str) {
        self.handle.shared.over(&Loss::GivenUp(reason));
        self.handle.shared.leave();
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as the handle does, so waiting does not fail.
        let mut ended = self.handle.shared.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Waits for an answer.
async fn wait<T>(
    answer: oneshot::Receiver<Result<T, Failure>>,
    until: Until,
) -> Result<T, Failure> {
    match until {
        Until::Usual(_) => answer.await.unwrap_or_else(given_up),
        Until::Own(at) => match timeout_at(at, answer).await {
            Ok(answer) => answer.unwrap_or_else(given_up),
            Err(_) => Err(Failure::Unanswered(Loss::Late)),
        },
    }
}

/// What a caller is told whose request was taken, and given back by nobody.
fn given_up<T>(_: oneshot::error::RecvError) -> Result<T, Failure> {
    Err(Failure::Unanswered(GIVEN_UP))
}

impl Shared {
    /// Waits until there may be one request more. From then on the caller has a timer of its own: less
    /// time is left than for the others.
    async fn wait_for_turn(&self, until: Until) -> Result<Until, Failure> {
        match timeout_at(until.at(), self.turns.acquire()).await {
            Ok(Ok(turn)) => {
                turn.forget();
                Ok(Until::Own(until.at()))
            }
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(Failure::NotSent(Loss::NoTurn)),
        }
    }

    /// Adds a request to what is to be sent, and wakes the driver if it sleeps.
    fn put(&self, request: impl FnOnce(&mut Vec<u8>), expected: Expected) -> Result<(), Failure> {
        let mut outbox = self.outbox.lock();
        if let Some(loss) = &outbox.over {
            return Err(Failure::NotSent(loss.clone()));
        }
        request(&mut outbox.bytes);
        outbox.requests.push(expected);
        let driver = outbox.driver.take();
        drop(outbox);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        driver.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// What a caller is told who finds that the connection is over.
    fn gone(&self) -> Failure {
        let over = self.outbox.lock().over.clone();
        Failure::NotSent(over.unwrap_or(GIVEN_UP))
    }

    /// Nobody holds the connection any more.
    fn leave(&self) {
        let mut outbox = self.outbox.lock();
        outbox.is_left = true;
        let driver = outbox.driver.take();
        drop(outbox);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Takes out what is to be sent, if there is anything; else leaves a word for when there will be.
    pub(super) fn take(
        &self,
        bytes: &mut Vec<u8>,
        requests: &mut VecDeque<Expected>,
        waker: &Waker,
    ) -> Taken {
        let mut outbox = self.outbox.lock();
        if outbox.is_left {
            return Taken::Left;
        }
        if mem::take(&mut outbox.is_overdue) {
            return Taken::Overdue;
        }
        if outbox.requests.is_empty() {
            outbox.wake_later(waker);
            return Taken::Nothing;
        }
        mem::swap(bytes, &mut outbox.bytes);
        let taken = outbox.requests.len();
        requests.extend(outbox.requests.drain(..));
        Taken::Requests(taken)
    }

    /// What there is to be heard while the stream takes nothing more; else leaves a word for when there
    /// will be.
    pub(super) fn heed(&self, waker: &Waker) -> Taken {
        let mut outbox = self.outbox.lock();
        if outbox.is_left {
            return Taken::Left;
        }
        outbox.wake_later(waker);
        match mem::take(&mut outbox.is_overdue) {
            true => {
                // They may be sent yet.
                tell_overdue(outbox.requests.iter_mut());
                Taken::Overdue
            }
            false => Taken::Nothing,
        }
    }

    /// The time of somebody is over who wants to know what was answered so far.
    fn tell_overdue(&self) {
        let mut outbox = self.outbox.lock();
        outbox.is_overdue = true;
        let driver = outbox.driver.take();
        drop(outbox);
        driver.into_iter().for_each(Waker::wake);
    }

    /// When the connection is of no use if what is still to be sent has no answer.
    pub(super) fn due(&self) -> Option<Instant> {
        let outbox = self.outbox.lock();
        outbox.requests.iter().map(|expected| expected.due).min()
    }

    /// The driver's own question whether anybody is there.
    pub(super) fn ask(&self, until: Instant) {
        let ping = Expected {
            reply: Some(Reply::Ping),
            left: 1,
            skipped: 0,
            until,
            due: until,
        };
        // If the connection is over, there is nobody to ask.
        let _ = self.put(|out| larder_resp::write_request(out, &["PING"]), ping);
    }

    /// So many requests have their answers.
    pub(super) fn answered(&self, requests: usize, pings: usize) {
        self.in_flight.fetch_sub(requests, Ordering::Relaxed);
        self.turns.add_permits(requests - pings);
    }

    /// Nothing is sent any more: whatever is not sent is given back to its caller.
    pub(super) fn over(&self, loss: &Loss) {
        self.is_retired.store(true, Ordering::Release);
        self.turns.close();
        let mut outbox = self.outbox.lock();
        outbox.over.get_or_insert_with(|| loss.clone());
        let unsent = mem::take(&mut outbox.requests);
        outbox.bytes = Vec::new();
        drop(outbox);
        self.in_flight.fetch_sub(unsent.len(), Ordering::Relaxed);
        for mut expected in unsent {
            expected.fail(Failure::NotSent(loss.clone()));
        }
    }

    /// The driver has ended.
    pub(super) fn end(&self) {
        self.in_flight.store(0, Ordering::Relaxed);
        self.ended.send_replace(true);
    }
}

/// What was in the outbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Requests(usize),
    Nothing,
    /// Somebody wants to know what was answered so far.
    Overdue,
    /// Nobody is interested any more.
    Left,
}

impl Outbox {
    fn wake_later(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

fn write(out: &mut Vec<u8>, arguments: Arguments<'_>) {
    larder_resp::array(out, arguments.len());
    arguments
        .iter()
        .for_each(|word| larder_resp::bulk(out, word));
}
