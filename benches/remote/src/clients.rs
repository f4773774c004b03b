//! The clients, each by its own interface.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use fred::interfaces::{ClientLike, KeysInterface};
use larder_remote::Remote;
use larder_store::Store;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use rustis::commands::StringCommands;

/// What a client has to do. The answer of a `get` has to be read as bytes.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<()>> + Send;
    fn get(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
}

/// Refuses an answer that is no value.
fn check(value: Option<impl AsRef<[u8]>>) -> Result<()> {
    ensure!(
        value.is_some_and(|value| value.as_ref().len() == crate::VALUE.len()),
        "no value"
    );
    Ok(())
}

/// Ours.
#[derive(Clone)]
pub(crate) struct Larder(Store);

impl Larder {
    pub(crate) async fn connect(url: &str) -> Result<Larder> {
        let remote = Remote::open(url, larder_remote::Config::default())?;
        Ok(Larder(Store::new(remote)))
    }
}

impl Client for Larder {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.0.set(key, value).await?)
    }

    async fn get(&self, key: &str) -> Result<()> {
        check(self.0.get(key).await?)
    }
}

/// The `redis` crate's connection, to one server or to a cluster.
#[derive(Clone)]
pub(crate) struct Redis<C>(C);

impl Redis<MultiplexedConnection> {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let client = redis::Client::open(url)?;
        Ok(Redis(client.get_multiplexed_async_connection().await?))
    }
}

impl Redis<ClusterConnection> {
    pub(crate) async fn connect_to_cluster(nodes: &[String]) -> Result<Self> {
        let urls: Vec<String> = nodes.iter().map(|node| format!("redis://{node}")).collect();
        let client = redis::cluster::ClusterClient::new(urls)?;
        Ok(Redis(client.get_async_connection().await?))
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Client for Redis<C> {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut connection = self.0.clone();
        Ok(redis::cmd("SET")
            .arg(key)
            .arg(value)
            .query_async(&mut connection)
            .await?)
    }

    async fn get(&self, key: &str) -> Result<()> {
        let mut connection = self.0.clone();
        let value: Option<Bytes> = redis::cmd("GET")
            .arg(key)
            .query_async(&mut connection)
            .await?;
        check(value)
    }
}

#[derive(Clone)]
pub(crate) struct Fred(fred::clients::Client);

impl Fred {
    pub(crate) async fn connect(url: &str) -> Result<Fred> {
        let config = fred::types::config::Config::from_url(url)?;
        let client = fred::types::Builder::from_config(config).build()?;
        client.init().await?;
        Ok(Fred(client))
    }

    pub(crate) async fn connect_to_cluster(nodes: &[String]) -> Result<Fred> {
        let first = nodes.first().context("a cluster has nodes")?;
        Fred::connect(&format!("redis-cluster://{first}")).await
    }
}

impl Client for Fred {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(self.0.set(key, value, None, None, false).await?)
    }

    async fn get(&self, key: &str) -> Result<()> {
        let value: Option<Bytes> = self.0.get(key).await?;
        check(value)
    }
}

#[derive(Clone)]
pub(crate) struct Rustis(rustis::client::Client);

impl Rustis {
    pub(crate) async fn connect(url: &str) -> Result<Rustis> {
        Ok(Rustis(rustis::client::Client::connect(url).await?))
    }

    pub(crate) async fn connect_to_cluster(nodes: &[String]) -> Result<Rustis> {
        Rustis::connect(&format!("redis+cluster://{}", nodes.join(","))).await
    }
}

impl Client for Rustis {
    async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        // It writes a slice as a list of numbers, and a text as it is.
        Ok(self.0.set(key, std::str::from_utf8(value)?).await?)
    }

    async fn get(&self, key: &str) -> Result<()> {
        let value: Option<rustis::resp::BulkString> = self.0.get(key).await?;
        check(value.as_ref().map(|value| value.as_bytes()))
    }
}
