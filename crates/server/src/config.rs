//! What a server is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use larder_engine::{ClientsMemory, DebugAccess, OutputLimits};

use crate::tls_config::TlsConfig;

/// What a server is told. The names and the defaults are those of redis.conf, where it has them.
///
/// The password that clients have to give belongs to the store: see
/// [`larder_embedded::Config::password`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Addresses to listen on for clients that speak TLS. Port 0 takes a free port.
    pub tls_listen: Vec<SocketAddr>,
    /// What those need who come there.
    pub tls: TlsConfig,
    /// How long a client may take to show that it may come in over TLS.
    pub handshake_timeout: Duration,
    /// How many connections may wait on each address to be accepted. The system may allow fewer.
    pub tcp_backlog: u16,
    /// Path of a Unix socket to listen on as well. The file goes when the server ends.
    pub unixsocket: Option<PathBuf>,
    /// Permissions of the Unix socket, as `chmod` takes them; those of the process if `None`.
    pub unixsocketperm: Option<u32>,
    /// Whether clients from other machines are turned away as long as there is no password.
    pub protected_mode: bool,
    /// The file of users: one user a line, as ACL LIST shows them. ACL LOAD reads it again, and ACL SAVE
    /// writes it.
    pub aclfile: Option<PathBuf>,
    /// Users, if there is no file of them: a name and rules each, as ACL SETUSER takes them.
    pub users: Vec<String>,
    /// Who may use DEBUG.
    pub debug_access: DebugAccess,
    /// Threads that serve connections; one for each core that the process may use if `None`.
    pub threads: Option<usize>,
    /// Connections that there may be at once.
    pub maxclients: usize,
    /// How long a connection may be idle, in whole seconds. One that waits for a key or for messages
    /// may be for ever.
    pub timeout: Option<Duration>,
    /// How long a connection is silent before the system probes whether the other end is there.
    pub tcp_keepalive: Option<Duration>,
    /// How many bytes a word of a request may have.
    pub proto_max_bulk_len: usize,
    /// How many words a request may have.
    pub multibulk_max: usize,
    /// How many bytes of requests may be held for one connection. One that sends more is closed.
    pub client_query_buffer_limit: usize,
    /// How much may wait for a client that takes it too slowly, or that asks for too much at once.
    pub client_output_buffer_limit: OutputLimits,
    /// How many bytes all connections together may hold. When they hold more, those that hold most
    /// are closed, and a single answer can't be longer than what is left.
    pub maxmemory_clients: ClientsMemory,
    /// Parameters that are set after all that stands above, by the names and with the values that CONFIG
    /// SET takes.
    pub parameters: Vec<(String, Vec<u8>)>,
    /// What CONFIG GET shows of parameters that whoever starts the server goes by.
    pub known: Vec<(&'static str, String)>,
    /// The file that CONFIG REWRITE writes.
    pub config_file: Option<PathBuf>,
    /// Gives the system back what the process's allocator keeps of the calling thread's memory, for
    /// MEMORY PURGE.
    pub purge: Option<fn()>,
    /// How long the server waits, when it ends, for clients to take their last answers and for
    /// scripts to end. Scripts that run for so long that they keep others waiting are ended at once.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 6379))],
            tls_listen: Vec::new(),
            tls: TlsConfig::default(),
            handshake_timeout: Duration::from_secs(10),
            tcp_backlog: 511,
            unixsocket: None,
            unixsocketperm: None,
            protected_mode: true,
            aclfile: None,
            users: Vec::new(),
            debug_access: DebugAccess::No,
            threads: None,
            maxclients: 10_000,
            timeout: None,
            tcp_keepalive: Some(Duration::from_secs(300)),
            proto_max_bulk_len: 512 * 1024 * 1024,
            multibulk_max: i32::MAX as usize,
            client_query_buffer_limit: 1024 * 1024 * 1024,
            client_output_buffer_limit: OutputLimits::default(),
            maxmemory_clients: ClientsMemory::Unlimited,
            parameters: Vec::new(),
            known: Vec::new(),
            config_file: None,
            purge: None,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
