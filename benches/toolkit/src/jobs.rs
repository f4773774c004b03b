//! Jobs: added all at once, and handled by one worker until none is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use apalis::prelude::*;
use apalis_redis::RedisStorage;
use larder_store::Store;
use larder_toolkit::stream::{Job, Start, Stream, Trim};
use redis::AsyncCommands;
use tokio::sync::Notify;

use crate::measure::{Contender, contender};
use crate::rows::VALUE;
use crate::stores::Stores;

/// Counts what was handled, and tells when it was enough.
#[derive(Default)]
struct Handled {
    count: AtomicUsize,
    more: Notify,
}

impl Handled {
    fn one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.more.notify_one();
    }

    async fn until(&self, count: usize) {
        while self.count.load(Ordering::Relaxed) < count {
            self.more.notified().await;
        }
    }
}

pub(crate) async fn contenders(stores: &Stores) -> Result<Vec<Contender>> {
    Ok(vec![
        larder("larder memory", &stores.memory),
        larder("larder server", &stores.remote),
        raw(stores).await?,
        apalis(stores).await?,
    ])
}

fn larder(who: &'static str, store: &Store) -> Contender {
    let store = store.clone();
    contender(who, move |operations| {
        let jobs = Stream::<String>::new(&store, "bench", "jobs", Trim::Handled);
        async move {
            let handled = Arc::new(Handled::default());
            for _ in 0..operations {
                jobs.add(&VALUE.to_owned()).await?;
            }
            let counted = Arc::clone(&handled);
            let worker = jobs
                .group("workers", Start::Earliest)
                .worker()
                .start(move |_: Job<String>| {
                    counted.one();
                    async { Ok(()) }
                })
                .await?;
            handled.until(operations).await;
            worker.shutdown().await;
            Ok(())
        }
    })
}

/// The fewest commands that do it: each entry is added alone, they are read by the hundred, and
/// acknowledged and deleted together.
async fn raw(stores: &Stores) -> Result<Contender> {
    let mut connection = stores.connection().await?;
    let made: redis::RedisResult<()> = connection
        .xgroup_create_mkstream("raw", "workers", "0")
        .await;
    made?;
    Ok(contender("raw server", move |operations| {
        let mut connection = connection.clone();
        async move {
            for _ in 0..operations {
                let _: String = connection.xadd("raw", "*", &[("body", VALUE)]).await?;
            }
            loop {
                let read: redis::Value = redis::cmd("XREADGROUP")
                    .arg(&[
                        "GROUP", "workers", "one", "COUNT", "100", "STREAMS", "raw", ">",
                    ])
                    .query_async(&mut connection)
                    .await?;
                let read = redis::from_redis_value::<redis::streams::StreamReadReply>(read)?;
                let Some(entries) = read.keys.first() else {
                    return Ok(());
                };
                let ids: Vec<&str> = entries.ids.iter().map(|entry| &*entry.id).collect();
                let mut done = redis::pipe();
                done.xack("raw", "workers", &ids).xdel("raw", &ids);
                let _: (u64, u64) = done.query_async(&mut connection).await?;
            }
        }
    }))
}

async fn apalis(stores: &Stores) -> Result<Contender> {
    let connection = apalis_redis::connect(stores.url.as_str()).await?;
    // A worker that was not ended in its own time keeps its name for a while.
    let workers = AtomicUsize::new(0);
    Ok(contender("apalis-redis server", move |operations| {
        let name = format!("bench-{}", workers.fetch_add(1, Ordering::Relaxed));
        let mut storage = RedisStorage::<String>::new(connection.clone());
        async move {
            let handled = Arc::new(Handled::default());
            for _ in 0..operations {
                storage.push(VALUE.to_owned()).await?;
            }
            let worker = WorkerBuilder::new(name)
                .backend(storage)
                .data(Arc::clone(&handled))
                .build(async |_: String, handled: Data<Arc<Handled>>| handled.one());
            tokio::select! {
                () = handled.until(operations) => Ok(()),
                ended = worker.run() => Ok(ended?),
            }
        }
    }))
}
