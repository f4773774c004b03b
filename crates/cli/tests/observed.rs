//! What an observer is told of the services, on a store in the process and on a server.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::cache::Cache;
use larder::leaderboard::{Best, Leaderboard};
use larder::lock::Locks;
use larder::rate_limit::{Limit, Limiter, Quota};
use larder::{Call, Observer, Store, Ttl};
use larder_testkit::{Server, ServerKind};

type Outcome = Result<(), Box<dyn StdError>>;

/// How long a lock is waited for, which is free.
const PATIENCE: Duration = Duration::from_secs(20);

/// The scripts that were called.
#[derive(Clone, Default)]
struct Scripts(Arc<Mutex<BTreeSet<String>>>);

impl Observer for Scripts {
    fn done(&self, call: &Call<'_>) {
        let script = call.script.map(str::to_owned);
        self.0.lock().unwrap().extend(script);
    }
}

/// Each service makes a call or two.
async fn use_services(store: &Store) -> Outcome {
    let prices = Cache::new(store, "prices", Ttl::hours(1));
    prices.set("book.42", &1999).await?;
    let limiter = Limiter::new(store, "login", Limit::gcra(Quota::per_second(5)));
    limiter.take_one("ann").await?;
    let locks = Locks::new(store, "reports");
    let guard = locks.lock("daily", PATIENCE).await?;
    guard.release().await?;
    let board = Leaderboard::new(store, "game", "all", Best::Highest, Ttl::hours(1));
    board.set("ann", 10).await?;
    Ok(())
}

async fn scripts_of(store: &Store) -> Result<BTreeSet<String>, Box<dyn StdError>> {
    let scripts = Scripts::default();
    use_services(&store.observed(scripts.clone())).await?;
    let called = std::mem::take(&mut *scripts.0.lock().unwrap());
    Ok(called)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_of_the_services_are_named_by_their_files_on_every_store() -> Outcome {
    let wanted = [
        "cache/tag.lua",
        "leaderboard/write.lua",
        "lock/acquire.lua",
        "lock/release.lua",
        "rate_limit/take.lua",
    ];
    let wanted: BTreeSet<String> = wanted.map(str::to_owned).into();
    let memory = scripts_of(&larder::open("memory:")?).await?;
    assert!(memory.is_superset(&wanted), "{memory:?}");
    let Some(server) = Server::start(ServerKind::Redis) else {
        return Ok(());
    };
    let on_server = scripts_of(&larder::open(&server.url())?).await?;
    assert!(on_server.is_superset(&wanted), "{on_server:?}");
    Ok(())
}
