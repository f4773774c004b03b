//! What a server is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a server is told. The names and the defaults are those of redis.conf, where it has them.
///
/// The password that clients have to give belongs to the store: see
/// [`larder_embedded::Config::password`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Path of a Unix socket to listen on as well. The file goes when the server ends.
    pub unixsocket: Option<PathBuf>,
    /// Permissions of the Unix socket, as `chmod` takes them; those of the process if `None`.
    pub unixsocketperm: Option<u32>,
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
    /// How many bytes of answers may be held for one connection, if there is a limit. No request
    /// runs while answers to earlier ones are not taken, so this bounds a single answer. A client
    /// that asks for more is closed.
    pub output_limit: Option<usize>,
    /// How many bytes of messages may wait for one subscriber. One that is slower is closed.
    pub pubsub_output_limit: usize,
    /// How long the server waits, when it ends, for clients to take their last answers.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 6379))],
            unixsocket: None,
            unixsocketperm: None,
            threads: None,
            maxclients: 10_000,
            timeout: None,
            tcp_keepalive: Some(Duration::from_secs(300)),
            proto_max_bulk_len: 512 * 1024 * 1024,
            multibulk_max: i32::MAX as usize,
            client_query_buffer_limit: 1024 * 1024 * 1024,
            output_limit: Some(1024 * 1024 * 1024),
            pubsub_output_limit: 32 * 1024 * 1024,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
