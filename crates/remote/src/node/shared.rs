//! The connections that all callers share.
//!
//! A task of its own makes one that is missing, for all who need it: a caller who loses patience, or is
//! dropped, loses his place in the queue, and not the connection. So one is made also where nobody waits
//! for as long as that takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_store::Error;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{GivenUp, Node};
use crate::events::ConnectionEvent;
use crate::wire::Connection;

/// The place of a connection.
#[derive(Debug, Default)]
pub(super) struct Slot {
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    connection: Option<Connection>,
    /// What will come of the try to make it, while there is one.
    making: Option<Making>,
    /// When the last try failed, if it did.
    failed: Option<Instant>,
}

/// What comes of a try to connect, for all who wait for it.
type Making = watch::Receiver<Option<Result<Connection, Error>>>;

impl Node {
    /// The connection with the fewest requests under way, made if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if no connection could be made in as many tries as the configuration allows, or
    /// too many callers wait for one already.
    pub(super) async fn connection(&self, until: Option<Instant>) -> Result<Connection, Error> {
        if let Some(connection) = self.there() {
            return Ok(connection);
        }
        let _waiting = Waiting::enter(self)?;
        // Of several that are missing the first is made for all: were each to make another, the server
        // would be stormed.
        let mut making = self.making(0);
        let made = making.wait_for(Option::is_some);
        let made = match until {
            // It takes no longer than it may.
            None => made.await,
            Some(own) => timeout_at(own, made).await.map_err(|_| self.late())?,
        };
        match made.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The runtime has ended in which it was made.
            Ok(None) | Err(_) => Err(self.late()),
        }
    }

    /// Of the connections that there are, the one with the fewest requests under way. While those have
    /// something to do, one that is missing is made beside them, and nobody waits for it.
    fn there(&self) -> Option<Connection> {
        if let [slot] = &*self.shared {
            return slot.connection();
        }
        let there = self.shared.iter().filter_map(Slot::connection);
        let best = there.min_by_key(Connection::in_flight)?;
        if best.in_flight() > 0 {
            let is_missing = |slot: &Slot| slot.is_worth_a_try(self.config.backoff_max);
            if let Some(place) = self.shared.iter().position(is_missing) {
                self.making(place);
            }
        }
        Some(best)
    }

    /// The try to make the connection at this place: the one that there is, or a new one.
    fn making(&self, place: usize) -> Making {
        let mut current = self.shared[place].current.lock();
        if let Some(making) = &current.making
            && making.has_changed().is_ok()
        {
            return making.clone();
        }
        let (to, making) = watch::channel(None);
        current.making = Some(making.clone());
        // Whoever calls this holds the node.
        if let Some(node) = self.itself.upgrade() {
            tokio::spawn(async move { node.make(place, &to).await });
        }
        making
    }

    /// Makes the connection at this place, and tells those who wait for it.
    async fn make(
        self: Arc<Node>,
        place: usize,
        to: &watch::Sender<Option<Result<Connection, Error>>>,
    ) {
        self.forget(place);
        let until = self.config.connect_by(None);
        let outcome = tokio::select! {
            biased;
            () = self.given_up() => Err(self.why_not_made()),
            outcome = self.connect_patiently(self.config.patience(), None, until) => outcome,
        };
        let mut current = self.shared[place].current.lock();
        current.making = None;
        // Whoever gives the node up after this look finds the connection.
        let outcome = match self.gone() {
            None => outcome,
            Some(_) => Err(self.why_not_made()),
        };
        current.failed = outcome.is_err().then(Instant::now);
        current.connection = outcome.as_ref().ok().cloned();
        drop(current);
        to.send_replace(Some(outcome));
    }

    /// Forgets a connection that ended while nobody asked anything on it, which says nothing bad of the
    /// server: it may close what is idle.
    fn forget(&self, place: usize) {
        let old = self.shared[place].current.lock().connection.take();
        if old.is_some_and(|old| old.is_first_to_tell()) {
            let reason = "it was closed while it was idle".to_owned();
            self.events
                .tell(|| ConnectionEvent::Lost(self.name(), reason));
        }
    }

    fn why_not_made(&self) -> Error {
        match self.gone() {
            Some(GivenUp::Closed) => Error::Closed,
            _ => Error::away("another server has taken the place of this one"),
        }
    }

    /// Sends nothing more on these connections.
    pub(super) fn retire_shared(&self) {
        for slot in &self.shared {
            if let Some(connection) = slot.current.lock().connection.take() {
                connection.retire();
            }
        }
    }

    /// How many requests are under way on the connections that callers share.
    pub(crate) fn in_flight(&self) -> usize {
        let there = self.shared.iter().filter_map(Slot::connection);
        there.map(|connection| connection.in_flight()).sum()
    }
}

impl Slot {
    pub(super) fn connection(&self) -> Option<Connection> {
        let current = self.current.lock();
        let connection = current.connection.as_ref();
        connection.filter(|it| !it.is_retired()).cloned()
    }

    /// Whether the connection is missing, nobody makes it, and the last try did not fail a moment ago.
    fn is_worth_a_try(&self, pause: Duration) -> bool {
        let current = self.current.lock();
        let connection = current.connection.as_ref();
        connection.is_none_or(Connection::is_retired)
            && current.making.is_none()
            && current.failed.is_none_or(|at| at.elapsed() >= pause)
    }
}

/// One of the callers that wait for a connection.
struct Waiting<'a> {
    node: &'a Node,
}

impl Waiting<'_> {
    fn enter(node: &Node) -> Result<Waiting<'_>, Error> {
        let waiting = Waiting { node };
        let others = node.waiting.fetch_add(1, Ordering::AcqRel);
        match others < node.config.waiting_max {
            true => Ok(waiting),
            false => Err(Error::away(format_args!(
                "the server is away, and {others} callers wait for it already"
            ))),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.node.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
