//! The stores of the contenders.

use anyhow::{Context, Result};
use larder_embedded::{Config, Embedded};
use larder_remote::Remote;
use larder_store::Store;
use larder_testkit::{Server, ServerKind};
use redis::aio::MultiplexedConnection;

/// A store in the process, and a server of its own.
pub(crate) struct Stores {
    pub(crate) memory: Store,
    pub(crate) remote: Store,
    pub(crate) url: String,
    /// It ends with this.
    _server: Server,
}

impl Stores {
    /// Valkey if there is one, else Redis.
    pub(crate) fn open() -> Result<Stores> {
        let server = Server::start(ServerKind::Valkey).or_else(|| Server::start(ServerKind::Redis));
        let server = server.context("there is neither valkey-server nor redis-server")?;
        Ok(Stores {
            memory: Store::new(Embedded::open(Config::default())?),
            remote: Store::new(Remote::open(
                &server.url(),
                larder_remote::Config::default(),
            )?),
            url: server.url(),
            _server: server,
        })
    }

    /// A connection of the `redis` crate to a database of the server.
    pub(crate) async fn connection_to(&self, database: u8) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut select = redis::cmd("SELECT");
        select.arg(database).exec_async(&mut connection).await?;
        Ok(connection)
    }
}
