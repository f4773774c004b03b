//! The store behind the faults.

use std::time::{Duration, SystemTime};

use larder_store::{Channels, Command, Error, Store, Subscription, Value};
use parking_lot::Mutex;

use crate::memory::Memory;

/// The store behind the faults: somebody's, or a memory store of ours.
pub(crate) enum Site {
    /// Any store. Another may take its place.
    Any(Mutex<Store>),
    /// A memory store whose clock can be moved and which can be copied.
    Memory(Memory),
}

impl Site {
    /// What the store's clock shows, as far as it is known: that of a server may differ from ours.
    pub(crate) fn clock(&self) -> SystemTime {
        match self {
            Site::Any(_) => SystemTime::now(),
            Site::Memory(memory) => memory.clock(),
        }
    }

    /// The store itself, without any faults.
    pub(crate) fn store(&self) -> Store {
        match self {
            Site::Any(store) => store.lock().clone(),
            Site::Memory(memory) => Store::new(memory.present()),
        }
    }

    /// Runs commands: one, or a transaction.
    pub(crate) async fn run(
        &self,
        mut commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        match self {
            Site::Memory(memory) => memory.run(commands).await,
            Site::Any(_) if commands.len() == 1 => {
                let command = commands.remove(0);
                Ok(vec![self.store().call(command).await])
            }
            Site::Any(_) => self.store().call_all(commands).await,
        }
    }

    pub(crate) async fn subscribe(&self, channels: Channels) -> Result<Subscription, Error> {
        self.store().subscribe(channels).await
    }

    /// The keys that match a glob pattern, in order.
    pub(crate) async fn keys(&self, glob: &str) -> Result<Vec<Vec<u8>>, Error> {
        let (store, mut cursor) = (self.store(), String::from("0"));
        let mut keys = Vec::new();
        loop {
            let scan = Command::new("SCAN").arg(&cursor).arg("MATCH").arg(glob);
            let (next, page): (String, Vec<Vec<u8>>) =
                store.run(scan.arg("COUNT").arg(1000)).await?;
            keys.extend(page);
            if next == "0" {
                break;
            }
            cursor = next;
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Removes a key.
    pub(crate) async fn remove(&self, key: Vec<u8>) -> Result<(), Error> {
        self.run(vec![Command::new("UNLINK").arg(key)]).await?;
        Ok(())
    }

    /// Removes everything, also the scripts that the store knew.
    pub(crate) async fn empty(&self) -> Result<(), Error> {
        self.run(vec![Command::new("FLUSHALL")]).await?;
        self.run(vec![Command::new("SCRIPT").arg("FLUSH")]).await?;
        Ok(())
    }

    /// The memory store, for what only one can do.
    pub(crate) fn memory(&self) -> Result<&Memory, Error> {
        match self {
            Site::Memory(memory) => Ok(memory),
            Site::Any(_) => Err(Error::invalid(
                "only the store of `Faulty::memory` has a clock to set and a copy to fail over to",
            )),
        }
    }

    /// How long a key lives. `None` if it lives for ever, or is not there.
    pub(crate) async fn time_to_live(&self, key: &[u8]) -> Result<Option<Duration>, Error> {
        let ttl_ms: i64 = self.store().run(Command::new("PTTL").arg(key)).await?;
        Ok(u64::try_from(ttl_ms).ok().map(Duration::from_millis))
    }
}
