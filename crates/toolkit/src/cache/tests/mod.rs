//! Caches, on every kind of store.

mod background;
mod changes;
mod circles;
mod entries;
mod faults;
mod loads;
mod many;
mod outages;
mod tags;

use std::sync::Arc;
use std::time::Duration;

use larder_store::{Awaited, BoxError, Command, Error, Store};
use larder_testkit::{TestStore, every_store};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::Ttl;

const TTL: Ttl = Ttl::minutes(5);
const SHORT: Duration = Duration::from_millis(200);

/// A load that has begun, and is ended by the test.
struct Begun {
    finish: oneshot::Sender<u32>,
    caller: JoinHandle<Result<u32, Error>>,
}

impl Begun {
    /// Lets the load give this, and answers what its caller got.
    async fn finish(self, value: u32) -> Result<u32, Error> {
        assert!(self.finish.send(value).is_ok(), "the load goes on");
        self.caller.await.expect("it does not panic")
    }

    /// Drops the caller, and with it the load.
    async fn cancel(self) {
        self.caller.abort();
        assert!(self.caller.await.is_err());
    }
}

/// Begins to load `name`, and waits until the load has begun.
async fn begin_load(cache: &Cache<u32>, name: &'static str, keep: Keep) -> Begun {
    let begun = Arc::new(Notify::new());
    let (finish, finished) = oneshot::channel();
    let (cache, has_begun) = (cache.clone(), begun.clone());
    let caller = tokio::spawn(async move {
        let load = || async move {
            has_begun.notify_one();
            Ok(finished.await?)
        };
        cache.get_or_set_with(name, keep, load).await
    });
    begun.notified().await;
    Begun { finish, caller }
}

/// Asks for `name`, and waits until that waits for somebody else. Loads `value` if it has to.
async fn begin_wait(
    cache: &Cache<u32>,
    name: &'static str,
    value: u32,
) -> JoinHandle<Result<u32, Error>> {
    let before = cache.stats().waits;
    let waiting = cache.clone();
    let caller =
        tokio::spawn(async move { waiting.get_or_set(name, || async move { Ok(value) }).await });
    while cache.stats().waits == before {
        tokio::task::yield_now().await;
    }
    caller
}

/// A load that must not be needed.
async fn needless<T>() -> Result<T, BoxError> {
    panic!("somebody else loads it, or it is cached")
}

/// A load that fails.
async fn failing<T>() -> Result<T, BoxError> {
    Err("the database is down".into())
}

/// A cache that shares nothing with others but the store, as one in another process would.
fn process(store: &Store) -> Cache<u32> {
    Cache::new(store, "shop", TTL)
}

async fn run<T: larder_store::FromValue>(store: &Store, command: &str) -> Result<T, Error> {
    let mut words = command.split(' ');
    let name = Command::new(words.next().unwrap_or_default());
    store.run(name.args(words)).await
}
