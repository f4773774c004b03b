//! Sockets that connections come from.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_engine::{ClientInfo, Now};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use crate::shared::Shared;
use crate::socket::Socket;
use crate::tls::Tls;

/// A place that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address: its port is in use, or it is none of this machine's.
    #[error("can't listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A socket that somebody else listens on is none.
    #[error("can't listen on a socket that was given: {source}")]
    Given {
        /// What the system says.
        source: io::Error,
    },
    /// A path: it is in use, or it can't be made.
    #[error("can't listen on {}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on an address, where so many connections may wait to be accepted.
pub(crate) fn listen(
    address: SocketAddr,
    backlog: u16,
) -> Result<std::net::TcpListener, ListenError> {
    try_listen(address, backlog).map_err(|source| ListenError::Address { address, source })
}

fn try_listen(address: SocketAddr, backlog: u16) -> io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // So that the same port can be listened on for IPv4 as well.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.into())?;
    Ok(socket.into())
}

/// Listens on a path. The socket of a server that has ended without removing it is replaced, and so
/// is an empty file: programs that choose the path make one to have the name for themselves.
pub(crate) fn listen_on_path(
    path: &Path,
    mode: Option<u32>,
) -> Result<std::os::unix::net::UnixListener, ListenError> {
    try_listen_on_path(path, mode).map_err(|source| ListenError::Path {
        path: path.to_owned(),
        source,
    })
}

fn try_listen_on_path(
    path: &Path,
    mode: Option<u32>,
) -> io::Result<std::os::unix::net::UnixListener> {
    if let Ok(there) = std::fs::symlink_metadata(path) {
        let may_go = match there.file_type() {
            kind if kind.is_socket() => has_no_listener(path),
            kind if kind.is_file() && there.len() == 0 => true,
            _ => return Err(io::Error::other("what is there already is no socket")),
        };
        if may_go {
            std::fs::remove_file(path)?;
        }
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// Whether nobody has this socket open any more.
fn has_no_listener(path: &Path) -> bool {
    // Any other failure may be that of a socket in use.
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A connection that nobody serves yet. It does not block.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream),
    /// One on a port where TLS is spoken.
    Tls(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    /// What is known of the connection.
    pub(crate) fn info(&self, now: Now) -> ClientInfo {
        let (address, local_address, descriptor) = match self {
            Accepted::Tcp(stream) | Accepted::Tls(stream) => {
                let text = |address: io::Result<SocketAddr>| {
                    address.map_or("?:0".to_owned(), |address| address.to_string())
                };
                let (peer, local) = (text(stream.peer_addr()), text(stream.local_addr()));
                (peer, local, stream.as_raw_fd())
            }
            Accepted::Unix(stream) => {
                let path = stream.local_addr().ok();
                let path = path.as_ref().and_then(|address| address.as_pathname());
                let text = format!("{}:0", path.unwrap_or(Path::new("")).display());
                (text.clone(), text, stream.as_raw_fd())
            }
        };
        ClientInfo {
            address,
            local_address,
            descriptor: Some(descriptor),
            since_us: now.unix_us(),
        }
    }

    /// Whether it comes from this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            // Who has gone already comes from nowhere.
            Accepted::Tcp(stream) | Accepted::Tls(stream) => {
                stream.peer_addr().is_ok_and(|peer| is_loopback(peer.ip()))
            }
            Accepted::Unix(_) => true,
        }
    }

    /// Its socket, with what it needs.
    pub(crate) fn into_socket(self, shared: &Shared) -> io::Result<Socket> {
        let keepalive = shared.engine().tcp_keepalive();
        match self {
            Accepted::Tcp(stream) => {
                prepare(&stream, keepalive)?;
                Ok(Socket::new(stream.into()))
            }
            Accepted::Tls(stream) => {
                prepare(&stream, keepalive)?;
                let keys = shared.keys.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                Ok(Socket::new(stream.into()).with_tls(Tls::new(keys)?))
            }
            Accepted::Unix(stream) => Ok(Socket::new(stream.into())),
        }
    }
}

/// Whether an address is one by which a machine reaches itself alone. An address of IPv4 may come in the
/// clothes of IPv6.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Sets what a TCP connection needs: answers leave at once, and a silent peer is probed.
fn prepare(socket: &TcpStream, keepalive: Option<Duration>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if let Some(silence) = keepalive {
        // As Redis does: three probes, a third of the time apart.
        let interval = (silence / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new()
            .with_time(silence)
            .with_interval(interval)
            .with_retries(3);
        SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reaches_itself_by_its_loopback_addresses_alone() {
        for local in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(local.parse().unwrap()), "{local}");
        }
        for strange in ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_loopback(strange.parse().unwrap()), "{strange}");
        }
    }
}
