//! Streams of values, and workers that handle each of them.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::stream::{Failure, Job, Start, Stream, Trim};
//!
//! let orders = Stream::<String>::new(&store, "shop", "orders", Trim::Handled);
//! orders.add(&"a book".to_owned()).await?;
//!
//! let group = orders.group("shipping", Start::Earliest);
//! let worker = group
//!     .worker()
//!     .start(|job: Job<String>| async move {
//!         println!("sending {}, delivery {}", job.body, job.deliveries);
//!         Ok::<(), Failure>(())
//!     })
//!     .await?;
//!
//! while worker.metrics().processed == 0 {
//!     tokio::task::yield_now().await;
//! }
//! let metrics = worker.shutdown().await;
//! assert_eq!(metrics.processed, 1);
//! # Ok(()) });
//! ```
//!
//! - [`Stream`] adds values and reads them by a [`Cursor`], which is the reader's own.
//! - [`Group`] shares the entries among workers: each is delivered to one, and is *pending* until
//!   it is finished.
//! - [`Worker`] takes entries of a group, hands them to a function, and finishes them.
//!
//! A stream has these keys, in one hash slot:
//!
//! ```text
//! {ns:stream:NAME}                 the stream; an entry has one field, `body`
//! {ns:stream:NAME}:retries:GROUP   sorted set: entries that wait for a retry, by when it is due
//! {ns:stream:NAME}:dead:GROUP      stream: what the group has given up
//! ```
//!
//! # At least once
//!
//! An entry is delivered until a handler has finished it, so it may be handled more than once: when
//! a worker crashes, is paused for longer than [`Builder::idle`], or can't reach the store. What a
//! handler does should be harmless when it is done again; [`Job::id`] tells it what it has done.
//!
//! What keeps entries from being lost or handled by two at once:
//!
//! - a worker shows several times in each `idle` that it is alive and at work; entries without that
//!   sign are taken over by other workers;
//! - a worker whose entry was taken over is told by [`Job::cancel`], and the end that it reports is
//!   refused: an entry is finished only by the worker and the delivery that have it;
//! - an entry whose handler failed waits for its retry in the store, where the worker's crash does
//!   not lose it;
//! - an entry that was delivered too often is a dead letter, also if every worker that had it
//!   crashed;
//! - an entry that was deleted while it was pending is finished;
//! - a group that has disappeared (`FLUSHALL`, a failover) is made anew, behind the last entry that
//!   the worker knows.
//!
//! A stream keeps no more than its [`Trim`] says, and the store must not evict it: use the policy
//! `noeviction`, or one of the `volatile` ones.
//!
//! Sources: Redis documentation, "Redis Streams" (consumer groups, recovering from failures).

mod cursor;
mod dead;
mod entry;
mod group;
mod id;
mod log;
mod worker;

#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use dead::DeadLetter;
pub use entry::Entry;
pub use group::{Group, Info, Pending, Summary};
pub use id::{Id, ParseIdError};
pub use log::{Error, Start, Stream, Trim};
pub use worker::{Backoff, Builder, Failure, Job, Metrics, Worker};
