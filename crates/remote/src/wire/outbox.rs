//! What the callers of a connection and its driver share: what is to be sent, and how many may send.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::expected::{Expected, Reply, Until, tell_overdue};
use super::loss::{Failure, GIVEN_UP, Loss};

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

/// What the callers and the driver share.
#[derive(Debug)]
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    /// One for each request that may still be sent.
    turns: Semaphore,
    /// Set as soon as nothing should be sent any more; answers may still come.
    pub(super) is_retired: AtomicBool,
    /// How many requests are sent or about to be.
    pub(super) in_flight: AtomicUsize,
    /// How long an answer may take before the connection is of no use.
    response_timeout: Duration,
    pub(super) ended: watch::Sender<bool>,
    /// Whether somebody has told that the connection was lost.
    pub(super) is_told: AtomicBool,
}

/// What is to be sent.
#[derive(Debug, Default)]
struct Outbox {
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

impl Shared {
    pub(super) fn new(patience: Patience) -> Shared {
        Shared {
            outbox: Mutex::default(),
            turns: Semaphore::new(patience.in_flight_max.min(Semaphore::MAX_PERMITS)),
            is_retired: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            response_timeout: patience.response_timeout,
            ended: watch::Sender::new(false),
            is_told: AtomicBool::new(false),
        }
    }

    /// Waits for a turn and puts a request into the outbox. Answers who looks at the clock from then on.
    pub(super) async fn send(
        &self,
        request: impl FnOnce(&mut Vec<u8>),
        reply: Reply,
        (left, skipped): (usize, usize),
        until: Until,
    ) -> Result<Until, Failure> {
        let until = match self.turns.try_acquire() {
            Ok(turn) => {
                turn.forget();
                until
            }
            Err(_) => self.wait_for_turn(until).await?,
        };
        let expected = Expected {
            reply: Some(reply),
            left,
            skipped,
            until: until.at(),
            due: match until {
                Until::Usual(at) => at,
                Until::Own(at) => at.max(Instant::now() + self.response_timeout),
            },
        };
        self.put(request, expected)?;
        Ok(until)
    }

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
    pub(super) fn leave(&self) {
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
        if outbox.take_overdue() {
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
        match outbox.take_overdue() {
            true => Taken::Overdue,
            false => Taken::Nothing,
        }
    }

    /// The time of somebody is over who wants to know what was answered so far.
    pub(super) fn tell_overdue(&self) {
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
    /// Whether the time of somebody is over, which the driver learns once. Those whose requests lie here
    /// are told, though these may be sent yet; the driver tells those whose it has taken.
    fn take_overdue(&mut self) -> bool {
        let is_overdue = mem::take(&mut self.is_overdue);
        if is_overdue {
            tell_overdue(self.requests.iter_mut());
        }
        is_overdue
    }

    fn wake_later(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}
