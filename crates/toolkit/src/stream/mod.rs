//! Streams of values, and workers that handle each of them.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::stream::{Job, Start, Stream, Trim};
//!
//! let orders = Stream::<String>::new(&store, "shop", "orders", Trim::Handled);
//! orders.add(&"a book".to_owned()).await?;
//!
//! let group = orders.group("shipping", Start::Earliest);
//! let worker = group
//!     .worker()
//!     .start(async |job: Job<String>| {
//!         println!("sending {}, delivery {}", job.body, job.deliveries);
//!         Ok(())
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
//! - [`Stream::add_in`], [`Stream::add_at`] and [`Stream::schedule`] keep values that are added
//!   later, once or at each tick of a [`Cron`]; workers of the stream do it.
//!
//! A stream has these keys, in one hash slot. Times in them are by one clock, which goes with the
//! store's, but never back:
//!
//! ```text
//! {ns:stream:NAME}                    the stream; an entry has one field, `body`
//! {ns:stream:NAME}:clock              hash: that clock
//! {ns:stream:NAME}:unique             hash: names under which entries were added, and their ids
//! {ns:stream:NAME}:delayed            sorted set: what is to be added later, by when it is due
//! {ns:stream:NAME}:delayed:bodies     hash: the bodies of it
//! {ns:stream:NAME}:schedules          sorted set: schedules, by their next tick, by the store's clock
//! {ns:stream:NAME}:schedules:crons    hash: their times
//! {ns:stream:NAME}:schedules:bodies   hash: their bodies
//! {ns:stream:NAME}:retries:GROUP      sorted set: entries that wait for a retry, by when it is due
//! {ns:stream:NAME}:dead:GROUP         stream: what the group has given up
//! {ns:stream:NAME}:alive:GROUP        sorted set: consumers, by their last sign of life
//! {ns:stream:NAME}:position:GROUP     where the group last was
//! ```
//!
//! Groups and consumers whose names begin with `larder:` are its own: the group `larder:marks` has a
//! consumer for each group that was made, which tells a group that has gone from a stream that has
//! gone, and the consumer `larder:parked` holds the entries that wait for a retry.
//!
//! # At least once
//!
//! An entry is delivered until a handler has finished it, so it may be handled more than once: when
//! a worker crashes, is paused for longer than [`Builder::idle`], or can't reach the store. What a
//! handler does should be harmless when it is done again; [`Job::id`] tells it what it has done.
//!
//! What keeps entries from being lost or handled by two at once:
//!
//! - a worker shows several times in each `idle` that it is alive; what one without that sign has in
//!   hand is taken over by other workers;
//! - a worker whose entry was taken over is told by [`Job::cancel`], and the end that it reports is
//!   refused: an entry is finished only by the worker and the delivery that have it;
//! - in one process an entry is handled by one at a time: a delivery that comes back waits until the
//!   handler of the earlier one has ended, or is dropped;
//! - an entry whose handler failed waits for its retry in the store, where the worker's crash does
//!   not lose it;
//! - an entry that was delivered too often is a dead letter, also if every worker that had it
//!   crashed; deliveries that a shutdown has cut off do not count;
//! - an entry that was deleted while it was pending is finished;
//! - a group that has disappeared is made anew where it last was, and if its stream has gone with it
//!   (`FLUSHALL`, a failover), at the beginning of the new stream.
//!
//! A stream keeps no more than its [`Trim`] says, and the store must not evict it: use the policy
//! `noeviction`. The `volatile` ones spare streams, and not the locks and sessions beside them.
//!
//! Sources: Redis documentation, "Redis Streams" (consumer groups, recovering from failures).

mod cron;
mod cursor;
mod dead;
mod entry;
mod group;
mod id;
mod keys;
mod log;
mod schedule;
mod trim;
mod twins;
mod worker;

#[cfg(test)]
mod tests;

pub use cron::Cron;
pub use cursor::Cursor;
pub use dead::DeadLetter;
pub use entry::Entry;
pub use group::{Group, Info, Pending, Summary};
pub use id::Id;
pub use log::{Added, Stream};
pub use schedule::{Delayed, Schedule};
pub use trim::{Start, Trim, Trimmed};
pub use worker::{Backoff, Builder, Failure, Job, Metrics, Worker};

/// A script of this folder, behind what all of them share.
macro_rules! script {
    ($file:literal) => {
        script!(new $file)
    };
    ($kind:ident $file:literal) => {
        Script::$kind(concat!(include_str!("common.lua"), include_str!($file)))
            .named(concat!("stream/", $file))
    };
}
use script;
