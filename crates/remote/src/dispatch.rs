//! What all calls of a store go by: where they are sent, and who may wait how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::{Capabilities, Command, Error, slot, slot_of};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::events::Events;
use crate::near::Nears;
use crate::open_error::OpenError;
use crate::probe;
use crate::topology::{Route, Topology};
use crate::tries::Budget;

/// What all calls of a store go by.
pub(crate) struct Dispatch {
    pub(crate) topology: Topology,
    pub(crate) config: Config,
    pub(crate) budget: Budget,
    /// What is kept of what was read near.
    pub(crate) nears: Arc<Nears>,
    pub(crate) events: Events,
    is_closed: AtomicBool,
    /// How many callers may still wait while a breaker is open.
    room: Semaphore,
}

impl Dispatch {
    /// That of a store on the servers that the URL names.
    ///
    /// # Errors
    ///
    /// As [`Remote::open`](crate::Remote::open).
    pub(crate) fn open(url: &str, config: Config) -> Result<Dispatch, OpenError> {
        let config = config.checked()?;
        let events = Events::default();
        Ok(Dispatch {
            topology: Topology::open(url, config.clone(), &events)?,
            room: Semaphore::new(match config.wait_while_away {
                true => config.waiting_max.min(Semaphore::MAX_PERMITS),
                false => 0,
            }),
            config,
            budget: Budget::default(),
            nears: Arc::default(),
            events,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Ends all connections. Later calls are refused.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.topology.close();
        self.events.close();
    }

    /// Whether the store is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Refuses a call if the store is closed, or if nothing is there that could make it.
    pub(crate) fn refuse_if_unusable(&self) -> Result<(), Error> {
        match Handle::try_current() {
            Ok(_) if self.is_closed() => Err(Error::Closed),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::invalid(
                "a store on a server has to be used within a tokio runtime",
            )),
        }
    }

    /// Waits until it is worth asking again, if the breaker has refused a caller and there is room for those
    /// who wait. Answers whether he may.
    pub(crate) async fn wait_out(&self, error: &Error, until: Instant) -> bool {
        let Some(after) = error.retry_after() else {
            return false;
        };
        let Ok(_place) = self.room.try_acquire() else {
            return false;
        };
        let again = Instant::now() + after;
        sleep_until(again.min(until)).await;
        again < until && !self.is_closed()
    }

    /// Where a command goes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if its keys are in different slots of a cluster, or it is about one server
    /// and does not say which.
    pub(crate) fn route(&self, command: &Command) -> Result<Route, Error> {
        let part = command.delivery().part.as_ref();
        if let Some(route) = part.and_then(|part| self.topology.route_to(part)) {
            return Ok(route);
        }
        if !self.topology.is_cluster() {
            return Ok(Route::Any);
        }
        let slot = slot_of(command)?.or_else(|| home_of_messages(command));
        Ok(slot.map_or(Route::Any, Route::Slot))
    }

    /// What the servers of the store can do.
    pub(crate) async fn capabilities(&self) -> Result<Capabilities, Error> {
        self.refuse_if_unusable()?;
        let node = self.topology.node(&Route::Any, false, None).await?;
        probe::capabilities(&node).await
    }
}

/// The slot whose owner a message is given to. Any node would take it and tell the others, but by two
/// nodes the messages of a channel would come out of their order.
fn home_of_messages(command: &Command) -> Option<u16> {
    let is_message = command.name().eq_ignore_ascii_case(b"PUBLISH");
    let channel = command.arguments().get(1).filter(|_| is_message)?;
    Some(slot(channel))
}
