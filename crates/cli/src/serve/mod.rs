//! `larder serve`: the engine for any Redis client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use larder_embedded::{Config as EmbeddedConfig, Embedded, EvictionPolicy, MaxMemory};
use larder_server::{ClientsMemory, Config, DebugAccess, Server};

use crate::signal::Signals;

/// Files that the process has open beside its connections: Redis's `CONFIG_MIN_RESERVED_FDS`.
const FILES_RESERVED: u64 = 32;

/// What `larder serve` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on; may be given several times. Port 0 takes a free port.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6379",
        value_parser = crate::address
    )]
    listen: Vec<SocketAddr>,

    /// Path of a Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unixsocket: Option<PathBuf>,

    /// Password that clients have to give.
    #[arg(
        long,
        value_name = "PASSWORD",
        // An empty one would leave the server open, most likely by mistake.
        value_parser = NonEmptyStringValueParser::new(),
        env = "LARDER_REQUIREPASS",
        hide_env_values = true
    )]
    requirepass: Option<String>,

    /// File of users, one a line as ACL LIST shows them; ACL SAVE writes it.
    #[arg(long, value_name = "PATH", conflicts_with = "user")]
    aclfile: Option<PathBuf>,

    /// User, as NAME and rules, such as 'ann on #SHA256 ~ann:* +@all'; may be given several times. Whoever
    /// sees the processes of this machine sees it: give a password as its digest.
    #[arg(long, value_name = "USER")]
    user: Vec<String>,

    /// Whether clients from other machines are refused as long as there is no password: yes or no.
    #[arg(
        long,
        value_name = "YES|NO",
        default_value = "yes",
        action = clap::ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    protected_mode: bool,

    /// Who may use DEBUG, which is for tests: yes, no, or local for who comes from this machine.
    #[arg(long, value_name = "YES|NO|LOCAL", default_value_t)]
    enable_debug_command: DebugAccess,

    /// Threads that serve connections [default: one for each core].
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Connections that there may be at once.
    #[arg(
        long,
        value_name = "COUNT",
        allow_negative_numbers = true,
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    maxclients: u32,

    /// Bytes that the store may hold, such as 512mb or 2gb; 0 is any number [default: four fifths of
    /// the memory of the machine or container].
    #[arg(long, value_name = "BYTES")]
    maxmemory: Option<MaxMemory>,

    /// What is evicted when it holds more: noeviction, allkeys-lru, allkeys-lfu, allkeys-random,
    /// volatile-lru, volatile-lfu, volatile-random or volatile-ttl.
    #[arg(long, value_name = "POLICY", default_value_t)]
    maxmemory_policy: EvictionPolicy,

    /// Seconds after which an idle connection is closed; 0 is never.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(0..))]
    timeout: u32,

    /// Memory that all clients together may take for requests and answers, in bytes or with a unit
    /// (`512mb`); 0 is no limit. The clients that take most are closed when there is more
    /// [default: half of the memory that the process may have].
    #[arg(long, value_name = "BYTES")]
    maxmemory_clients: Option<MaxMemory>,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let config = EmbeddedConfig::default()
        .password(args.requirepass)
        .max_memory(args.maxmemory.unwrap_or(MaxMemory::FourFifths))
        .eviction_policy(args.maxmemory_policy);
    let embedded = Embedded::open(config)?;
    let config = Config {
        listen: args.listen,
        unixsocket: args.unixsocket.clone(),
        protected_mode: args.protected_mode,
        aclfile: args.aclfile,
        users: args.user,
        debug_access: args.enable_debug_command,
        threads: args.threads.map(usize::from),
        maxclients: clients_allowed(args.maxclients),
        timeout: (args.timeout > 0).then(|| Duration::from_secs(args.timeout.into())),
        maxmemory_clients: clients_memory(args.maxmemory_clients),
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let server = Server::start(config, &embedded)?;
    let is_open = !embedded.engine().needs_password();
    for address in server.addresses() {
        if is_open && !address.ip().to_canonical().is_loopback() {
            warn_of_strangers(*address, args.protected_mode);
        }
        tracing::info!("listening on {address}");
    }
    if let Some(path) = args.unixsocket {
        tracing::info!("listening on {}", path.display());
    }

    runtime.block_on(signals.wait())?;
    tracing::info!("shutting down; a second signal ends it at once");
    if !server.shutdown() {
        // The thread that was left behind may hold what closing the store waits for.
        return Err("a script does not end: the process ends with it".into());
    }
    embedded.close();
    Ok(())
}

/// Says what it means that there is no password where others than this machine can come.
fn warn_of_strangers(address: SocketAddr, is_protected: bool) {
    match is_protected {
        true => tracing::warn!(
            "{address} has no password, so clients from other machines are refused: set one with \
             --requirepass or LARDER_REQUIREPASS, or let everybody in with --protected-mode no"
        ),
        false => tracing::warn!(
            "{address} has no password, and is open to everybody who can reach it: set one with \
             --requirepass or LARDER_REQUIREPASS"
        ),
    }
}

/// Redis has no limit here: there, one client that asks for much and reads nothing ends the process.
/// Half of the memory is more than clients need that read what they ask for, and leaves the other
/// half to the data.
fn clients_memory(wanted: Option<MaxMemory>) -> ClientsMemory {
    match wanted.unwrap_or_default().bytes() {
        0 => ClientsMemory::Unlimited,
        bytes => ClientsMemory::Bytes(bytes),
    }
}

/// Raises the limit on open files so that there can be so many connections. Answers how many there
/// can be: where the system refuses, fewer.
fn clients_allowed(maxclients: u32) -> usize {
    let wanted = u64::from(maxclients) + FILES_RESERVED;
    let files = match rlimit::increase_nofile_limit(wanted) {
        Ok(files) => files,
        // Accepting pauses when there are no more, so this is no reason not to start.
        Err(error) => {
            tracing::warn!(%error, "the limit on open files can't be raised");
            return maxclients as usize;
        }
    };
    if files >= wanted {
        return maxclients as usize;
    }
    let clients = files.saturating_sub(FILES_RESERVED).max(1);
    tracing::warn!("maxclients is {clients}: the system allows {files} open files");
    clients as usize
}
