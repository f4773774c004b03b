//! The operations, and those who do them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use larder_store::Store;
use larder_toolkit::Ttl;
use larder_toolkit::cache::Cache;
use larder_toolkit::leaderboard::{Best, Leaderboard};
use larder_toolkit::lock::{Extension, Locks};
use larder_toolkit::rate_limit::{Limit, Limiter, Quota};
use larder_toolkit::session::{Session, Sessions};

use crate::measure::{Contender, contender};
use crate::raw::raw;
use crate::stores::Stores;
use crate::{at_hand, jobs, peers};

/// Makes the contenders of a row.
type Build = for<'a> fn(&'a Stores) -> Made<'a>;

/// The contenders of a row, being made.
type Made<'a> = Pin<Box<dyn Future<Output = Result<Vec<Contender>>> + 'a>>;

/// All rows.
pub(crate) const ALL: [(&str, Build); 10] = [
    ("cache hit", |stores| Box::pin(cache_hit(stores))),
    ("get_or_set, a hit", |stores| Box::pin(get_or_set(stores))),
    ("limiter check", |stores| Box::pin(limiter_check(stores))),
    ("session load", |stores| Box::pin(session_load(stores))),
    ("session load, the answer at hand", |_| {
        Box::pin(at_hand::session_load())
    }),
    ("session save", |stores| Box::pin(session_save(stores))),
    ("session save, the answer at hand", |_| {
        Box::pin(at_hand::session_save())
    }),
    ("lock and release", |stores| Box::pin(lock(stores))),
    ("job added and done", |stores| {
        Box::pin(jobs::contenders(stores))
    }),
    ("score added", |stores| Box::pin(score(stores))),
];

/// A value of 64 bytes.
pub(crate) const VALUE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// How many names the operations of a round are about.
pub(crate) const NAMES: usize = 1000;

pub(crate) fn names() -> Arc<Vec<String>> {
    Arc::new((0..NAMES).map(|number| format!("name.{number}")).collect())
}

/// The toolkit on each of the two stores, and one that sends the bare commands.
async fn on_stores<T: 'static>(
    stores: &Stores,
    make: impl AsyncFn(Store) -> Result<T>,
    operation: impl AsyncFn(&T, usize) -> Result<()> + Copy + 'static,
) -> Result<Vec<Contender>> {
    let raw = raw(stores, &make, operation).await?;
    let trips = raw.trips.unwrap_or(0.0);
    let memory = repeated(
        "larder memory",
        make(stores.memory.clone()).await?,
        operation,
    );
    let remote = repeated(
        "larder server",
        make(stores.remote.clone()).await?,
        operation,
    );
    Ok(vec![memory, remote.trips(trips), raw])
}

/// Does an operation on one name after the other.
pub(crate) fn repeated<T: 'static>(
    who: &'static str,
    subject: T,
    operation: impl AsyncFn(&T, usize) -> Result<()> + Copy + 'static,
) -> Contender {
    let subject = Arc::new(subject);
    contender(who, move |operations| {
        let subject = Arc::clone(&subject);
        async move {
            for number in 0..operations {
                operation(&subject, number % NAMES).await?;
            }
            Ok(())
        }
    })
}

/// Does an operation on two threads, each on names of its own.
fn on_two_threads<T: Send + Sync + 'static>(
    subject: T,
    operation: impl AsyncFn(&T, usize) -> Result<()> + Copy + Send + Sync + 'static,
) -> Contender {
    let subject = Arc::new(subject);
    contender("larder memory, two threads", move |operations| {
        let subject = Arc::clone(&subject);
        async move {
            let half = &|from: usize| -> Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                runtime.block_on(async {
                    for number in 0..operations / 2 {
                        operation(&subject, from + number % (NAMES / 2)).await?;
                    }
                    Ok(())
                })
            };
            std::thread::scope(|scope| {
                let halves = [0, NAMES / 2].map(|from| scope.spawn(move || half(from)));
                for half in halves {
                    half.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
                }
                Ok(())
            })
        }
    })
}

/// A cache in which each name has the value.
async fn filled_cache(store: Store) -> Result<(Cache<String>, Arc<Vec<String>>)> {
    let (cache, names) = (Cache::new(&store, "bench", Ttl::hours(1)), names());
    for name in &*names {
        cache.set(name, &VALUE.to_owned()).await?;
    }
    Ok((cache, names))
}

async fn cache_hit(stores: &Stores) -> Result<Vec<Contender>> {
    let hit = async |(cache, names): &(Cache<String>, Arc<Vec<String>>), number: usize| {
        let value = cache.get(&names[number]).await?;
        ensure!(value.is_some(), "an entry is missing");
        Ok(())
    };
    let mut row = on_stores(stores, filled_cache, hit).await?;
    row.push(on_two_threads(
        filled_cache(stores.memory.clone()).await?,
        hit,
    ));
    row.push(peers::moka_get().await);
    Ok(row)
}

async fn get_or_set(stores: &Stores) -> Result<Vec<Contender>> {
    let mut row = on_stores(stores, filled_cache, async |(cache, names), number| {
        let load = async || anyhow::bail!("it is there");
        cache
            .get_or_set(&names[number], async || Ok(load().await?))
            .await?;
        Ok(())
    })
    .await?;
    row.push(peers::moka_get_with().await);
    Ok(row)
}

async fn limiter_check(stores: &Stores) -> Result<Vec<Contender>> {
    let make = async |store: Store| {
        let limit = Limit::gcra(Quota::per_second(100_000));
        Ok((Limiter::new(&store, "bench", limit), names()))
    };
    let check = async |(limiter, names): &(Limiter, Arc<Vec<String>>), number: usize| {
        let decision = limiter.take_one(&names[number]).await?;
        ensure!(decision.is_allowed(), "it is denied");
        Ok(())
    };
    let mut row = on_stores(stores, make, check).await?;
    row.push(on_two_threads(make(stores.memory.clone()).await?, check));
    row.push(peers::governor_check());
    Ok(row)
}

/// Sessions, one for each name.
async fn filled_sessions(store: Store) -> Result<(Sessions<String>, Vec<Session<String>>)> {
    let sessions = Sessions::new(&store, "bench");
    let mut made = Vec::new();
    for name in &*names() {
        made.push(sessions.create(name, VALUE.to_owned()).await?);
    }
    Ok((sessions, made))
}

async fn session_load(stores: &Stores) -> Result<Vec<Contender>> {
    let load = async |(sessions, made): &(Sessions<String>, Vec<Session<String>>),
                      number: usize| {
        let session = sessions.load(made[number].token()).await?;
        ensure!(session.context("a session is missing")?.data.len() == VALUE.len());
        Ok(())
    };
    let mut row = on_stores(stores, filled_sessions, load).await?;
    row.push(on_two_threads(
        filled_sessions(stores.memory.clone()).await?,
        load,
    ));
    row.push(peers::session_load(stores).await?);
    Ok(row)
}

async fn session_save(stores: &Stores) -> Result<Vec<Contender>> {
    let make = async |store: Store| {
        let (sessions, made) = filled_sessions(store).await?;
        let made: Vec<_> = made.into_iter().map(tokio::sync::Mutex::new).collect();
        Ok((sessions, made))
    };
    let mut row = on_stores(stores, make, async |(sessions, made), number| {
        Ok(sessions.save(&mut *made[number].lock().await).await?)
    })
    .await?;
    row.push(peers::session_save(stores).await?);
    Ok(row)
}

async fn lock(stores: &Stores) -> Result<Vec<Contender>> {
    let make = async |store: Store| {
        let locks = Locks::new(&store, "bench").ttl(Duration::from_secs(10));
        Ok((locks.extension(Extension::ByHand), names()))
    };
    let mut row = on_stores(stores, make, async |(locks, names), number| {
        let guard = locks.try_lock(&names[number]).await?;
        ensure!(guard.context("it is held")?.release().await?, "it was lost");
        Ok(())
    })
    .await?;
    row.push(peers::rslock(stores)?);
    Ok(row)
}

async fn score(stores: &Stores) -> Result<Vec<Contender>> {
    let make = async |store: Store| {
        let board = Leaderboard::new(&store, "bench", "scores", Best::Highest, Ttl::forever());
        Ok((board, names()))
    };
    on_stores(stores, make, async |(board, names), number| {
        board.add(&names[number], 1).await?;
        Ok(())
    })
    .await
}
