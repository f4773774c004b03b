//! Jobs: added all at once, and handled by one worker until none is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use apalis::prelude::*;
use apalis_redis::RedisStorage;
use larder_embedded::{Config, Embedded};
use larder_store::{Command, Store};
use larder_toolkit::stream::{Job, Start, Stream, Trim};
use redis::AsyncCommands;
use redis::streams::StreamMaxlen;
use tokio::sync::Notify;

use crate::measure::{Contender, contender};
use crate::raw::{cmd, load_scripts, recorder};
use crate::rows::VALUE;
use crate::stores::Stores;

/// How many handlers a worker has, which is how many jobs it reads and settles at once.
const HANDLERS: usize = 8;

/// The round trips of a job: one to add it, and its share of a read and of a settlement.
const TRIPS: f64 = 1.0 + 2.0 / HANDLERS as f64;

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
        larder("larder server", &stores.remote).trips(TRIPS),
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
                .concurrency(HANDLERS)
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

/// The same commands in as many round trips: each entry is added alone, as many are read at once as a worker
/// has handlers, and their ends are settled by the worker's script, fencing and all.
async fn raw(stores: &Stores) -> Result<Contender> {
    let mut connection = stores.connection_to(1).await?;
    let memory = Store::new(Embedded::open(Config::default())?);
    let (store, trips) = recorder(memory);
    (larder("", &store).run)(HANDLERS).await?;
    let trips = trips.take();
    load_scripts(&trips, &mut connection).await?;
    let commands: Vec<&Command> = trips.iter().flat_map(|trip| &trip.commands).collect();
    let named = |name: &str| {
        let mut commands = commands.iter();
        commands.find(|command| command.name() == name.as_bytes())
    };
    let add = cmd(named("XADD").context("jobs are added")?);
    let read = cmd(named("XREADGROUP").context("jobs are read")?);
    let settles = |command: &&&Command| {
        command.name() == b"EVALSHA" && command.arguments().iter().any(|word| word == b"done")
    };
    let settle = commands
        .iter()
        .rev()
        .find(settles)
        .context("jobs are settled")?;
    // What stands before the first entry, of which there are five words: the third is how it ended.
    let words: Vec<Vec<u8>> = settle.arguments().iter().map(<[u8]>::to_vec).collect();
    let first = words
        .iter()
        .position(|word| word == b"done")
        .context("it is among them")?
        - 2;
    let words = Arc::new(words[..first].to_vec());

    let key = read_key(named("XADD").context("jobs are added")?)?;
    let made: redis::RedisResult<()> = connection
        .xgroup_create_mkstream(&key, "workers", "0")
        .await;
    made?;
    let (add, read) = (Arc::new(add), Arc::new(read));
    Ok(contender("raw server", move |operations| {
        let (mut connection, key) = (connection.clone(), key.clone());
        let (add, read, words) = (Arc::clone(&add), Arc::clone(&read), Arc::clone(&words));
        async move {
            for _ in 0..operations {
                let _: String = add.query_async(&mut connection).await?;
            }
            let mut settled = 0;
            while settled < operations {
                let found: redis::streams::StreamReadReply =
                    read.query_async(&mut connection).await?;
                let entries = found.keys.first().context("there are more")?;
                let mut settle = redis::cmd("EVALSHA");
                settle.arg(&words[1..]);
                for entry in &entries.ids {
                    settle.arg(&entry.id).arg(1).arg("done").arg(0).arg("");
                }
                let ended: Vec<u32> = settle.query_async(&mut connection).await?;
                ensure!(ended.iter().all(|code| *code == 1), "a job was another's");
                settled += entries.ids.len();
            }
            // As a worker does when it begins.
            let _: u64 = connection.xtrim(&key, StreamMaxlen::Equals(0)).await?;
            Ok(())
        }
    })
    .trips(TRIPS))
}

fn read_key(add: &Command) -> Result<String> {
    let key = add.arguments().get(1).context("XADD has a key")?;
    Ok(String::from_utf8(key.to_vec())?)
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
