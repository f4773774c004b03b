//! A thread that serves connections, and those that take its place.
//!
//! A worker is one thread at a time. When a script runs for long, its thread keeps the connection
//! that asked for it, and a new one goes on as the worker with all the others ([`hand_over`]):
//!
//! ```text
//! thread 1   PING, GET, EVAL ──────── the script ──────── its answer, the connection goes back, the end
//! thread 2                     └── PING, SCRIPT KILL, ... the worker from here on
//! ```
//!
//! What is handed over is one box, [`Rounds`]: no connection is touched for it, however many there are.

use std::io;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::listener::Accepted;
use crate::rounds::{self, Letter, Letters, Rounds};
use crate::shared::Shared;
use crate::sync::Mutex;
use crate::threads::Threads;

/// How many scripts of a worker may run for long at once. One more keeps its thread, and all who are
/// served there, until another one ends.
const LONG_SCRIPTS_MAX: usize = 256;

/// What serves connections. It ends when it is dropped, and takes those with it that are left.
pub(crate) struct Worker {
    letters: Arc<Letters>,
}

impl Worker {
    /// Starts its thread.
    pub(crate) fn start(threads: &Arc<Threads>) -> io::Result<Worker> {
        let rounds = Rounds::new(threads)?;
        let letters = Arc::clone(rounds.letters());
        go_on_elsewhere(rounds).map_err(|(error, _)| error)?;
        Ok(Worker { letters })
    }

    /// Gives the worker a connection.
    pub(crate) fn give(&self, accepted: Accepted, shared: &Arc<Shared>, connections: &TaskTracker) {
        let (shared, counted) = (Arc::clone(shared), connections.token());
        self.letters.send(Letter::Serve(accepted, shared, counted));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its threads may hang, so they are waited for elsewhere: see `Threads::wait`.
        self.letters.send(Letter::End);
    }
}

/// Has another thread go on with all that a worker does, but for the connection whose turn it is.
/// Answers whether one does: else this is to be called again. On a thread that is no worker's there
/// is nothing to do.
pub(crate) fn hand_over() -> bool {
    let Some(rounds) = rounds::take_running() else {
        return true;
    };
    if rounds.away() > LONG_SCRIPTS_MAX {
        rounds::put_back(rounds);
        return false;
    }
    match go_on_elsewhere(rounds) {
        Ok(()) => true,
        Err((error, rounds)) => {
            tracing::warn!(%error, "a long script keeps its thread");
            rounds::put_back(rounds);
            false
        }
    }
}

/// Starts a thread that goes on with these rounds. Gives them back if there is no thread to be had.
fn go_on_elsewhere(rounds: Box<Rounds>) -> Result<(), (io::Error, Box<Rounds>)> {
    let running = rounds.threads().count();
    // A thread that does not come to be takes with it what it was given.
    let given = Arc::new(Mutex::new(Some(rounds)));
    let taken = Arc::clone(&given);
    let thread = std::thread::Builder::new().name("larder-worker".to_owned());
    let started = thread.spawn(move || {
        let _running = running;
        let rounds = taken.lock().take();
        if let Some(rounds) = rounds {
            rounds.run();
        }
    });
    let Err(error) = started else {
        return Ok(());
    };
    let rounds = given.lock().take();
    Err((error, rounds.expect("no thread has taken them")))
}
