//! Jobs of `apalis-redis`, a crate that knows nothing of us, on stores of every kind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error;
use std::sync::Arc;

use apalis_core::backend::TaskSink;
use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_redis::{Config, RedisStorage};
use larder_redis::StoreConnection;
use larder_testkit::every_store;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The queue's name. Each of its keys has this in it, and a script of `apalis-redis` that names one of
/// them touches this one as well, which on a cluster has to be where they are.
const QUEUE: &str = "{core:apalis:queues:list}:orders";

const JOBS: u32 = 20;

every_store! {
    async fn jobs_of_apalis_are_each_done_once(test: TestStore) {
        let mut storage = RedisStorage::<u32, _>::new(StoreConnection::new(&test.store))
            .with_config(Config::default().queue(QUEUE));
        for job in 0..JOBS {
            storage.push(job).await?;
        }
        let (done, mut told) = unbounded_channel::<u32>();
        let worker = WorkerBuilder::new("ann")
            .backend(storage)
            .data(Arc::new(done))
            .build(async |job: u32, done: Data<Arc<UnboundedSender<u32>>>| {
                done.send(job).map_err(Box::<dyn Error + Send + Sync>::from)
            });
        let working = tokio::spawn(worker.run());

        let mut jobs = Vec::new();
        while jobs.len() < JOBS as usize {
            jobs.push(told.recv().await.expect("the worker works"));
        }
        working.abort();
        jobs.sort_unstable();
        assert_eq!(jobs, (0..JOBS).collect::<Vec<_>>());
    }
}
