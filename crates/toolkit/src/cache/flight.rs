//! One load at a time for each name, within this process.
//!
//! The first caller who needs a name leads: it gets a [`Lead`], on which it says how it ended. The others
//! follow: they wait on the [`Flight`]. A leader that is dropped before it has said anything has found a
//! value, or has gone away: those who follow look again.
//!
//! A value is handed on to those who came before its load began, and to nobody else: whoever came later may
//! have come after a change that the value does not show, and has to look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use larder_store::Error;

use super::landing::{self, Landing, Teller};
use super::waits::{Circle, Wait, Waiter, wait_for};

/// A moment in the life of this process: before all that come later, whatever the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn now() -> Moment {
        static MOMENTS: AtomicU64 = AtomicU64::new(0);
        Moment(MOMENTS.fetch_add(1, Ordering::SeqCst))
    }
}

/// What a flight came to.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// A value, encoded, of a load that began then.
    Value(Bytes, Moment),
    /// There is no value for anybody who waits.
    Failed(Error),
}

/// A load that somebody else in this process does.
#[derive(Debug)]
pub(super) struct Flight {
    landing: Landing<Outcome>,
    waiter: Arc<Waiter>,
}

impl Flight {
    /// Waits until the flight has ended. `None` if there is nothing in it for a caller who came then, and
    /// has to look again.
    ///
    /// # Errors
    ///
    /// [`Circle`] if the flight can't end before the caller does, as it waits for the load that the
    /// caller is in.
    pub(super) async fn end(self, came: Moment) -> Result<Option<Outcome>, Circle> {
        let _wait = wait_for(&self.waiter)?;
        let outcome = self.landing.outcome().await;
        Ok(outcome.filter(|outcome| match outcome {
            Outcome::Value(_, begun) => came < *begun,
            Outcome::Failed(_) => true,
        }))
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
    by_name: Mutex<HashMap<Box<str>, Known>>,
}

#[derive(Debug)]
struct Known {
    landing: Landing<Outcome>,
    waiter: Arc<Waiter>,
    /// The tags that the value is going to have, unless the load names more.
    tags: Option<Box<[String]>>,
}

impl Flights {
    /// Leads the flight to `name` if nobody does. `tags` are those that its value will have, or `None` if
    /// that is not known yet.
    pub(super) fn join<'a>(&'a self, name: &'a str, tags: Option<&[String]>) -> Role<'a> {
        let mut by_name = self.lock();
        if let Some(flight) = by_name.get(name) {
            return Role::Follower(Flight {
                landing: flight.landing.clone(),
                waiter: flight.waiter.clone(),
            });
        }
        let (teller, landing) = landing::landing();
        let waiter = Arc::new(Waiter::default());
        // What is new waits for nobody, and so in no circle.
        let wait = wait_for(&waiter).ok();
        by_name.insert(
            name.into(),
            Known {
                landing,
                waiter: waiter.clone(),
                tags: tags.map(Into::into),
            },
        );
        Role::Leader(Lead {
            flights: self,
            name,
            waiter,
            teller: Some(teller),
            _wait: wait,
        })
    }

    /// Whether somebody leads a flight to `name`.
    pub(super) fn is_flying(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    /// Lets whoever comes next lead, although a flight is under way: it began too early.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// [`Flights::forget`] for the names whose values may have one of these tags.
    pub(super) fn forget_tagged(&self, tags: &[String]) {
        self.lock().retain(|_, flight| match &flight.tags {
            Some(own) => !own.iter().any(|tag| tags.contains(tag)),
            None => false,
        });
    }

    /// [`Flights::forget`] for all names.
    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        // Nothing in here panics between two changes that belong together.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right, within this process, to load a value.
#[derive(Debug)]
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    name: &'a str,
    pub(super) waiter: Arc<Waiter>,
    teller: Option<Teller<Outcome>>,
    _wait: Option<Wait>,
}

impl Lead<'_> {
    /// Ends the flight.
    pub(super) fn end(mut self, outcome: Outcome) {
        // Nobody joins a flight that has ended.
        self.leave();
        if let Some(teller) = self.teller.take() {
            teller.tell(outcome);
        }
    }

    fn leave(&self) {
        let mut by_name = self.flights.lock();
        let flight = by_name.get(self.name);
        if flight.is_some_and(|flight| Arc::ptr_eq(&flight.waiter, &self.waiter)) {
            by_name.remove(self.name);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
