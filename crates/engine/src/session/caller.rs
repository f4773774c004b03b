//! Caller: on whose behalf a command runs.

use std::sync::Arc;

use super::client::Client;
use crate::keyspace::Manner;
use crate::keyspace::tracking::Tracker;

/// On whose behalf a command runs: a connection, or code inside the process.
///
/// It is the same for a request, for the commands of a transaction and of a script that it runs, and
/// for the request of a caller that waits and is served by somebody else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// None inside the process.
    client: Option<Arc<Client>>,
    /// None if it does not hear of changes of what it has read.
    tracker: Option<Arc<Tracker>>,
}

impl Caller {
    /// The caller behind a connection.
    pub(super) fn of(client: &Arc<Client>) -> Caller {
        Caller {
            client: Some(Arc::clone(client)),
            tracker: None,
        }
    }

    /// A near cache.
    pub(super) fn near(tracker: &Arc<Tracker>) -> Caller {
        Caller {
            client: None,
            tracker: Some(Arc::clone(tracker)),
        }
    }

    /// How it hears of changes of what it has read, if it does.
    #[inline]
    pub(crate) fn tracker(&self) -> Option<&Arc<Tracker>> {
        self.tracker.as_ref()
    }

    pub(super) fn set_tracker(&mut self, tracker: Option<Arc<Tracker>>) {
        self.tracker = tracker;
    }

    /// What others see of the connection, if it is one.
    #[inline]
    pub(crate) fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// How its commands look at keys.
    #[inline]
    pub(crate) fn manner(&self) -> Manner {
        let client = self.client.as_ref();
        client.map_or_else(Manner::default, |client| client.manner())
    }
}
