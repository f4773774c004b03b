//! The engine beside plain maps: what runs in a row.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use dashmap::DashMap;
use larder_embedded::{Config, Embedded};
use larder_store::{Command, Keys, Script, Store, Value};
use moka::sync::Cache;

use crate::keys::{self, Key, VALUE};

/// An operation and those who do it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) contenders: Vec<(&'static str, Build)>,
}

/// Makes a contender, filled.
pub(crate) type Build = fn() -> Result<Contender>;

/// Does the row's operation on each key, one after the other.
pub(crate) type Contender = Box<dyn for<'a> Fn(&'a [Key]) -> Run<'a> + Send + Sync>;

/// Work on many keys.
pub(crate) type Run<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A contender that does this with that.
pub(crate) fn contender<T, F>(with: T, run: F) -> Result<Contender>
where
    T: Send + Sync + 'static,
    F: AsyncFn(&T, &[Key]) -> Result<()> + Copy + Send + Sync + 'static,
{
    let with = Arc::new(with);
    Ok(Box::new(move |keys| {
        let with = Arc::clone(&with);
        Box::pin(async move { run(&with, keys).await })
    }))
}

/// The operations of the engine.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "get",
            contenders: vec![
                ("larder", get),
                ("larder by name", get_by_name),
                ("dashmap", map_get),
                ("moka", moka_get),
            ],
        },
        Row {
            name: "set",
            contenders: vec![
                ("larder", set),
                ("larder by name", set_by_name),
                ("dashmap", map_set),
                ("moka", moka_set),
            ],
        },
        Row {
            name: "incr",
            contenders: vec![
                ("larder", incr),
                ("larder by name", incr_by_name),
                ("dashmap", map_incr),
            ],
        },
        row("hset", hset),
        row("zadd", zadd),
        row("script", script),
    ]
}

/// A row in which nobody else can take part.
pub(crate) fn row(name: &'static str, build: Build) -> Row {
    Row {
        name,
        contenders: vec![("larder", build)],
    }
}

/// An empty store in the process.
pub(crate) fn store() -> Result<Store> {
    Ok(Store::new(Embedded::open(Config::default())?))
}

/// A store with this done to each key.
fn store_after(command: impl Fn(&Key) -> Command) -> Result<Store> {
    let store = store()?;
    block_on(async {
        for key in keys::all() {
            store.call(command(key)).await?;
        }
        Ok(store)
    })
}

/// Does what has to be done before measuring.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn filled_store() -> Result<Store> {
    store_after(|key| Command::new("SET").arg(key).arg(VALUE))
}

fn get() -> Result<Contender> {
    contender(filled_store()?, async |store, keys| {
        for key in keys {
            let value = store.get(key).await?;
            ensure!(black_box(value).is_some(), "a key is missing");
        }
        Ok(())
    })
}

fn get_by_name() -> Result<Contender> {
    contender(filled_store()?, async |store, keys| {
        for key in keys {
            let value = store.call(Command::new("GET").arg(key)).await?;
            ensure!(
                matches!(black_box(value), Value::Bytes(_)),
                "a key is missing"
            );
        }
        Ok(())
    })
}

fn set() -> Result<Contender> {
    contender(filled_store()?, async |store, keys| {
        for key in keys {
            store.set(key, VALUE).await?;
        }
        Ok(())
    })
}

fn set_by_name() -> Result<Contender> {
    contender(filled_store()?, async |store, keys| {
        for key in keys {
            store.call(Command::new("SET").arg(key).arg(VALUE)).await?;
        }
        Ok(())
    })
}

fn incr() -> Result<Contender> {
    contender(store()?, async |store, keys| {
        for key in keys {
            black_box(store.incr(key).await?);
        }
        Ok(())
    })
}

fn incr_by_name() -> Result<Contender> {
    contender(store()?, async |store, keys| {
        for key in keys {
            black_box(store.call(Command::new("INCR").arg(key)).await?);
        }
        Ok(())
    })
}

/// A hash with a million fields.
fn hset() -> Result<Contender> {
    let set = |key: &Key| Command::new("HSET").arg("hash").arg(key).arg(VALUE);
    contender(store_after(set)?, async move |store, keys| {
        for key in keys {
            store.call(set(key)).await?;
        }
        Ok(())
    })
}

/// A sorted set with a million members, each of which goes from one end of it to the other.
fn zadd() -> Result<Contender> {
    let add = |score: usize, key: &Key| Command::new("ZADD").arg("board").arg(score).arg(key);
    contender(store_after(|key| add(0, key))?, async move |store, keys| {
        for (at, key) in keys.iter().enumerate() {
            let score = at * 617_327 % keys::COUNT;
            store.call(add(score, key)).await?;
        }
        Ok(())
    })
}

/// A script that reads one key.
fn script() -> Result<Contender> {
    static READ: Script = Script::new("return redis.call('GET', KEYS[1])");
    let names = Keys::new("bench", "script");
    let name = move |key: &Key| names.of(&String::from_utf8_lossy(key));
    let store = store_after(|key| Command::new("SET").arg(name(key)).arg(VALUE))?;
    contender((store, name), async |(store, name), keys| {
        for key in keys {
            let value: Option<Bytes> = READ.on(store).key(name(key)).run().await?;
            ensure!(black_box(value).is_some(), "a key is missing");
        }
        Ok(())
    })
}

fn filled_map() -> DashMap<Key, Vec<u8>> {
    keys::all()
        .iter()
        .map(|key| (*key, VALUE.to_vec()))
        .collect()
}

pub(crate) fn map_get() -> Result<Contender> {
    contender(filled_map(), async |map, keys| {
        for key in keys {
            let value = map.get(key).map(|value| value.clone());
            ensure!(black_box(value).is_some(), "a key is missing");
        }
        Ok(())
    })
}

fn map_set() -> Result<Contender> {
    contender(filled_map(), async |map, keys| {
        for key in keys {
            black_box(map.insert(*key, VALUE.to_vec()));
        }
        Ok(())
    })
}

fn map_incr() -> Result<Contender> {
    contender(DashMap::<Key, i64>::new(), async |map, keys| {
        for key in keys {
            let sum = map.entry(*key).and_modify(|sum| *sum += 1).or_insert(1);
            black_box(*sum);
        }
        Ok(())
    })
}

fn filled_moka() -> Cache<Key, Vec<u8>> {
    let cache = Cache::new(2 * keys::COUNT as u64);
    for key in keys::all() {
        cache.insert(*key, VALUE.to_vec());
    }
    cache.run_pending_tasks();
    cache
}

pub(crate) fn moka_get() -> Result<Contender> {
    contender(filled_moka(), async |cache, keys| {
        for key in keys {
            ensure!(black_box(cache.get(key)).is_some(), "a key is missing");
        }
        Ok(())
    })
}

fn moka_set() -> Result<Contender> {
    contender(filled_moka(), async |cache, keys| {
        for key in keys {
            cache.insert(*key, VALUE.to_vec());
        }
        Ok(())
    })
}
