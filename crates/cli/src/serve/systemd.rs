//! What systemd and the server tell each other: sockets that are listened on already (sd_listen_fds(3)),
//! and how far the server is (sd_notify(3)).

use std::env;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use larder_server::Sockets;
use listenfd::ListenFd;

/// Takes the sockets that systemd listens on for this process. Those whose `FileDescriptorName=` is `tls`
/// are for TLS.
///
/// # Errors
///
/// If one is neither of TCP nor of Unix.
pub(crate) fn sockets() -> io::Result<Sockets> {
    // Before they are taken, which removes what stands beside them.
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut sockets = Sockets::default();
    for place in 0..given.len() {
        let is_tls = names.next() == Some("tls");
        match given.take_tcp_listener(place) {
            Ok(Some(listener)) if is_tls => sockets.tls.push(listener),
            Ok(Some(listener)) => sockets.tcp.push(listener),
            Ok(None) => {}
            Err(_) => sockets.unix.extend(given.take_unix_listener(place)?),
        }
    }
    Ok(sockets)
}

/// Whoever wants to know how far the server is, if anybody does.
pub(crate) struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// The one that the environment names, if `supervised` is not `no`.
    pub(crate) fn from_env(supervised: &str) -> Notify {
        let path = env::var("NOTIFY_SOCKET").ok();
        let path = path.filter(|_| !supervised.eq_ignore_ascii_case("no"));
        let Some(path) = path else {
            if supervised.eq_ignore_ascii_case("systemd") {
                tracing::warn!(
                    "supervised is systemd, but nobody listens: NOTIFY_SOCKET is not set"
                );
            }
            return Notify(None);
        };
        let open = || Ok::<_, io::Error>((UnixDatagram::unbound()?, address(&path)?));
        match open() {
            Ok(there) => Notify(Some(there)),
            Err(error) => {
                tracing::warn!(%error, "systemd can't be told how far the server is");
                Notify(None)
            }
        }
    }

    /// Whether somebody does.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Clients can come.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// Files are read again; [`Notify::ready`] follows.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// The server ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::warn!(%error, "systemd was not told how far the server is");
        }
    }
}

/// A path, or behind `@` a name without a file.
fn address(path: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = path.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt as _;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(path)
}
