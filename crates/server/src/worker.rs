//! A thread that serves connections, and those that stand in for it.
//!
//! A worker is one thread at a time. When a script runs for long, its thread keeps the connection
//! that asked for it, and another one goes on as the worker with all the others ([`hand_over`]):
//!
//! ```text
//! thread 1   PING, GET, EVAL ──────── the script ──────── its answer, and the thread stands by
//! thread 2                     └── PING, SCRIPT KILL, ... the worker from here on
//! ```
//!
//! That is tokio's `block_in_place`, so a worker is a runtime of many threads that has one worker.
//! A connection is served by one thread at any time, whichever that is.

use std::cell::Cell;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::block_in_place;
use tokio_util::task::TaskTracker;

use crate::connection::serve;
use crate::listener::prepare;
use crate::shared::Shared;

/// How many scripts of a worker may run for long at once. One more keeps its thread, and all who are
/// served there, until another one ends.
const LONG_SCRIPTS_MAX: usize = 256;

/// How long a script stands still until another thread has taken over. Then it tries again later.
const HAND_OVER_MAX: Duration = Duration::from_millis(100);

/// How long it stands still to see whether another thread has.
const LOOK_MAX: Duration = Duration::from_millis(20);

thread_local! {
    /// Whether this is a thread of a worker.
    static IS_WORKERS: Cell<bool> = const { Cell::new(false) };
}

/// What serves connections. It ends when it is dropped, and takes those with it that are left.
#[derive(Debug)]
pub(crate) struct Worker {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

/// A connection that nobody owns yet.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The threads of a server that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

/// A thread of a server, until it is dropped.
pub(crate) struct Running(Arc<Threads>);

impl Worker {
    /// Starts its thread.
    pub(crate) fn start(index: usize, threads: &Arc<Threads>) -> io::Result<Worker> {
        let (started, stopped) = (Arc::clone(threads), Arc::clone(threads));
        let mut builder = Builder::new_multi_thread();
        builder
            .enable_all()
            .worker_threads(1)
            .max_blocking_threads(LONG_SCRIPTS_MAX)
            .thread_name(format!("larder-worker-{index}"))
            .on_thread_start(move || {
                IS_WORKERS.set(true);
                started.begin();
            })
            .on_thread_stop(move || stopped.end());
        // It panics where the system gives no thread, and all it has is gone then.
        let runtime = catch_unwind(AssertUnwindSafe(|| builder.build()));
        let no_thread = |_| Err(io::Error::other("there is no thread to be had"));
        let runtime = runtime.unwrap_or_else(no_thread)?;
        Ok(Worker {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Gives the worker a connection.
    pub(crate) fn give(&self, accepted: Accepted, shared: &Arc<Shared>, connections: &TaskTracker) {
        let served = accepted.serve(Arc::clone(shared));
        let serve = async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection was lost");
            }
        };
        connections.spawn_on(serve, &self.handle);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be in a runtime, and its threads may hang: see `Threads::wait`.
            runtime.shutdown_background();
        }
    }
}

/// Has another thread go on with all that a worker does, but for the task that this is called from.
/// Answers whether one does: else this is to be called again. On a thread that is no worker's there
/// is nothing to do.
pub(crate) fn hand_over() -> bool {
    if !IS_WORKERS.get() {
        return true;
    }
    let Ok(worker) = Handle::try_current() else {
        return true;
    };
    // The worker lies there to be taken while this waits. If it still does at the end, it is taken
    // back; also if another thread has taken it since, and laid it there again for its own script.
    block_in_place(|| is_served(&worker, HAND_OVER_MAX));
    is_served(&worker, LOOK_MAX)
}

/// Whether another thread does a worker's work: one does something within this time.
fn is_served(worker: &Handle, within: Duration) -> bool {
    let (served, is_served) = mpsc::sync_channel(1);
    worker.spawn(async move { served.send(()) });
    is_served.recv_timeout(within).is_ok()
}

impl Accepted {
    /// Serves the connection on the runtime that this is called on.
    async fn serve(self, shared: Arc<Shared>) -> io::Result<()> {
        match self {
            Accepted::Tcp(socket) => {
                let socket = tokio::net::TcpStream::from_std(socket)?;
                prepare(&socket, shared.config.tcp_keepalive)?;
                serve(socket, shared).await
            }
            Accepted::Unix(socket) => {
                serve(tokio::net::UnixStream::from_std(socket)?, shared).await
            }
        }
    }
}

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
