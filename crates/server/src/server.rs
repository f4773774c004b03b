//! A server: threads that serve a store to any Redis client.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
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
use crate::tls::Keys;
use crate::tls_config::TlsError;
use crate::tls_kept::KeptKeys;
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
    /// A parameter can't be what it is said to be.
    #[error("{0}")]
    Parameter(String),
    /// Clients are to come over TLS, and can't.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A place can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system gives no threads, or no way to wait for sockets.
    #[error("can't start the server's threads: {0}")]
    Threads(#[source] io::Error),
}

/// Sockets that somebody else listens on for the server, and gives to it: systemd's.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Those for plain connections.
    pub tcp: Vec<TcpListener>,
    /// Those for TLS.
    pub tls: Vec<TcpListener>,
    /// Unix sockets. Their files belong to whoever made them.
    pub unix: Vec<UnixListener>,
}

/// A running server. It ends when it is shut down or dropped; the store does not end with it. SHUTDOWN is
/// refused unless whoever runs the process says what it does: [`larder_engine::Engine::on_shutdown`].
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
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
        Server::start_on(Sockets::default(), config, embedded)
    }

    /// Starts to serve a store on sockets that are there already, and on those that the configuration
    /// names.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_on(
        sockets: Sockets,
        config: Config,
        embedded: &Embedded,
    ) -> Result<Server, StartError> {
        let keys = match config.tls_listen.is_empty() && sockets.tls.is_empty() {
            true => None,
            false => Some(Arc::new(Keys::read(&config.tls)?)),
        };
        let mut server = Server {
            addresses: Vec::new(),
            tls_addresses: Vec::new(),
            unixsocket: None,
            ending: CancellationToken::new(),
            threads: Arc::default(),
            shared: Arc::new(Shared {
                embedded: embedded.clone(),
                config,
                keys,
                connections: Arc::new(Connections::default()),
            }),
        };
        // Before anybody can come.
        server.configure()?;
        server.read_users()?;
        // From here on dropping it undoes what has been done.
        let listeners = server.listen(sockets)?;
        if listeners.is_empty() {
            return Err(StartError::Nowhere);
        }
        server.introduce();
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

    /// The addresses on which the server listens for TLS, in the order in which they were given.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// How many connections may wait on each address to be accepted, if the system allows it.
    pub fn backlog(&self) -> u16 {
        self.shared.config.tcp_backlog
    }

    /// Reads the certificates and keys again, for those who come from now on.
    ///
    /// # Errors
    ///
    /// What is wrong with the files. The server goes on with what it had.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        if let Some(keys) = &self.shared.keys {
            keys.replace(Keys::read(&keys.from())?);
        }
        Ok(())
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

    fn listen(&mut self, sockets: Sockets) -> Result<Vec<Listener>, ListenError> {
        let config = &self.shared.config;
        let (mut tcp, mut tls) = (sockets.tcp, sockets.tls);
        let listen = |address: &SocketAddr| listen(*address, config.tcp_backlog);
        for address in &config.listen {
            tcp.push(listen(address)?);
        }
        for address in &config.tls_listen {
            tls.push(listen(address)?);
        }
        self.addresses = addresses_of(&tcp)?;
        self.tls_addresses = addresses_of(&tls)?;
        let (tcp, tls) = (tcp.into_iter(), tls.into_iter());
        let mut listeners: Vec<Listener> = tcp.map(Listener::Tcp).collect();
        listeners.extend(tls.map(Listener::Tls));
        for listener in sockets.unix {
            let ready = listener.set_nonblocking(true);
            ready.map_err(|source| ListenError::Given { source })?;
            listeners.push(Listener::Unix(listener));
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
    fn configure(&self) -> Result<(), StartError> {
        let (engine, config) = (self.shared.engine(), &self.shared.config);
        engine.set_protected_mode(config.protected_mode);
        engine.set_clients_max(config.maxclients);
        engine.set_idle_timeout(config.timeout);
        engine.set_tcp_keepalive(config.tcp_keepalive);
        engine.set_bulk_len_max(config.proto_max_bulk_len);
        engine.set_query_buffer_max(config.client_query_buffer_limit);
        engine.set_output_limits(&config.client_output_buffer_limit);
        engine.set_clients_memory(config.maxmemory_clients);
        for (name, value) in &config.parameters {
            let configured = engine.configure(name, value);
            configured.map_err(StartError::Parameter)?;
        }
        Ok(())
    }

    /// Tells the engine where it is, and who keeps what is not its own.
    fn introduce(&self) {
        let (engine, config) = (self.shared.engine(), &self.shared.config);
        let port = |addresses: &[SocketAddr]| addresses.first().map_or(0, SocketAddr::port);
        let mut places: Vec<String> = Vec::new();
        for address in self.addresses.iter().chain(&self.tls_addresses) {
            let place = address.ip().to_string();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let path = self.unixsocket.as_deref();
        let mut parameters = config.known.clone();
        parameters.extend([
            ("bind", places.join(" ")),
            ("port", port(&self.addresses).to_string()),
            ("tls-port", port(&self.tls_addresses).to_string()),
            ("tcp-backlog", config.tcp_backlog.to_string()),
            (
                "shutdown-timeout",
                config.shutdown_timeout.as_secs().to_string(),
            ),
            (
                "unixsocket",
                path.map_or_else(String::new, |path| path.display().to_string()),
            ),
            (
                "unixsocketperm",
                format!("{:o}", config.unixsocketperm.unwrap_or(0)),
            ),
        ]);
        engine.set_host(Host {
            tcp_port: port(&self.addresses),
            parameters,
            debug_access: config.debug_access,
            sleep: Some(std::thread::sleep),
            facts: facts(),
            memory_bytes: kib_of("/proc/meminfo", "MemTotal:"),
            resident_bytes: Some(resident_bytes),
            purge: config.purge,
            cpu_time: Some(cpu_time),
        });
        if let Some(keys) = &self.shared.keys {
            engine.keep_parameters(Arc::new(KeptKeys(Arc::clone(keys))));
        }
        if let Some(path) = &config.config_file {
            engine.set_config_file(Box::new(UsersOnDisk::at(path)));
        }
    }
}

/// The addresses of sockets, which do not block from here on.
fn addresses_of(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, ListenError> {
    let address = |listener: &TcpListener| {
        listener.set_nonblocking(true)?;
        listener.local_addr()
    };
    let addresses = listeners.iter().map(address).collect::<io::Result<_>>();
    addresses.map_err(|source| ListenError::Given { source })
}

/// How many bytes of memory the process holds, where the system says so in Linux's way.
fn resident_bytes() -> Option<u64> {
    kib_of("/proc/self/status", "VmRSS:")
}

/// The bytes that one of Linux's files gives in kibibytes under this name.
fn kib_of(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What INFO says of the process that stays as it is.
fn facts() -> Vec<(&'static str, String)> {
    let event_api = match cfg!(any(target_os = "linux", target_os = "android")) {
        true => "epoll",
        false => "kqueue",
    };
    let executable = std::env::current_exe().unwrap_or_default();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = match cfg!(target_os = "linux") {
        true => format!("Linux {}", release.trim()),
        false => std::env::consts::OS.to_owned(),
    };
    vec![
        ("os", format!("{system} {}", std::env::consts::ARCH)),
        ("monotonic_clock", "POSIX clock_gettime".to_owned()),
        ("multiplexing_api", event_api.to_owned()),
        ("executable", executable.display().to_string()),
    ]
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
