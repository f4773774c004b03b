//! The line to a store: whether it can be reached, and over which connection.

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

#[derive(Clone, Copy, Debug)]
struct State {
    connection: u64,
    is_up: bool,
}

/// A connection of the line.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    number: u64,
    line: Line,
}

impl Line {
    pub(crate) fn new() -> Line {
        let state = State {
            connection: 0,
            is_up: true,
        };
        Line {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::default(),
        }
    }

    /// The connection that there is. `None` if the store is away.
    pub(crate) fn connection(&self) -> Option<Connection> {
        let state = *self.state.lock();
        state.is_up.then(|| Connection {
            number: state.connection,
            line: self.clone(),
        })
    }

    /// The connection that there is, or the next.
    pub(crate) async fn next_connection(&self) -> Connection {
        self.until(Line::connection).await
    }

    /// Cuts the connection. There is another at once, or none until [`Line::mend`].
    pub(crate) fn cut(&self, is_up: bool) {
        {
            let mut state = self.state.lock();
            state.connection += 1;
            state.is_up = is_up;
        }
        self.changed.notify_waiters();
    }

    /// Lets clients reach the store again.
    pub(crate) fn mend(&self) {
        self.state.lock().is_up = true;
        self.changed.notify_waiters();
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

impl Connection {
    pub(crate) fn is_cut(&self) -> bool {
        self.line.state.lock().connection != self.number
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
