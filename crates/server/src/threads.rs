//! How many threads of a server there are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// The threads of a server that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

/// A thread of a server, until it is dropped.
pub(crate) struct Running(Arc<Threads>);

impl Threads {
    /// Counts a thread until the answer is dropped.
    pub(crate) fn count(self: &Arc<Threads>) -> Running {
        self.begin();
        Running(Arc::clone(self))
    }

    fn begin(&self) {
        *self.running.lock() += 1;
    }

    fn end(&self) {
        *self.running.lock() -= 1;
        self.ended.notify_all();
    }

    /// Waits until all threads have ended, for so long. Answers whether they have.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut running = self.running.lock();
        while *running > 0 {
            if self.ended.wait_until(&mut running, deadline).timed_out() {
                return *running == 0;
            }
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}
