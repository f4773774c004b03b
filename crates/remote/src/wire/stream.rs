//! The stream of bytes to a server: TCP, TLS over it, or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, lookup_host};
#[cfg(feature = "tls")]
use tokio_rustls::client::TlsStream;

use crate::address::Address;
#[cfg(feature = "tls")]
use crate::tls::Connector;

/// A server that has vanished without a word is noticed after so long of silence...
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);

/// ... and so many questions of the system that were not answered, ...
const KEEPALIVE_RETRIES: u32 = 3;

/// ... so long apart.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// How long what was sent may stay without a sign that it has arrived.
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// The addresses that the name of a server's host stands for. A Unix socket has none.
pub(crate) async fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    match address {
        Address::Unix(_) => Ok(Vec::new()),
        Address::Tcp { host, port } => Ok(lookup_host((&**host, *port)).await?.collect()),
    }
}

/// A stream of bytes to a server.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Connects to a server, at one of the addresses that its host has, and over TLS if there is somebody to
    /// speak it.
    pub(crate) async fn connect(
        address: &Address,
        found: &[SocketAddr],
        #[cfg(feature = "tls")] tls: Option<&Connector>,
    ) -> io::Result<Stream> {
        let host = match address {
            #[cfg(unix)]
            Address::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
            Address::Tcp { host, .. } => host,
        };
        let tcp = TcpStream::connect(found).await?;
        be_attentive(&tcp)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = tls {
            return Ok(Stream::Tls(Box::new(tls.connect(host, tcp).await?)));
        }
        #[cfg(not(feature = "tls"))]
        let _ = host;
        Ok(Stream::Tcp(tcp))
    }
}

/// Requests leave at once, and a server that vanished without a word is noticed also where nobody waits
/// for an answer.
fn be_attentive(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
