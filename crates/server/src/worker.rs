//! The threads that own connections, each with a runtime of its own.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Shared, serve};
use crate::connections::Order;
use crate::listener::prepare;

/// How long accepting pauses when the system has no more of something, mostly descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often scripts that run are ended when the server does not wait for them any longer.
const STOP_PAUSE: Duration = Duration::from_millis(50);

/// How often idle connections are looked for.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What the threads do together.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
    ending: CancellationToken,
    /// The threads' runtimes, which take connections in turn.
    runtimes: Vec<Handle>,
    /// That of the thread which accepts connections. While a script runs that is too long for
    /// others to wait for, it serves those that come, so that they can end it: each of the other
    /// threads may be the one that runs it.
    front: Handle,
    next: AtomicUsize,
    /// What brings connections in.
    acceptors: TaskTracker,
    connections: TaskTracker,
}

/// Starts the threads. They end when `ending` says so, and their connections have ended.
pub(crate) fn start(
    listeners: Vec<Listener>,
    threads: usize,
    shared: Arc<Shared>,
    ending: CancellationToken,
) -> io::Result<Vec<JoinHandle<()>>> {
    let new_runtime = |_| Builder::new_current_thread().enable_all().build();
    let mut runtimes: Vec<Runtime> = (0..threads).map(new_runtime).collect::<io::Result<_>>()?;
    let front = new_runtime(threads)?;
    let workers = Arc::new(Workers {
        shared,
        ending,
        runtimes: runtimes
            .iter()
            .map(|runtime| runtime.handle().clone())
            .collect(),
        front: front.handle().clone(),
        next: AtomicUsize::new(0),
        acceptors: TaskTracker::new(),
        connections: TaskTracker::new(),
    });
    for listener in listeners {
        let task = Arc::clone(&workers).accept_until_ending(listener);
        workers.acceptors.spawn_on(task, &workers.front);
    }
    let task = Arc::clone(&workers).end_idle_connections();
    workers.acceptors.spawn_on(task, &workers.front);
    workers.acceptors.close();
    runtimes.push(front);

    let mut threads = Vec::new();
    for (index, runtime) in runtimes.into_iter().enumerate() {
        let workers = Arc::clone(&workers);
        let ending = workers.ending.clone();
        let thread = std::thread::Builder::new()
            .name(format!("larder-worker-{index}"))
            .spawn(move || runtime.block_on(workers.work()));
        // Those that were started already must not wait for ever.
        threads.push(thread.inspect_err(|_| ending.cancel())?);
    }
    Ok(threads)
}

impl Workers {
    /// Lets this thread's tasks run until all connections of the server have ended.
    async fn work(&self) {
        self.ending.cancelled().await;
        self.acceptors.wait().await;
        self.connections.close();
        self.shared.connections.end(Order::Finish);
        let (ended, timeout) = (self.connections.wait(), self.shared.config.shutdown_timeout);
        if tokio::time::timeout(timeout, ended).await.is_err() {
            self.shared.connections.end(Order::Stop);
            // A thread whose script does not end can't do this, so all of them do.
            let ended = self.connections.wait();
            let stop = async {
                loop {
                    self.shared.engine().stop_scripts();
                    tokio::time::sleep(STOP_PAUSE).await;
                }
            };
            tokio::select! {
                () = ended => {}
                () = stop => {}
            }
        }
    }

    // --- connections that come -----------------------------------------------------------------

    async fn accept_until_ending(self: Arc<Workers>, listener: Listener) {
        if let Some(Err(error)) = self.ending.run_until_cancelled(self.accept(listener)).await {
            tracing::error!(%error, "listening has ended");
        }
    }

    async fn accept(&self, listener: Listener) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                loop {
                    match listener
                        .accept()
                        .await
                        .and_then(|(socket, _)| socket.into_std())
                    {
                        Ok(socket) => self.hand_over(serve_tcp(socket, Arc::clone(&self.shared))),
                        Err(error) => pause(&error).await,
                    }
                }
            }
            Listener::Unix(listener) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                loop {
                    match listener
                        .accept()
                        .await
                        .and_then(|(socket, _)| socket.into_std())
                    {
                        Ok(socket) => self.hand_over(serve_unix(socket, Arc::clone(&self.shared))),
                        Err(error) => pause(&error).await,
                    }
                }
            }
        }
    }

    /// Gives a connection to the thread whose turn it is, or keeps it.
    fn hand_over(&self, connection: impl Future<Output = io::Result<()>> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.runtimes.len();
        let is_busy = self.shared.engine().is_busy(&self.shared.embedded);
        let runtime = if is_busy {
            &self.front
        } else {
            &self.runtimes[turn]
        };
        let task = async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection was lost");
            }
        };
        self.connections.spawn_on(task, runtime);
    }

    // --- connections that go -------------------------------------------------------------------

    async fn end_idle_connections(self: Arc<Workers>) {
        let pause = || tokio::time::sleep(IDLE_CHECK);
        while self.ending.run_until_cancelled(pause()).await.is_some() {
            if let Some(timeout) = self.shared.engine().idle_timeout() {
                let now = self.shared.embedded.now();
                self.shared.connections.end_idle(timeout, now);
            }
        }
    }
}

/// Serves a connection on the runtime that this is called on.
async fn serve_tcp(socket: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let socket = tokio::net::TcpStream::from_std(socket)?;
    prepare(&socket, shared.config.tcp_keepalive)?;
    serve(socket, shared).await
}

/// Serves a connection on the runtime that this is called on.
async fn serve_unix(socket: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    serve(tokio::net::UnixStream::from_std(socket)?, shared).await
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection was not accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
