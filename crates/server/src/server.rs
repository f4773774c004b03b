//! A server: threads that serve a store to any Redis client.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_embedded::Embedded;
use larder_engine::{CpuTime, Host};
use tokio_util::sync::CancellationToken;

use crate::acceptor::{self, Listener, longest_end};
use crate::config::Config;
use crate::connections::Connections;
use crate::listener::{ListenError, listen, listen_on_path};
use crate::shared::Shared;
use crate::threads::Threads;
use crate::users::UsersOnDisk;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no address and no path to listen on.
    #[error("there is nothing to listen on: give an address or the path of a Unix socket")]
    Nowhere,
    /// The users are not what they should be.
    #[error("the users can't be read: {0}")]
    Users(String),
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
    threads: Arc<Threads>,
}

impl Server {
    /// Starts to serve a store. When it returns, clients can connect.
    ///
    /// # Errors
    ///
    /// When users can't be read, a place can't be listened on, or the system gives no threads. Nothing is
    /// left behind.
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
            threads: Arc::default(),
            shared: Arc::new(Shared {
                embedded: embedded.clone(),
                config,
                connections: Arc::new(Connections::default()),
            }),
        };
        // Before anybody can come.
        server.read_users()?;
        // From here on dropping it undoes what has been done.
        let listeners = server.listen()?;
        if listeners.is_empty() {
            return Err(StartError::Nowhere);
        }
        server.configure();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = server.shared.config.threads.unwrap_or_else(cores).max(1);
        let (shared, ending) = (Arc::clone(&server.shared), server.ending.clone());
        server.threads =
            acceptor::start(listeners, threads, shared, ending).map_err(StartError::Threads)?;
        Ok(server)
    }

    /// The addresses on which the server listens, in the order in which they were given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends the server: no connection is accepted any more, what was read is answered, and
    /// connections close. Clients that do not take their answers are closed after
    /// [`Config::shutdown_timeout`], and scripts are ended then. Returns when all is done.
    ///
    /// Answers whether it is: a thread that does not end within five more seconds is left behind,
    /// since a single call of a function of Lua can't be interrupted.
    pub fn shutdown(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.ending.cancel();
        let timeout = longest_end(self.shared.config.shutdown_timeout);
        self.threads.wait(timeout + Duration::from_secs(1))
    }

    fn read_users(&self) -> Result<(), StartError> {
        let (engine, config) = (self.shared.engine(), &self.shared.config);
        if config.aclfile.is_some() && !config.users.is_empty() {
            let text = "they stand either in a file or in the configuration, and not in both";
            return Err(StartError::Users(text.to_owned()));
        }
        let read = match &config.aclfile {
            Some(path) => {
                engine.set_user_file(Box::new(UsersOnDisk::at(path)));
                engine.load_users()
            }
            None => engine.add_users(&config.users),
        };
        read.map_err(StartError::Users)
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

    /// Tells the engine what CONFIG and INFO are to say of this server. From here on the engine
    /// knows best: CONFIG SET changes what it knows.
    fn configure(&self) {
        let (engine, config) = (self.shared.engine(), &self.shared.config);
        engine.set_protected_mode(config.protected_mode);
        engine.set_clients_max(config.maxclients);
        engine.set_idle_timeout(config.timeout);
        engine.set_tcp_keepalive(config.tcp_keepalive);
        engine.set_bulk_len_max(config.proto_max_bulk_len);
        engine.set_query_buffer_max(config.client_query_buffer_limit);
        engine.set_output_limits(&config.client_output_buffer_limit);
        engine.set_clients_memory(config.maxmemory_clients);
        let places = self.addresses.iter();
        let bind: Vec<String> = places.map(|address| address.ip().to_string()).collect();
        let path = self.unixsocket.as_deref();
        engine.set_host(Host {
            tcp_port: self.addresses.first().map_or(0, SocketAddr::port),
            bind: bind.join(" "),
            unixsocket: path.map_or_else(String::new, |path| path.display().to_string()),
            debug_access: self.shared.config.debug_access,
            sleep: Some(std::thread::sleep),
            resident_bytes: Some(resident_bytes),
            cpu_time: Some(cpu_time),
        });
    }
}

/// How many bytes of memory the process holds, where the system says so in Linux's way.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How long the process has kept processors busy, where the system says so in Linux's way.
fn cpu_time() -> Option<CpuTime> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: the 14th and the 15th field, in hundredths.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Option<Duration> {
        let hundredths: u64 = times.next()?.parse().ok()?;
        Some(Duration::from_millis(hundredths * 10))
    };
    let (user, system) = (next()?, next()?);
    Some(CpuTime { system, user })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        if let Some(path) = self.unixsocket.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, "the socket's file is left behind");
        }
    }
}
