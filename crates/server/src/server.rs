//! A server: threads that serve a store to any Redis client.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use larder_embedded::Embedded;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::connection::Shared;
use crate::connections::Connections;
use crate::listener::{ListenError, listen, listen_on_path};
use crate::worker::{self, Listener};

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no address and no path to listen on.
    #[error("there is nothing to listen on: give an address or the path of a Unix socket")]
    Nowhere,
    /// A place can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system gives no threads, or no way to wait for sockets.
    #[error("can't start the server's threads: {0}")]
    Threads(#[source] io::Error),
}

/// A running server. It ends when it is shut down or dropped; the store does not end with it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    unixsocket: Option<PathBuf>,
    shared: Arc<Shared>,
    ending: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve a store. When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// When a place can't be listened on, or the system gives no threads. Nothing is left behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use larder_embedded::Embedded;
    /// use larder_server::{Config, Server};
    ///
    /// let store = Embedded::open(Default::default())?;
    /// let config = Config { listen: vec!["127.0.0.1:0".parse()?], ..Config::default() };
    /// let server = Server::start(config, &store)?;
    /// println!("redis-cli -p {}", server.addresses()[0].port());
    /// server.shutdown();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(config: Config, embedded: &Embedded) -> Result<Server, StartError> {
        let mut server = Server {
            addresses: Vec::new(),
            unixsocket: None,
            ending: CancellationToken::new(),
            threads: Vec::new(),
            shared: Arc::new(Shared {
                embedded: embedded.clone(),
                config,
                connections: Arc::new(Connections::default()),
            }),
        };
        // From here on dropping it undoes what has been done.
        let listeners = server.listen()?;
        if listeners.is_empty() {
            return Err(StartError::Nowhere);
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = server.shared.config.threads.unwrap_or_else(cores).max(1);
        let (shared, ending) = (Arc::clone(&server.shared), server.ending.clone());
        server.threads =
            worker::start(listeners, threads, shared, ending).map_err(StartError::Threads)?;
        Ok(server)
    }

    /// The addresses on which the server listens, in the order in which they were given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends the server: no connection is accepted any more, what was read is answered, and
    /// connections close. Clients that do not take their answers are closed after
    /// [`Config::shutdown_timeout`]. Returns when all is done.
    pub fn shutdown(self) {
        drop(self);
    }

    fn listen(&mut self) -> Result<Vec<Listener>, ListenError> {
        let config = &self.shared.config;
        let mut listeners = Vec::new();
        for &address in &config.listen {
            let listener = listen(address)?;
            let local = listener.local_addr();
            let local = local.map_err(|source| ListenError::Address { address, source })?;
            self.addresses.push(local);
            listeners.push(Listener::Tcp(listener));
        }
        if let Some(path) = &config.unixsocket {
            let listener = listen_on_path(path, config.unixsocketperm)?;
            self.unixsocket = Some(path.clone());
            listeners.push(Listener::Unix(listener));
        }
        Ok(listeners)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.cancel();
        for thread in self.threads.drain(..) {
            // A panic in the thread was reported where it happened.
            let _ = thread.join();
        }
        if let Some(path) = self.unixsocket.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, "the socket's file is left behind");
        }
    }
}
