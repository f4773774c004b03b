//! One load at a time for each name, within this process.
//!
//! The first caller who needs a name leads: it gets a [`Lead`], on which it says how it ended. The
//! others follow: they wait on the [`Flight`]. A leader that is dropped before it has said anything
//! was cancelled. Who leads next, one of those who waited or the first who comes later, gets its
//! token, and with that the lease that it may have left in the store.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// Who fills an entry: a random number.
pub(super) type Token = [u8; 16];

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It has not ended.
    Flying,
    /// Look again: the value is in the store, or somebody else has to load it.
    LookAgain,
    /// The value could not be put into the store. Here it is, encoded.
    Value(Bytes),
    /// The value could not be loaded: an `Arc<E>`, where `E` is the load's error.
    Failed(Arc<dyn Any + Send + Sync>),
    /// The leader went away.
    Cancelled,
}

/// A load that somebody else in this process does.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    outcome: watch::Receiver<Outcome>,
    /// The leader's token, for whoever has to take over.
    pub(super) token: Token,
}

impl Flight {
    /// Waits until the flight has ended.
    pub(super) async fn end(&mut self) -> Outcome {
        let ended = |outcome: &Outcome| !matches!(outcome, Outcome::Flying);
        match self.outcome.wait_for(ended).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => Outcome::Cancelled,
        }
    }
}

/// What [`Flights::join`] makes of its caller.
#[derive(Debug)]
pub(super) enum Role<'a> {
    Leader(Lead<'a>),
    Follower(Flight),
}

/// The loads that are under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Box<str>, Flight>,
    /// The tokens of leaders that were cancelled, until somebody leads in their place.
    left: HashMap<Box<str>, Token>,
}

/// How many tokens are kept for those who come later. One that is not kept costs who comes next the
/// rest of a lease.
const LEFT_MAX: usize = 1024;

impl Flights {
    /// Leads the flight to `name` if nobody does: with this token, or that of a leader that was
    /// cancelled, or else a new one.
    pub(super) fn join<'a>(&'a self, name: &'a str, token: Option<Token>) -> Role<'a> {
        let mut known = self.lock();
        if let Some(flight) = known.by_name.get(name) {
            return Role::Follower(flight.clone());
        }
        let (sender, outcome) = watch::channel(Outcome::Flying);
        let left = known.left.remove(name);
        let token = token.or(left).unwrap_or_else(rand::random);
        known.by_name.insert(name.into(), Flight { outcome, token });
        Role::Leader(Lead {
            flights: self,
            name,
            token,
            sender,
        })
    }

    /// Lets whoever comes next lead, although a flight is under way: it began too early.
    pub(super) fn forget(&self, name: &str) {
        self.lock().by_name.remove(name);
    }

    /// [`Flights::forget`] for all names.
    pub(super) fn forget_all(&self) {
        self.lock().by_name.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing in here panics between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn leave(&mut self, name: &str, token: Token) {
        if self.left.len() >= LEFT_MAX {
            self.left.clear();
        }
        self.left.insert(name.into(), token);
    }
}

/// The right, within this process, to load a value.
#[derive(Debug)]
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    name: &'a str,
    pub(super) token: Token,
    sender: watch::Sender<Outcome>,
}

impl Lead<'_> {
    /// Ends the flight.
    pub(super) fn end(self, outcome: Outcome) {
        self.sender.send_replace(outcome);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let is_cancelled = matches!(*self.sender.borrow(), Outcome::Flying);
        let mut known = self.flights.lock();
        let flight = known.by_name.get(self.name);
        if flight.is_some_and(|flight| flight.token == self.token) {
            known.by_name.remove(self.name);
        }
        if is_cancelled {
            known.leave(self.name, self.token);
        }
    }
}
