//! A thread that owns connections, with a runtime of its own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::serve;
use crate::listener::prepare;
use crate::shared::Shared;

/// A thread that owns connections, as the one that gives them to it knows it.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    inbox: Arc<Inbox>,
    pulse: Arc<Pulse>,
    /// The pulse at the last look at it.
    seen: u64,
    /// The pulse at which it was found to hang, or 0.
    hangs_at: u64,
}

/// A connection that nobody owns yet.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connections that a thread was given and has not begun to serve.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<VecDeque<Accepted>>,
}

/// Counts the beginnings and ends of a thread's turns, so that it is odd while the thread is in one.
/// A thread that is in the same turn for long hangs: in a script, or waiting for one.
#[derive(Debug, Default)]
struct Pulse {
    count: AtomicU64,
}

/// A turn of a thread, until it is dropped.
struct InTurn<'a>(&'a Pulse);

/// The threads of a server that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    ended: Condvar,
}

/// A thread of a server, until it is dropped.
struct Running(Arc<Threads>);

impl Worker {
    /// Starts the thread. It ends when `ended` says so.
    pub(crate) fn start(
        index: usize,
        threads: &Arc<Threads>,
        ended: &CancellationToken,
    ) -> io::Result<Worker> {
        let ended = ended.clone().cancelled_owned();
        let runtime = threads.start(format!("larder-worker-{index}"), ended)?;
        Ok(Worker {
            runtime,
            inbox: Arc::default(),
            pulse: Arc::default(),
            seen: 0,
            hangs_at: 0,
        })
    }

    /// Gives the thread a connection.
    pub(crate) fn give(&self, accepted: Accepted, shared: &Arc<Shared>, connections: &TaskTracker) {
        self.inbox.waiting.lock().push_back(accepted);
        let (inbox, shared) = (Arc::clone(&self.inbox), Arc::clone(shared));
        let pulse = Arc::clone(&self.pulse);
        let serve = async move {
            // It may have been taken back.
            let Some(accepted) = inbox.take() else {
                return;
            };
            let served = accepted.serve(shared);
            if let Err(error) = pulse.count_turns(served).await {
                tracing::debug!(%error, "a connection was lost");
            }
        };
        connections.spawn_on(serve, &self.runtime);
    }

    /// Takes back the connections that the thread has not begun to serve.
    pub(crate) fn take_back(&self) -> VecDeque<Accepted> {
        std::mem::take(&mut *self.inbox.waiting.lock())
    }

    /// Looks whether the thread does anything. To be called at even intervals: one that is in the same
    /// turn as at the last look hangs.
    pub(crate) fn look(&mut self) {
        let count = self.pulse.count.load(Ordering::Relaxed);
        if count == self.seen && count % 2 == 1 {
            self.hangs_at = count;
        }
        self.seen = count;
    }

    /// Whether the thread hangs, or may: it is in a turn while something is known to hang.
    pub(crate) fn hangs(&self, something_hangs: bool) -> bool {
        let count = self.pulse.count.load(Ordering::Relaxed);
        count % 2 == 1 && (something_hangs || count == self.hangs_at)
    }
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

impl Inbox {
    fn take(&self) -> Option<Accepted> {
        self.waiting.lock().pop_front()
    }
}

impl Pulse {
    /// Counts each poll of `future` as a turn.
    async fn count_turns<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _in_turn = InTurn::begin(self);
            future.as_mut().poll(context)
        })
        .await
    }

    /// There is one writer, so adding needs no more than a load and a store.
    fn beat(&self) {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Relaxed);
    }
}

impl<'a> InTurn<'a> {
    fn begin(pulse: &'a Pulse) -> InTurn<'a> {
        pulse.beat();
        InTurn(pulse)
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        self.0.beat();
    }
}

impl Threads {
    /// Starts a thread that does `work`, on a runtime of its own.
    pub(crate) fn start(
        self: &Arc<Threads>,
        name: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        *self.running.lock() += 1;
        let running = Running(Arc::clone(self));
        std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(work);
            drop(runtime);
            drop(running);
        })?;
        Ok(handle)
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
        *self.0.running.lock() -= 1;
        self.0.ended.notify_all();
    }
}
