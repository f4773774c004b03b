//! One load at a time for each name, within this process.
//!
//! The first caller who needs a name leads: it gets a [`Lead`], on which it says how it ended. The
//! others follow: they wait on the [`Flight`]. A leader that is dropped before it has said anything
//! was cancelled, and one of those who waited leads next.

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
    by_name: Mutex<HashMap<Box<str>, Flight>>,
}

impl Flights {
    /// Leads the flight to `name` if nobody does, with this token or else a new one.
    pub(super) fn join<'a>(&'a self, name: &'a str, token: Option<Token>) -> Role<'a> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(name) {
            return Role::Follower(flight.clone());
        }
        let (sender, outcome) = watch::channel(Outcome::Flying);
        let token = token.unwrap_or_else(rand::random);
        flights.insert(name.into(), Flight { outcome, token });
        Role::Leader(Lead {
            flights: self,
            name,
            token,
            sender,
        })
    }

    /// Lets whoever comes next lead, although a flight is under way: it began too early.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// [`Flights::forget`] for all names.
    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Flight>> {
        // Nothing in here panics between two changes that belong together.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut flights = self.flights.lock();
        let flight = flights.get(self.name);
        if flight.is_some_and(|flight| flight.token == self.token) {
            flights.remove(self.name);
        }
    }
}
