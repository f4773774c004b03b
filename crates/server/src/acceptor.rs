//! The thread that accepts connections, gives them to the workers, and ends them.
//!
//! It runs no request and waits for no key, so it goes on whatever the other threads do.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::Order;
use crate::listener::Accepted;
use crate::shared::Shared;
use crate::threads::Threads;
use crate::worker::{Worker, hand_over};

/// How long accepting pauses when the system has no more of something, mostly descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often is looked at idle and slow connections.
const LOOK: Duration = Duration::from_secs(1);

/// How often what keeps the server from ending is told to end.
const STOP_PAUSE: Duration = Duration::from_millis(50);

/// How long a thread that was told to end may go on. A single call of a function of Lua can't be
/// interrupted, for one.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(std::net::TcpListener),
    /// One whose clients speak TLS.
    Tls(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A [`Listener`] of this thread.
enum Listening {
    Tcp(TcpListener),
    Tls(TcpListener),
    Unix(UnixListener),
}

/// What accepts connections, gives them to workers, and ends them.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    next: AtomicUsize,
    connections: TaskTracker,
    ending: CancellationToken,
}

/// Starts the threads. They end when `ending` says so and their connections have ended, or after
/// [`longest_end`].
pub(crate) fn start(
    listeners: Vec<Listener>,
    workers: usize,
    shared: Arc<Shared>,
    ending: CancellationToken,
) -> io::Result<Arc<Threads>> {
    shared.engine().on_long_script(hand_over);
    let threads = Arc::new(Threads::default());
    let start = |_| Worker::start(&threads);
    let acceptor = Acceptor {
        shared,
        workers: (0..workers).map(start).collect::<io::Result<_>>()?,
        next: AtomicUsize::new(0),
        connections: TaskTracker::new(),
        ending,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let running = threads.count();
    let thread = std::thread::Builder::new().name("larder-acceptor".to_owned());
    thread.spawn(move || {
        runtime.block_on(acceptor.work(listeners));
        drop(running);
    })?;
    Ok(threads)
}

/// How long a server takes to end at most.
pub(crate) fn longest_end(shutdown_timeout: Duration) -> Duration {
    shutdown_timeout + GIVE_UP
}

impl Acceptor {
    async fn work(self, listeners: Vec<Listener>) {
        tokio::select! {
            () = self.ending.cancelled() => {}
            ended = self.accept(listeners) => if let Err(error) = ended {
                tracing::error!(%error, "listening has ended");
                self.ending.cancelled().await;
            },
            () = self.look_after_others() => {}
        }
        self.end().await;
    }

    // --- connections that come -----------------------------------------------------------------

    async fn accept(&self, listeners: Vec<Listener>) -> io::Result<()> {
        let listeners = listeners.into_iter().map(Listening::from_std);
        let listeners: Vec<Listening> = listeners.collect::<io::Result<_>>()?;
        loop {
            match poll_fn(|context| self.poll_accept(&listeners, context)).await {
                Ok(accepted) => self.give(accepted),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    if is_shortage(&error) {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Accepts from the listener that has somebody, beginning with another one each time.
    fn poll_accept(
        &self,
        listeners: &[Listening],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Accepted>> {
        let first = self.next.load(Ordering::Relaxed);
        for place in 0..listeners.len() {
            let listener = &listeners[(first + place) % listeners.len()];
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Gives a connection to the worker whose turn it is.
    fn give(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        self.workers[turn].give(accepted, &self.shared, &self.connections);
    }

    // --- connections that there are ------------------------------------------------------------

    async fn look_after_others(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look_at_connections();
        }
    }

    fn look_at_connections(&self) {
        let (engine, connections) = (self.shared.engine(), &self.shared.connections);
        if let Some(timeout) = engine.idle_timeout() {
            connections.end_idle(timeout, self.shared.embedded.now());
        }
        if let Some(memory_max) = engine.clients_memory_max() {
            engine.note_evicted_clients(connections.evict(memory_max));
        }
        if self.shared.keys.is_some() {
            let timeout = self.shared.config.handshake_timeout;
            connections.end_strangers(timeout, self.shared.embedded.now());
        }
        connections.wake_slow();
        connections.shrink_silent(self.shared.embedded.now());
    }

    // --- the end -------------------------------------------------------------------------------

    /// Waits until all connections have ended, but not for ever.
    async fn end(&self) {
        self.connections.close();
        self.shared.connections.end(Order::Finish);
        let timeout = self.shared.config.shutdown_timeout;
        tokio::select! {
            () = self.connections.wait() => {}
            () = self.stop(timeout) => {}
            () = tokio::time::sleep(longest_end(timeout)) => {
                tracing::warn!("a thread is left behind: it does not end");
            }
        }
    }

    /// Ends what keeps the server from ending: at once the scripts that nobody may be kept waiting by,
    /// and everything else when there is no more time.
    async fn stop(&self, timeout: Duration) {
        let (engine, begun) = (self.shared.engine(), Instant::now());
        loop {
            let is_over = begun.elapsed() >= timeout;
            if is_over {
                self.shared.connections.end(Order::Stop);
            }
            if is_over || engine.is_busy(&self.shared.embedded) {
                engine.stop_scripts();
            }
            tokio::time::sleep(STOP_PAUSE).await;
        }
    }
}

impl Listening {
    fn from_std(listener: Listener) -> io::Result<Listening> {
        Ok(match listener {
            Listener::Tcp(listener) => Listening::Tcp(TcpListener::from_std(listener)?),
            Listener::Tls(listener) => Listening::Tls(TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Listening::Unix(UnixListener::from_std(listener)?),
        })
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Listening::Tcp(listener) => listener
                .poll_accept(context)
                .map(|accepted| Ok(Accepted::Tcp(accepted?.0.into_std()?))),
            Listening::Tls(listener) => listener
                .poll_accept(context)
                .map(|accepted| Ok(Accepted::Tls(accepted?.0.into_std()?))),
            Listening::Unix(listener) => listener
                .poll_accept(context)
                .map(|accepted| Ok(Accepted::Unix(accepted?.0.into_std()?))),
        }
    }
}

/// Whether the system lacks something, so that accepting fails again at once. All other failures are
/// those of a single connection, which nobody else is to wait for.
fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_pauses_where_the_system_lacks_something_and_nowhere_else() {
        let is_shortage = |errno| is_shortage(&io::Error::from_raw_os_error(errno));
        assert!(is_shortage(libc::EMFILE) && is_shortage(libc::ENOMEM));
        assert!(!is_shortage(libc::ECONNABORTED) && !is_shortage(libc::EPROTO));
    }
}
