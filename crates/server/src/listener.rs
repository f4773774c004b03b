//! Accepting connections.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_engine::ClientInfo;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::connection::Connection;
use crate::server::{Error, Shared};

/// How long to wait after the system could give no connection, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens on the path of a Unix socket. What a server that is gone has left there is removed.
pub(crate) fn bind_unix(path: &Path) -> Result<StdUnixListener, Error> {
    let failed = |source| Error::Listen {
        place: path.display().to_string(),
        source,
    };
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|file| file.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let socket = StdUnixListener::bind(path).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

/// Hands the connections of a TCP socket to the threads, until the server ends.
pub(crate) async fn accept_tcp(shared: Arc<Shared>, socket: std::net::TcpListener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "can't accept connections"),
    };
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                let shared = Arc::clone(&shared);
                let on = shared.next_loop().clone();
                on.spawn(async move {
                    if let Err(error) = serve_tcp(shared, stream).await {
                        tracing::debug!(%error, "a connection failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_tcp(shared: Arc<Shared>, stream: std::net::TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(time) = shared.config.tcp_keepalive {
        let keepalive = socket2::TcpKeepalive::new().with_time(time);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    }
    let info = ClientInfo {
        address: stream.peer_addr()?.to_string(),
        local_address: stream.local_addr()?.to_string(),
        since_us: shared.embedded.now().unix_us(),
    };
    Connection::new(shared, TcpStream::from_std(stream)?, info)
        .serve()
        .await
}

/// Hands the connections of a Unix socket to the threads, until the server ends.
pub(crate) async fn accept_unix(shared: Arc<Shared>, socket: StdUnixListener) {
    let listener = match UnixListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "can't accept connections"),
    };
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                let shared = Arc::clone(&shared);
                let on = shared.next_loop().clone();
                on.spawn(async move {
                    if let Err(error) = serve_unix(shared, stream).await {
                        tracing::debug!(%error, "a connection failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_unix(
    shared: Arc<Shared>,
    stream: std::os::unix::net::UnixStream,
) -> std::io::Result<()> {
    let path = shared
        .config
        .unixsocket
        .as_ref()
        .map(|path| format!("{}:0", path.display()));
    let info = ClientInfo {
        address: path.clone().unwrap_or_default(),
        local_address: path.unwrap_or_default(),
        since_us: shared.embedded.now().unix_us(),
    };
    Connection::new(shared, UnixStream::from_std(stream)?, info)
        .serve()
        .await
}
