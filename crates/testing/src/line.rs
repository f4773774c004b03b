//! The line to a store: whether it can be reached, and over which connection.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::pause::pause;

/// The line between all clients and a store. Clones share it.
///
/// What is asked belongs to the connection over which it was sent. When that is cut, nothing comes over
/// it any more, in either direction.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    state: Arc<Mutex<State>>,
    /// Wakes in the order in which tasks began to wait, which tokio's `watch` does not.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    all: Reach,
    clients: HashMap<Box<str>, Reach>,
}

/// Whether somebody can reach the store, and how often they could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reach {
    cuts: u64,
    is_cut_off: bool,
}

/// The connection of a client.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    client: Box<str>,
    /// How often the line had been cut, for all and for the client.
    cuts: (u64, u64),
    line: Line,
}

impl Line {
    pub(crate) fn new() -> Line {
        Line {
            state: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// The connection that a client has. `None` if the store is away, or the client cut off.
    pub(crate) fn connection(&self, client: &str) -> Option<Connection> {
        let (all, own) = self.reach(client);
        let is_there = !all.is_cut_off && !own.is_cut_off;
        is_there.then(|| Connection {
            client: client.into(),
            cuts: (all.cuts, own.cuts),
            line: self.clone(),
        })
    }

    /// The connection that a client has, or the next.
    pub(crate) async fn next_connection(&self, client: &str) -> Connection {
        self.until(|line| line.connection(client)).await
    }

    /// Cuts the connections: of a client, or of all. There are others at once, or none until
    /// [`Line::mend`]. Gives the number of the cut.
    pub(crate) fn cut(&self, client: Option<&str>, is_cut_off: bool) -> u64 {
        let number = {
            let mut state = self.state.lock();
            let reach = state.reach(client);
            reach.cuts += 1;
            reach.is_cut_off = is_cut_off;
            reach.cuts
        };
        self.changed.notify_waiters();
        number
    }

    /// Makes good the cut of this number, unless there was another after it.
    pub(crate) fn mend(&self, client: Option<&str>, number: u64) {
        {
            let mut state = self.state.lock();
            let reach = state.reach(client);
            reach.is_cut_off &= reach.cuts != number;
        }
        self.changed.notify_waiters();
    }

    /// Lets everybody reach the store again.
    pub(crate) fn mend_all(&self) {
        {
            let mut state = self.state.lock();
            state.all.is_cut_off = false;
            let clients = state.clients.values_mut();
            clients.for_each(|reach| reach.is_cut_off = false);
        }
        self.changed.notify_waiters();
    }

    fn reach(&self, client: &str) -> (Reach, Reach) {
        let state = self.state.lock();
        let own = state.clients.get(client).copied();
        (state.all, own.unwrap_or_default())
    }

    /// Waits until there is something to be had of the line.
    async fn until<T>(&self, mut wanted: impl FnMut(&Line) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // What changes after the look is heard of.
            changed.as_mut().enable();
            if let Some(found) = wanted(self) {
                return found;
            }
            changed.await;
        }
    }
}

impl State {
    /// That of a client, or that of all.
    fn reach(&mut self, client: Option<&str>) -> &mut Reach {
        match client {
            Some(client) => self.clients.entry(client.into()).or_default(),
            None => &mut self.all,
        }
    }
}

impl Connection {
    pub(crate) fn is_cut(&self) -> bool {
        let (all, own) = self.line.reach(&self.client);
        self.cuts != (all.cuts, own.cuts)
    }

    /// Lets this time pass, and in any case lets others have a turn. Gives up when it is cut meanwhile,
    /// and says so.
    pub(crate) async fn cut_within(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.cut() => true,
            () = pause(time) => false,
        }
    }

    /// Waits until it is cut.
    pub(crate) async fn cut(&self) {
        self.line.until(|_| self.is_cut().then_some(())).await;
    }
}
