//! The line to a store: whether it can be reached, and over which connection.

use tokio::sync::watch;

/// The line between all clients and a store.
///
/// What is asked belongs to the connection over which it was sent. When that is cut, nothing comes over
/// it any more, in either direction.
#[derive(Debug)]
pub(crate) struct Line {
    state: watch::Sender<State>,
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
    state: watch::Receiver<State>,
}

impl Line {
    pub(crate) fn new() -> Line {
        let state = State {
            connection: 0,
            is_up: true,
        };
        Line {
            state: watch::Sender::new(state),
        }
    }

    /// The connection that there is. `None` if the store is away.
    pub(crate) fn connection(&self) -> Option<Connection> {
        let state = *self.state.borrow();
        state.is_up.then(|| Connection {
            number: state.connection,
            state: self.state.subscribe(),
        })
    }

    /// The connection that there is, or the next.
    pub(crate) async fn next_connection(&self) -> Connection {
        let mut state = self.state.subscribe();
        // It can't fail: the line has the sending side.
        let _ = state.wait_for(|state| state.is_up).await;
        let number = state.borrow().connection;
        Connection { number, state }
    }

    /// Cuts the connection. There is another at once, or none until [`Line::mend`].
    pub(crate) fn cut(&self, is_up: bool) {
        self.state.send_modify(|state| {
            state.connection += 1;
            state.is_up = is_up;
        });
    }

    /// Lets clients reach the store again.
    pub(crate) fn mend(&self) {
        self.state.send_modify(|state| state.is_up = true);
    }
}

impl Connection {
    pub(crate) fn is_cut(&self) -> bool {
        self.state.borrow().connection != self.number
    }

    /// Waits until it is cut.
    pub(crate) async fn cut(&self) {
        let number = self.number;
        let mut state = self.state.clone();
        // A line that is gone is cut.
        let _ = state.wait_for(|state| state.connection != number).await;
    }
}
