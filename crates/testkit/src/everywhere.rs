//! What a test asks of a store as a whole, wherever its parts are: a cluster has several.

use std::collections::HashMap;

use larder_store::{Command, Error, FromValue};

use crate::test_store::TestStore;

impl TestStore {
    /// Runs a command on each part of the store, and answers what each says.
    ///
    /// # Errors
    ///
    /// The first one of a part.
    pub async fn everywhere<T: FromValue>(&self, command: Command) -> Result<Vec<T>, Error> {
        let mut answers = Vec::new();
        for part in self.store.parts().await? {
            answers.push(self.store.run(command.clone().on(&part)).await?);
        }
        Ok(answers)
    }

    /// The keys that match a pattern, each once and in order.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn keys(&self, pattern: &str) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut pages = self.store.scan(pattern);
        while let Some(page) = pages.next().await {
            let page = page?;
            keys.extend(
                page.iter()
                    .map(|key| String::from_utf8_lossy(key).into_owned()),
            );
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Removes all keys.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn clear(&self) -> Result<(), Error> {
        let flushed = self.everywhere::<()>(Command::new("FLUSHDB")).await;
        flushed.map(drop)
    }

    /// Sets a parameter of the configuration (`CONFIG SET`) of each part. What a topology that is lent was
    /// set to comes back before it is lent again.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn configure(&self, name: &str, value: &str) -> Result<(), Error> {
        let set = Command::new("CONFIG").arg("SET").arg(name).arg(value);
        self.everywhere::<()>(set).await.map(drop)
    }

    /// How many connections listen to a channel, be it sharded or not.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn listeners(&self, channel: impl AsRef<[u8]>) -> Result<u64, Error> {
        let ask = |kind: &str| Command::new("PUBSUB").arg(kind).arg(channel.as_ref());
        let mut counts: Vec<(String, u64)> = self.everywhere(ask("NUMSUB")).await?;
        // A store inside the process has no shards.
        if self.embedded().is_none() {
            counts.extend(self.everywhere(ask("SHARDNUMSUB")).await?);
        }
        Ok(counts.iter().map(|(_, count)| count).sum())
    }

    /// How often each command was run, by its name in small letters, inside of scripts too.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn commands_run(&self) -> Result<HashMap<String, u64>, Error> {
        let ask = Command::new("INFO").arg("commandstats");
        let mut runs = HashMap::new();
        for info in self.everywhere::<String>(ask).await? {
            for (name, calls) in info.lines().filter_map(run_of) {
                *runs.entry(name.to_owned()).or_default() += calls;
            }
        }
        Ok(runs)
    }
}

/// Name and number in a line `cmdstat_get:calls=3,usec=...`.
fn run_of(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    Some((name, rest.split(',').next()?.parse().ok()?))
}
