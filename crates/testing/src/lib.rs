//! A store that misbehaves by a plan and a seed, for tests of what stands on it.
//!
//! Code that uses a store works on the day on which it is written. It fails on the day on which an
//! answer is lost, a lock expires in the middle, a clock is set back or a caller goes away, and no test
//! has seen that day. Here are such days, as many as wanted, and each of them again:
//!
//! - [`Faulty`] is a store over any other, or a memory store of its own, that loses requests and
//!   answers, is slow, is late, refuses, goes away, comes back empty, fails over to a copy that has not
//!   seen the last writes, evicts, expires and has its clock set; spread over parts, as a cluster is, it
//!   misses one of them or moves a slot;
//! - a [`Plan`] says what goes wrong and when: "the answer to the second `INCR`", "the store is away
//!   from the fifth to the ninth call", "one write in twenty is refused", or anything by chance;
//! - [`Simulation`] runs a test for thousands of seeds in seconds, on a paused clock, and prints those
//!   that fail so that they can be run again;
//! - [`dropped_at`] and [`at_every_await`] drop what a caller was doing wherever it waits;
//! - a [`History`] has what was asked and answered, by whom and when, so that laws can be checked.
//!
//! # What if my lock expires now?
//!
//! ```
//! # larder_testing::simulate(async |world| {
//! use std::time::Duration;
//! use larder_testing::Fault;
//! use larder_toolkit::lock::{Locks, Lost};
//!
//! let locks = Locks::new(&world.store("shop"), "shop").ttl(Duration::from_secs(30));
//! let guard = locks.try_lock("stock").await?.expect("it is free");
//!
//! world.happen(Fault::Expire("{shop:lock:stock}".into())).await?;
//! let other = locks.try_lock("stock").await?.expect("it is free again");
//!
//! assert!(other.token() > guard.token()); // whoever writes to the stock can tell them apart
//! assert_eq!(guard.lost().await, Lost::Taken); // and the first one learns of it in time
//! # Ok(()) });
//! ```
//!
//! # What if the answer to this increment is lost?
//!
//! ```
//! # larder_testing::simulate(async |world| {
//! use larder_testing::{Calls, Fault, Plan};
//!
//! let store = world.store("shop");
//! world.faulty().follow(Plan::new().with(Calls::named("INCR").nth(1), Fault::LoseAnswer));
//!
//! let error = store.incr("sold").await.expect_err("nobody answers");
//! assert!(error.is_in_doubt()); // it may have happened: to ask again may count twice
//! assert_eq!(store.get("sold").await?.as_deref(), Some(&b"1"[..]));
//! # Ok(()) });
//! ```
//!
//! # What if the cache is away?
//!
//! ```
//! # larder_testing::simulate(async |world| {
//! use larder_toolkit::{Ttl, cache::Cache};
//!
//! let prices = Cache::new(&world.store("shop"), "prices", Ttl::hours(1));
//! world.faulty().go_away();
//!
//! let price: u32 = prices.get_or_set("book", || async { Ok(1999) }).await?;
//! assert_eq!(price, 1999); // it was loaded
//!
//! world.faulty().come_back();
//! assert_eq!(prices.get("book").await?, None); // and could not be kept
//! # Ok(()) });
//! ```
//!
//! # What if a master of the cluster is away, or a slot moves?
//!
//! ```
//! use larder_testing::{Fault, Simulation};
//!
//! Simulation::new().seeds(20).parts(3).faults(Fault::parts()).run(async |world| {
//!     let store = world.store("shop");
//!     let answered = store.incr("{cart.7}:items").await.is_ok();
//!
//!     world.calm().await; // all parts are back, and all slots have arrived
//!     let counted = store.get("{cart.7}:items").await?.is_some();
//!     assert!(counted || !answered);
//!     Ok(())
//! });
//! ```
//!
//! # What follows from a seed, and what does not
//!
//! On a memory store and a paused clock everything that a run does follows from its seed: what goes
//! wrong, how long each request takes, in which order tasks go on, what the store draws by chance.
//! What the tested code draws from elsewhere does not; it does no harm where it names things, and it
//! does where it decides how long to wait: `larder_store::jitter` follows the seed. `tokio::select!`
//! without `biased` is such a place, and `tokio::sync::watch`, which wakes those who wait in any order.
//! What a process has once, a `static`, belongs to all tests that run in it at the same time: a runner
//! that gives each test a process of its own, as `cargo nextest` does, keeps them apart.
//!
//! Requests of different tasks overtake each other, as on connections of their own. Those of one task
//! never do. A request that has left arrives although its caller was dropped, except for one that waits
//! in the store, such as `BLPOP`: to leave ends the wait.

#![forbid(unsafe_code)]

mod faulty;
mod simulation;

mod calls;
mod fault;
mod plan;
mod refuse;

mod call;
mod client;
mod happen;
mod line;
mod listen;
mod log;
mod memory;
mod near;
mod parts;
mod scripts;
mod shared;
mod site;

mod asking;
mod chance;
mod drops;
mod history;
mod pause;
mod rows;

pub use asking::Asking;
pub use calls::Calls;
pub use chance::Chance;
pub use drops::{at_every_await, dropped_at};
pub use fault::{Data, Fault};
pub use faulty::Faulty;
pub use history::{Asked, Entry, History, Moment};
pub use plan::Plan;
pub use refuse::Refuse;
pub use simulation::{Simulation, World, simulate};
