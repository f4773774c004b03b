//! What happens to connections, for whoever wants to know.

use tokio::sync::broadcast;

/// How many events are kept for a listener who is slow.
const KEPT: usize = 256;

/// What happened to the connections of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A connection to the server of this address was made.
    Connected(String),
    /// One was lost, for this reason.
    Lost(String, String),
    /// The circuit breaker of a server has opened, for this reason: calls are refused at once.
    BreakerOpened(String, String),
    /// The circuit breaker of a server has closed: it answers again.
    BreakerClosed(String),
    /// Another server is the master now: the one of this address.
    MasterChanged(String),
    /// The slots of a cluster are distributed anew.
    SlotsChanged,
}

/// Where events are told.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<ConnectionEvent>,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            sender: broadcast::Sender::new(KEPT),
        }
    }
}

impl Events {
    /// Tells an event, if anybody listens. Nobody waits for those who do.
    pub(crate) fn tell(&self, event: impl FnOnce() -> ConnectionEvent) {
        if self.sender.receiver_count() > 0 {
            // The last one may have left since.
            let _ = self.sender.send(event());
        }
    }

    pub(crate) fn listen(&self) -> ConnectionEvents {
        ConnectionEvents {
            receiver: self.sender.subscribe(),
        }
    }
}

/// What happens to the connections of a store from now on.
#[derive(Debug)]
pub struct ConnectionEvents {
    receiver: broadcast::Receiver<ConnectionEvent>,
}

impl ConnectionEvents {
    /// The next event, or `None` when there will be no more because the store is gone. Of those that
    /// were not read in time the oldest are skipped.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
