//! The crates that people use for it today.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use governor::{Quota, RateLimiter};
use rslock::LockManager;
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::Record;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::*;

use crate::measure::Contender;
use crate::rows::{NAMES, VALUE, names, repeated};
use crate::stores::Stores;

type Moka = (moka::future::Cache<String, String>, Arc<Vec<String>>);

async fn moka() -> Moka {
    let (cache, names) = (moka::future::Cache::new(100_000), names());
    for name in &*names {
        cache.insert(name.clone(), VALUE.to_owned()).await;
    }
    (cache, names)
}

pub(crate) async fn moka_get() -> Contender {
    repeated(
        "moka",
        moka().await,
        async |(cache, names): &Moka, number| {
            ensure!(
                cache.get(&names[number]).await.is_some(),
                "an entry is missing"
            );
            Ok(())
        },
    )
}

pub(crate) async fn moka_get_with() -> Contender {
    repeated(
        "moka",
        moka().await,
        async |(cache, names): &Moka, number| {
            cache
                .get_with_by_ref(&names[number], async { VALUE.to_owned() })
                .await;
            Ok(())
        },
    )
}

pub(crate) fn governor_check() -> Contender {
    let quota = Quota::per_second(NonZeroU32::new(100_000).unwrap_or(NonZeroU32::MIN));
    let subject = (RateLimiter::keyed(quota), names());
    repeated("governor", subject, async |(limiter, names), number| {
        ensure!(limiter.check_key(&names[number]).is_ok(), "it is denied");
        Ok(())
    })
}

type TowerSessions = (RedisStore<Pool>, Vec<Record>);

async fn tower_sessions(stores: &Stores) -> Result<TowerSessions> {
    let pool = Pool::new(Config::from_url(&stores.url)?, None, None, None, 1)?;
    // It runs until the process ends.
    drop(pool.connect());
    pool.wait_for_connect().await?;
    let store = RedisStore::new(pool);
    let mut records = Vec::with_capacity(NAMES);
    for name in &*names() {
        let mut record = Record {
            id: Default::default(),
            data: [
                ("user".to_owned(), name.clone().into()),
                ("data".to_owned(), VALUE.into()),
            ]
            .into(),
            expiry_date: OffsetDateTime::now_utc() + Duration::from_secs(3600),
        };
        store.create(&mut record).await?;
        records.push(record);
    }
    Ok((store, records))
}

pub(crate) async fn session_load(stores: &Stores) -> Result<Contender> {
    let subject = tower_sessions(stores).await?;
    let load = async |(store, records): &TowerSessions, number: usize| {
        let record = store.load(&records[number].id).await?;
        record.context("a session is missing")?;
        Ok(())
    };
    Ok(repeated("tower-sessions-redis-store server", subject, load).trips(1.0))
}

pub(crate) async fn session_save(stores: &Stores) -> Result<Contender> {
    let subject = tower_sessions(stores).await?;
    let save = async |(store, records): &TowerSessions, number: usize| {
        Ok(store.save(&records[number]).await?)
    };
    Ok(repeated("tower-sessions-redis-store server", subject, save).trips(1.0))
}

pub(crate) fn rslock(stores: &Stores) -> Result<Contender> {
    let subject = (LockManager::new(vec![stores.url.clone()]), names());
    let lock = async |(locks, names): &(LockManager, Arc<Vec<String>>), number: usize| {
        let name = names[number].as_bytes();
        let lock = locks.lock(name, Duration::from_secs(10)).await;
        let lock = lock.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        locks.unlock(&lock).await;
        Ok(())
    };
    Ok(repeated("rslock server", subject, lock).trips(2.0))
}
