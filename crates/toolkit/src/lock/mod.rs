//! Locks by name, held by one process at a time.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use std::time::Duration;
//! use larder_toolkit::lock::Locks;
//!
//! let locks = Locks::new(&store, "shop").ttl(Duration::from_secs(10));
//! let guard = locks.lock("stock.42", Duration::from_secs(2)).await?;
//!
//! let sold = guard.run(async { "one less in stock" }).await;
//! assert_eq!(sold, Ok("one less in stock"));
//! assert!(guard.release().await?);
//! # Ok(()) });
//! ```
//!
//! A lock has three keys, in one hash slot:
//!
//! ```text
//! {ns:lock:NAME}          hash: owner (a random number for each request), token; with a TTL
//! {ns:lock:NAME}:fence    the last fencing token, remembered for a day after the end of the lock
//!                         (and which requests were given up, so that none of them takes it late)
//! {ns:lock:NAME}:free     a channel: the lock was released
//! ```
//!
//! # What a lock promises, and what it does not
//!
//! The store gives a lock to one request at a time, and takes it back when its time to live is
//! over: a holder that crashed blocks nobody for longer than that. So a holder can lose the lock
//! while it works, if its process is paused or the store can't be reached for as long. Then:
//!
//! - the holder is told: [`Guard::lost`] is ready and [`Guard::run`] drops the work. Both go by the
//!   monotonic clock of this process, counted from before the request was sent, so they come before
//!   the store gives the lock to somebody else;
//! - a holder that is paused can't be told. Whatever the lock protects should therefore refuse a
//!   [`Guard::token`] smaller than the largest that it has seen. Tokens grow with each grant, also
//!   over a failover that lost the last one, as long as the servers' clocks agree to within the
//!   time that a failover takes.
//!
//! A server that fails over to a replica may forget a grant, and grant the lock again: the tokens
//! of the two grants differ. So may a server that is full and evicts keys with a time to live
//! (`volatile-*`) or any (`allkeys-*`): locks belong on one with the policy `noeviction`. A clock of
//! the server that steps forwards ends locks early, and one that steps back late; the holder learns
//! of the first when it next extends the lock.
//!
//! The waiters of one process stand in a queue for each lock, and its head is woken by the release;
//! the heads of different processes compete.
//!
//! Sources: M. Kleppmann, "How to do distributed locking" (fencing tokens); Redis documentation,
//! "Distributed Locks with Redis" (the drift that is taken off the local deadline).

mod locks;

mod attempt;
mod guard;
mod queue;
mod releaser;

mod calls;
mod lease;
mod twins;

#[cfg(test)]
mod tests;

pub use guard::{Extension, Guard};
pub use lease::Lost;
pub use locks::{Holder, Locks};
