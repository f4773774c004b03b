//! A server: its listeners, its threads, its end.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_embedded::Embedded;
use larder_engine::Client;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::listener;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses to listen on. Port 0 is a port that is free.
    pub listen: Vec<SocketAddr>,
    /// The path of a Unix socket to listen on as well.
    pub unixsocket: Option<PathBuf>,
    /// How many threads serve connections. `None` is one for each core that the process may use.
    pub threads: Option<usize>,
    /// How many connections there may be at once.
    pub maxclients: usize,
    /// After how long an idle connection is closed. `None` is never.
    pub timeout: Option<Duration>,
    /// After how much silence the other end of a TCP connection is asked whether it is there.
    pub tcp_keepalive: Option<Duration>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 6379))],
            unixsocket: None,
            threads: None,
            maxclients: 10_000,
            timeout: None,
            tcp_keepalive: Some(Duration::from_secs(300)),
        }
    }
}

/// Why a server could not be started. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no address and no path to listen on.
    #[error("there is nothing to listen on: give an address or the path of a Unix socket")]
    Nowhere,
    /// An address can't be listened on.
    #[error("can't listen on {place}: {source}")]
    Listen {
        /// The address or the path.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no thread or no event loop.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running server. Dropping it ends it; [`Server::shutdown`] waits until it has ended.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) embedded: Embedded,
    pub(crate) config: Config,
    pub(crate) is_ending: AtomicBool,
    pub(crate) stop: CancellationToken,
    /// The event loops of the threads, which take connections in turn.
    loops: Vec<Handle>,
    next: AtomicUsize,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
}

impl Server {
    /// Starts a server on a store.
    ///
    /// # Errors
    ///
    /// If an address is in use or not ours, or the system gives no threads.
    pub fn start(config: Config, embedded: &Embedded) -> Result<Server, Error> {
        if config.listen.is_empty() && config.unixsocket.is_none() {
            return Err(Error::Nowhere);
        }
        let mut sockets = Vec::new();
        for &address in &config.listen {
            let failed = |source| Error::Listen {
                place: address.to_string(),
                source,
            };
            let socket = TcpListener::bind(address).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            sockets.push(socket);
        }
        let addresses = sockets
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let unix = config
            .unixsocket
            .as_deref()
            .map(listener::bind_unix)
            .transpose()?;

        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = config.threads.unwrap_or_else(cores).max(1);
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
        };
        let runtimes = (0..count)
            .map(|_| runtime())
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared {
            embedded: embedded.clone(),
            config,
            is_ending: AtomicBool::new(false),
            stop: CancellationToken::new(),
            loops: runtimes
                .iter()
                .map(|runtime| runtime.handle().clone())
                .collect(),
            next: AtomicUsize::new(0),
            clients: Mutex::default(),
        });
        for socket in sockets {
            shared.loops[0].spawn(listener::accept_tcp(Arc::clone(&shared), socket));
        }
        if let Some(unix) = unix {
            shared.loops[0].spawn(listener::accept_unix(Arc::clone(&shared), unix));
        }
        let mut server = Server {
            shared,
            addresses,
            threads: Vec::new(),
        };
        for (place, runtime) in runtimes.into_iter().enumerate() {
            let shared = Arc::clone(&server.shared);
            let thread = std::thread::Builder::new().name(format!("larder-io-{place}"));
            let thread = thread.spawn(move || runtime.block_on(shared.run_until_ended()))?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    /// The addresses that are listened on, with the ports that port 0 has become.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends the server and waits until it has: no connection is accepted any more, requests that
    /// have come are answered, and connections are closed.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        self.shared.stop.cancel();
        let clients: Vec<_> = self.shared.clients.lock().values().cloned().collect();
        clients.iter().for_each(|client| client.kill());
        for thread in self.threads.drain(..) {
            // A panic in the thread was reported where it happened.
            let _ = thread.join();
        }
        if let Some(path) = &self.shared.config.unixsocket {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// The event loop that takes the next connection.
    pub(crate) fn next_loop(&self) -> &Handle {
        &self.loops[self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len()]
    }

    /// Notes a connection, unless the server is ending.
    pub(crate) fn enter(&self, client: &Arc<Client>) -> bool {
        self.clients.lock().insert(client.id(), Arc::clone(client));
        // Looked at after the connection is noted: either this sees the end, or the end sees it.
        !self.is_ending.load(Ordering::Acquire)
    }

    pub(crate) fn leave(&self, id: u64) {
        self.clients.lock().remove(&id);
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.clients.lock().len()
    }

    async fn run_until_ended(&self) {
        self.stop.cancelled().await;
        // Each connection ends by itself when it has answered what it has read.
        while self.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
