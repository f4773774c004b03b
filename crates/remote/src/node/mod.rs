//! A node: one server as it is now, and everything that is open to it.

mod breaker;
mod hub;
mod pool;
mod queue;
mod shared;
mod tracked;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_store::{Capabilities, Command, Error, NodeStatus, Part, Role, Value};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use self::breaker::Admission;
pub(crate) use self::breaker::Breaker;
pub(crate) use self::hub::{Hub, Listener, Name, Place};
use self::pool::Pool;
pub(crate) use self::queue::Queue;
use self::shared::Slot;
use self::tracked::Tracking;
use crate::config::Config;
use crate::events::{ConnectionEvent, Events};
use crate::tries::Tries;
use crate::why_not::{away, may_pass, reason};
use crate::wire::{
    self, Answered, ConnectError, Connection, Failure, Greeting, Loss, Patience, Pushes, Target,
    Until,
};

/// A caller who waits for less time than this learns nothing of the server when it is over: a busy network
/// takes as long.
const HURRY: Duration = Duration::from_millis(50);

/// A node: the connections that all callers share, and those on which commands wait. They are given up
/// together, when another server takes its place.
#[derive(Debug)]
pub(crate) struct Node {
    target: Target,
    config: Arc<Config>,
    breaker: Arc<Breaker>,
    events: Events,
    shared: Box<[Slot]>,
    pool: Pool,
    tracking: Tracking,
    /// What the server said of itself when it was greeted last.
    greeting: Mutex<Option<Greeting>>,
    /// What it can do, since it was greeted last.
    capabilities: Mutex<Option<Capabilities>>,
    /// How many callers wait for a connection.
    waiting: AtomicUsize,
    /// Whether it has said that it is not the master.
    is_demoted: AtomicBool,
    /// Until when others are asked rather than this one.
    avoided_until: Mutex<Option<Instant>>,
    /// Why the node was given up, if it was.
    given_up: watch::Sender<Option<GivenUp>>,
    itself: Weak<Node>,
}

/// Why a node is not used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Another server has taken its place.
    Replaced,
    /// The store was closed.
    Closed,
}

impl Node {
    pub(crate) fn new(target: Target, config: &Arc<Config>, events: &Events) -> Arc<Node> {
        Node::with_breaker(target, config, events, Arc::new(Breaker::new(config)))
    }

    fn with_breaker(
        target: Target,
        config: &Arc<Config>,
        events: &Events,
        breaker: Arc<Breaker>,
    ) -> Arc<Node> {
        Arc::new_cyclic(|itself| Node {
            target,
            breaker,
            events: events.clone(),
            shared: (0..config.connections).map(|_| Slot::default()).collect(),
            pool: Pool::new(config),
            tracking: Tracking::default(),
            greeting: Mutex::default(),
            capabilities: Mutex::default(),
            waiting: AtomicUsize::new(0),
            is_demoted: AtomicBool::new(false),
            avoided_until: Mutex::default(),
            given_up: watch::Sender::new(None),
            config: Arc::clone(config),
            itself: Weak::clone(itself),
        })
    }

    /// The same server, connected to anew: its name may lead to another machine by now.
    pub(crate) fn renewed(&self) -> Arc<Node> {
        let breaker = Arc::clone(&self.breaker);
        Node::with_breaker(self.target.clone(), &self.config, &self.events, breaker)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// What the server said of itself when it was greeted last, if it ever was.
    pub(crate) fn greeting(&self) -> Option<Greeting> {
        self.greeting.lock().clone()
    }

    /// Notes what the server says of itself. If that is news, it may be able to do other things.
    fn met(&self, greeting: Greeting) {
        let mut known = self.greeting.lock();
        if known.as_ref() != Some(&greeting) {
            *self.capabilities.lock() = None;
            *known = Some(greeting);
        }
    }

    /// What the server can do, if it was asked.
    pub(crate) fn capabilities(&self) -> Option<Capabilities> {
        *self.capabilities.lock()
    }

    pub(crate) fn know(&self, capabilities: Capabilities) {
        *self.capabilities.lock() = Some(capabilities);
    }

    /// Sends a command, behind `first` if there is something to be said before, and waits for its answer.
    pub(crate) async fn call(
        &self,
        first: Option<&[&str]>,
        command: &Command,
        until: Option<Instant>,
    ) -> Result<Answered, Error> {
        let admission = self.breaker.admit()?;
        let is_patient = is_patient(until);
        let connection = self.connection(until).await?;
        let until = self.until(until);
        let answer = match first {
            None => connection.call(command, until).await,
            Some(first) => connection.call_after(first, command, until).await,
        };
        self.heard(&connection, &answer, &admission, is_patient);
        Ok(answer)
    }

    /// Sends commands together and waits for what comes of each.
    pub(crate) async fn call_all<'c>(
        &self,
        commands: impl ExactSizeIterator<Item = &'c Command> + Send,
        until: Option<Instant>,
    ) -> Result<Vec<Answered>, Error> {
        let admission = self.breaker.admit()?;
        let is_patient = is_patient(until);
        let connection = self.connection(until).await?;
        let answers = connection.call_all(commands, self.until(until)).await;
        self.heard_all(&connection, &answers, &admission, is_patient);
        Ok(answers)
    }

    /// Until when an answer is waited for.
    fn until(&self, own: Option<Instant>) -> Until {
        own.map_or_else(
            || Until::Usual(Instant::now() + self.config.response_timeout),
            Until::Own,
        )
    }

    /// Notes how it went with a batch: as with its last command.
    fn heard_all(
        &self,
        connection: &Connection,
        answers: &[Answered],
        admission: &Admission<'_>,
        is_patient: bool,
    ) {
        if let Some(last) = answers.last() {
            self.heard(connection, last, admission, is_patient);
        }
    }

    /// Notes how it went.
    fn heard(
        &self,
        connection: &Connection,
        answer: &Answered,
        admission: &Admission<'_>,
        is_patient: bool,
    ) {
        match answer {
            Ok(answer) => {
                self.is_there(admission);
                // The server has forgotten who we are on this connection, and not on others.
                if matches!(answer, Value::Error(refusal) if refusal.code() == "NOAUTH") {
                    connection.retire();
                }
            }
            Err(failure) if connection.is_retired() => self.lost(connection, failure),
            // One caller's own time was short, which alone says nothing of the server.
            Err(_) if is_patient => self.opened(self.breaker.was_late(), "answers come too late"),
            Err(_) => {}
        }
    }

    /// The server has answered.
    fn is_there(&self, admission: &Admission<'_>) {
        if self.breaker.answered(admission) {
            self.events
                .tell(|| ConnectionEvent::BreakerClosed(self.name()));
        }
    }

    /// A connection is of no use any more. Of all who learn so, one counts.
    fn lost(&self, connection: &Connection, failure: &Failure) {
        if connection.is_first_to_tell() {
            let reason = failure.loss().to_string();
            self.events
                .tell(|| ConnectionEvent::Lost(self.name(), reason.clone()));
            self.opened(self.breaker.failed(&reason), &reason);
        }
    }

    /// Tells that the breaker has opened, if it has.
    fn opened(&self, has_opened: bool, reason: &str) {
        if has_opened {
            self.events
                .tell(|| ConnectionEvent::BreakerOpened(self.name(), reason.to_owned()));
        }
    }

    fn name(&self) -> String {
        self.target.address.to_string()
    }

    /// A connection of one's own, in as many tries as the configuration allows.
    pub(crate) async fn connect_patiently(
        &self,
        patience: Patience,
        pushes: Option<fn() -> Pushes>,
        until: Instant,
    ) -> Result<Connection, Error> {
        let usual = self.config.connect_by(None);
        let until = until.min(usual);
        let mut tries = Tries::to_connect(&self.config, until);
        let mut earlier = None;
        loop {
            match self
                .connect(patience, pushes.map(|make| make()), until)
                .await
            {
                Ok(connection) => return Ok(connection),
                Err(error)
                    if may_pass(&error)
                        && self.gone().is_none()
                        && tries.again()
                        && tries.pause().await =>
                {
                    tracing::debug!(?error, retry = tries.retries(), "could not connect");
                    earlier = Some(error);
                }
                Err(error) => {
                    // A try for which no time was left says less than the one before.
                    let error = match (error, earlier) {
                        (ConnectError::Late, Some(earlier)) => earlier,
                        (error, _) => error,
                    };
                    let is_hurried = matches!(error, ConnectError::Late) && until + HURRY < usual;
                    let error = away(&error, &self.target);
                    // One caller's own time was short, which alone says nothing of the server.
                    if !is_hurried {
                        let reason = reason(&error);
                        self.opened(self.breaker.failed(&reason), &reason);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// A connection of one's own, in one try.
    pub(crate) async fn connect(
        &self,
        patience: Patience,
        pushes: Option<Pushes>,
        until: Instant,
    ) -> Result<Connection, ConnectError> {
        let (connection, greeting) = wire::connect(&self.target, patience, pushes, until).await?;
        self.events.tell(|| ConnectionEvent::Connected(self.name()));
        self.met(greeting);
        // Whoever keeps the connection looks again.
        match self.gone() {
            None => Ok(connection),
            Some(_) => Err(ConnectError::Lost(Loss::GivenUp("the node was given up"))),
        }
    }

    /// Whether it has said that it is not the master.
    pub(crate) fn is_demoted(&self) -> bool {
        self.is_demoted.load(Ordering::Acquire)
    }

    /// It has said that it is not the master.
    pub(crate) fn demote(&self) {
        self.is_demoted.store(true, Ordering::Release);
    }

    /// What was read near is stale.
    pub(crate) fn end_tracking(&self) {
        self.tracking.end();
    }

    /// Has others asked rather than this one, for a while.
    pub(crate) fn avoid(&self) {
        *self.avoided_until.lock() = Some(Instant::now() + self.config.backoff_max);
    }

    /// Whether others are to be asked rather than this one.
    pub(crate) fn is_avoided(&self) -> bool {
        self.avoided_until
            .lock()
            .is_some_and(|until| Instant::now() < until)
    }

    /// How it is seen from here.
    pub(crate) fn status(&self, role: Role) -> NodeStatus {
        let mut status = NodeStatus::new(Part::new(self.name()), role);
        let shared = self.shared.iter().filter_map(Slot::connection).count();
        let waiting = self.pool.waiting();
        status.breaker = self.breaker.state();
        status.connections = shared + waiting + self.pool.idle();
        status.in_flight = self.in_flight() + waiting;
        status
    }

    fn late(&self) -> Error {
        away(&ConnectError::Late, &self.target)
    }

    /// Why the node is not used any more, if it is not.
    pub(crate) fn gone(&self) -> Option<GivenUp> {
        *self.given_up.borrow()
    }

    /// Waits until the node is given up.
    pub(crate) async fn given_up(&self) {
        // The sender lives as long as this does, so waiting does not fail.
        let _ = self.given_up.subscribe().wait_for(Option::is_some).await;
    }

    /// Gives the node up: nothing more is sent to it, what is under way may still be answered, and whoever
    /// waits on it waits no longer.
    pub(crate) fn give_up(&self, why: GivenUp) {
        self.given_up.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(why);
            is_first
        });
        self.retire_shared();
        self.pool.clear();
        self.end_tracking();
    }

    /// The server has forgotten who we are. The connection on which it said so is of no use any more by
    /// now; those that are idle were greeted before it.
    pub(crate) fn greet_again(&self) {
        self.pool.clear();
    }
}

/// Whether a caller gives the server time enough to learn something of it if it is over.
fn is_patient(until: Option<Instant>) -> bool {
    until.is_none_or(|until| until.saturating_duration_since(Instant::now()) >= HURRY)
}
