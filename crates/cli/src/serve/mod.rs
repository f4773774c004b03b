//! `larder serve`: the engine for any Redis client.
//!
//! ```text
//! command line, file ── Settings ──> the store, the server, the log ── until a signal or SHUTDOWN ── the end
//! ```

mod addresses;
mod args;
mod log;
mod settings;
mod systemd;
mod warnings;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_embedded::{Config as EmbeddedConfig, Embedded, MaxMemory};
use larder_server::{ClientsMemory, Config, Loaded, RdbFile, Server, Sockets, TlsConfig};
use tokio::sync::Notify as Asked;

pub(crate) use args::{Args, why_absent};

use log::Log;
use settings::Settings;
use systemd::Notify;

use crate::allocator;
use crate::signal::Signals;

/// Files that the process has open beside its connections: Redis's `CONFIG_MIN_RESERVED_FDS`.
const FILES_RESERVED: u64 = 32;

/// The password of the default user, if no parameter says it: here nobody sees it who sees processes.
const PASSWORD: &str = "LARDER_REQUIREPASS";

/// What the server's configuration has a place of its own for; everything else is the engine's.
const OF_THE_SERVER: &[&str] = &[
    "aclfile",
    "bind",
    "databases",
    "dbfilename",
    "dir",
    "enable-debug-command",
    "listen",
    "logfile",
    "loglevel",
    "maxclients",
    "port",
    "shutdown-timeout",
    "supervised",
    "tcp-backlog",
    "threads",
    "tls-auth-clients",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-listen",
    "tls-port",
    "tls-protocols",
    "unixsocket",
    "unixsocketperm",
    "user",
];

/// Serves until SIGINT, SIGTERM or SHUTDOWN.
pub(crate) fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let file = args.file.clone();
    let settings = Settings::read(args)?;
    let log = Log::start(settings.last("loglevel"), settings.last("logfile"))?;
    let notify = Notify::from_env(&settings.last("supervised").unwrap_or("auto".to_owned()));
    let sockets = systemd::sockets()?;
    let keys = keys_on_disk(&settings)?;
    let config = config(&settings, file, &sockets, &notify, &keys)?;

    // Four fifths of the memory, unless a parameter says otherwise.
    let store = EmbeddedConfig::default().max_memory(MaxMemory::FourFifths);
    let embedded = Embedded::open(store)?;
    embedded.engine().keep_parameters(log);
    embedded.engine().keep_snapshots(Box::new(keys.clone()));
    load(&keys, &embedded)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = runtime.block_on(async { Signals::listen()?.and_hangup() })?;
    let unixsocket = config.unixsocket.clone();
    let asked = Arc::new(Asked::new());
    end_by_command(&embedded, &asked);
    let server = Server::start_on(sockets, config, &embedded)?;
    warnings::tell(&server, &embedded);
    introduce(&server, &embedded, unixsocket);
    notify.ready();

    runtime.block_on(signals.wait_or(asked.notified(), || reload(&server, &notify)))?;
    tracing::info!("shutting down; a second signal ends it at once");
    notify.stopping();
    if !server.shutdown() {
        // The thread that was left behind may hold what closing the store waits for.
        return Err("a script does not end: the process ends with it".into());
    }
    let saved = save_at_end(&keys, &embedded);
    embedded.close();
    saved
}

/// The file that holds all keys.
fn keys_on_disk(settings: &Settings) -> std::io::Result<RdbFile> {
    let dir = settings.last("dir").filter(|dir| !dir.is_empty());
    let name = settings.last("dbfilename");
    RdbFile::new(
        Path::new(dir.as_deref().unwrap_or(".")),
        name.as_deref().unwrap_or("dump.rdb"),
    )
}

/// Takes in what the file holds, before anybody is served.
fn load(keys: &RdbFile, embedded: &Embedded) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    if let Some(loaded) = keys.load(embedded.engine(), embedded)? {
        let (path, seconds) = (keys.path().display(), began.elapsed().as_secs_f64());
        let Loaded { keys, expired, .. } = loaded;
        tracing::info!(
            "{path} has been loaded: {keys} keys, and {expired} had expired ({seconds:.3} seconds)"
        );
    }
    Ok(())
}

/// Saves what has changed since the last time, when nobody is served any more, if it is to be saved.
fn save_at_end(keys: &RdbFile, embedded: &Embedded) -> Result<(), Box<dyn Error>> {
    keys.give_up(embedded.engine());
    let snapshot = loop {
        match embedded.engine().last_snapshot(embedded) {
            Ok(snapshot) => break snapshot,
            // The store's own thread holds some keys for a moment.
            Err(_) => std::thread::yield_now(),
        }
    };
    match snapshot.is_none_or(|snapshot| keys.keep(snapshot)) {
        true => Ok(()),
        false => Err("what has changed since the last save is lost".into()),
    }
}

/// Has SHUTDOWN end the process as a signal does. It may come before anybody waits for it.
fn end_by_command(embedded: &Embedded, asked: &Arc<Asked>) {
    let asked = Arc::clone(asked);
    embedded.engine().on_shutdown(Box::new(move || {
        tracing::info!("a client has sent SHUTDOWN");
        asked.notify_one();
    }));
}

/// What the server is told.
fn config(
    settings: &Settings,
    file: Option<PathBuf>,
    sockets: &Sockets,
    notify: &Notify,
    keys: &RdbFile,
) -> Result<Config, Box<dyn Error>> {
    let is_given = !(sockets.tcp.is_empty() && sockets.tls.is_empty() && sockets.unix.is_empty());
    let own = |name: &str| settings.number(name);
    let threads = own("threads").and_then(|threads| usize::try_from(threads).ok());
    let mode = settings.last("unixsocketperm");
    let mode = mode.and_then(|mode| u32::from_str_radix(&mode, 8).ok());
    let debug_access = settings.last("enable-debug-command");
    let debug_access = debug_access.map(|access| access.to_ascii_lowercase());
    let defaults = Config::default();
    Ok(Config {
        listen: addresses::plain(settings, is_given)?,
        tls_listen: addresses::tls(settings)?,
        tls: tls(settings)?,
        tcp_backlog: own("tcp-backlog").map_or(defaults.tcp_backlog, |backlog| backlog as u16),
        unixsocket: path(settings, "unixsocket"),
        unixsocketperm: mode.filter(|mode| *mode > 0),
        aclfile: path(settings, "aclfile"),
        users: settings.each("user"),
        debug_access: debug_access.map_or(Ok(defaults.debug_access), |text| text.parse())?,
        threads: threads.filter(|threads| *threads > 0),
        maxclients: clients_allowed(own("maxclients").unwrap_or(10_000)),
        maxmemory_clients: clients_memory(),
        shutdown_timeout: own("shutdown-timeout")
            .map_or(defaults.shutdown_timeout, Duration::from_secs),
        parameters: parameters(settings)?,
        known: known(settings, notify, keys),
        config_file: file.map(std::path::absolute).transpose()?,
        purge: Some(allocator::purge),
        ..defaults
    })
}

fn path(settings: &Settings, name: &str) -> Option<PathBuf> {
    let path = settings.last(name).filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

fn tls(settings: &Settings) -> Result<TlsConfig, String> {
    let mut tls = TlsConfig::default();
    for (name, value) in settings.all() {
        if name.starts_with("tls-") && !["tls-port", "tls-listen"].contains(name) {
            tls.set(name, &String::from_utf8_lossy(value))?;
        }
    }
    Ok(tls)
}

/// What CONFIG shows of that which only this process knows.
fn known(settings: &Settings, notify: &Notify, keys: &RdbFile) -> Vec<(&'static str, String)> {
    let mut known = Vec::new();
    let path = keys.path();
    let text = |part: Option<&Path>| part.map_or_else(String::new, |it| it.display().to_string());
    known.push(("dir", text(path.parent())));
    known.push(("dbfilename", text(path.file_name().map(Path::new))));
    let supervised = if notify.is_there() { "systemd" } else { "no" };
    known.push(("supervised", supervised.to_owned()));
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = settings.last("threads").filter(|threads| threads != "0");
    known.push(("threads", threads.unwrap_or_else(|| cores().to_string())));
    // Where nobody comes over TLS, these are kept by nobody.
    for (name, value) in settings.all() {
        if name.starts_with("tls-") && *name != "tls-listen" {
            known.retain(|(known, _)| known != name);
            known.push((*name, String::from_utf8_lossy(value).into_owned()));
        }
    }
    known
}

/// The parameters of the engine, in order.
fn parameters(settings: &Settings) -> Result<Vec<(String, Vec<u8>)>, String> {
    let own = settings.all().iter();
    let own = own.filter(|(name, _)| !OF_THE_SERVER.contains(name));
    let own = own.map(|(name, value)| ((*name).to_owned(), value.clone()));
    let mut own: Vec<_> = own.collect();
    if let Some(password) = std::env::var_os(PASSWORD).filter(|_| !settings.has("requirepass")) {
        let password = std::os::unix::ffi::OsStringExt::into_vec(password);
        // It would leave the server open, most likely by mistake.
        if password.is_empty() {
            return Err(format!(
                "{PASSWORD} is empty: unset it, or have it hold a password"
            ));
        }
        own.push(("requirepass".to_owned(), password));
    }
    Ok(own)
}

/// Says what was started.
fn introduce(server: &Server, embedded: &Embedded, unixsocket: Option<PathBuf>) {
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    let memory = match embedded.engine().max_memory() {
        0 => "any amount of memory".to_owned(),
        bytes => format!("{} MiB at most", bytes >> 20),
    };
    tracing::info!("Larder {version}, process {pid}, serves {memory}");
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    for address in server.tls_addresses() {
        tracing::info!("listening for TLS on {address}");
    }
    if let Some(path) = unixsocket {
        tracing::info!("listening on {}", path.display());
    }
    // In Redis's words: test containers and scripts wait for them before they connect.
    tracing::info!("Ready to accept connections");
}

/// Reads certificates again. What is wrong with them is told, and nothing changes.
fn reload(server: &Server, notify: &Notify) {
    notify.reloading();
    match server.reload_tls() {
        Ok(()) => tracing::info!("the certificates have been read again"),
        Err(error) => tracing::warn!("the certificates stay as they are: {error}"),
    }
    notify.ready();
}

/// Redis has no limit here: there, one client that asks for much and reads nothing ends the process.
/// Half of the memory is more than clients need that read what they ask for, and leaves the other
/// half to the data.
fn clients_memory() -> ClientsMemory {
    match MaxMemory::Half.bytes() {
        0 => ClientsMemory::Unlimited,
        bytes => ClientsMemory::Bytes(bytes),
    }
}

/// Raises the limit on open files so that there can be so many connections. Answers how many there
/// can be: where the system refuses, fewer.
fn clients_allowed(maxclients: u64) -> usize {
    let wanted = maxclients + FILES_RESERVED;
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
