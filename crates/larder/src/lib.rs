//! Everything teams reach for Redis for, from one store that starts inside the process.
//!
//! A store is opened with a URL. `memory:` is an engine inside the process; `redis://...` is a
//! Redis or Valkey server. Everything else in a program stays as it is:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = larder::open("memory:")?;
//! let visits: i64 = store.run(larder::Command::new("INCR").arg("visits")).await?;
//! assert_eq!(visits, 1);
//! # Ok(()) }
//! ```
//!
//! Upon a store stand the services. Each is made from a store and a namespace, is cheap to clone,
//! and does what it does in one round trip where that can be:
//!
//! | module | what for |
//! |---|---|
//! | [`cache`] | values that can be had again: [`get_or_set`](cache::Cache::get_or_set), tags |
//! | [`session`] | who is logged in, with idle and absolute expiry |
//! | [`rate_limit`] | how often somebody may do something; [`http`] has the layer for tower |
//! | [`pubsub`] | typed messages to whoever listens now |
//! | [`stream`] | typed messages that stay, and workers that share them |
//! | [`lock`] | one at a time, across processes, with fencing tokens |
//! | [`leaderboard`] | scores and ranks |
//!
//! What none of them does, any Redis command does: [`Store::run`], and [`Script`] for Lua. Code
//! written for the `redis` crate finds a connection of it in [`Embedded::connection`].
//!
//! # When a store gives no answer
//!
//! [`Error`] tells what the caller can do next: the store refused and nothing was changed
//! ([`Error::Refused`]), the command never left the process ([`Error::Away`]), or nobody knows
//! ([`Error::Unanswered`]). A store on a server connects again by itself; no command is sent twice
//! unless that is safe. [`health()`] asks a store how it is.
//!
//! # In tests
//!
//! A memory store can have a clock that stands still until a test moves it, so that nothing has to
//! sleep until a time to live is over:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use larder::{Clock, Embedded, EmbeddedConfig, Store, Ttl, cache::Cache};
//!
//! let mut config = EmbeddedConfig::default();
//! config.clock = Clock::Manual(Clock::manual());
//! let embedded = Embedded::open(config)?;
//!
//! let prices = Cache::new(&Store::new(embedded.clone()), "prices", Ttl::hours(1));
//! prices.set("book.42", &1999).await?;
//! embedded.pass(Duration::from_secs(3600));
//! assert_eq!(prices.get("book.42").await?, None);
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod health;
mod open;

pub use health::{Health, Role, health};
pub use larder_embedded::{
    Clock, Config as EmbeddedConfig, Embedded, EmbeddedConnection, EvictionPolicy, ManualClock,
    MaxMemory,
};
pub use larder_http as http;
pub use larder_remote::{
    Config as RemoteConfig, OpenError as RemoteOpenError, Remote, Tls, without_password,
};
pub use larder_store::{
    Answer, Away, Backend, BoxError, ByName, Cause, Channels, Command, Direct, Error, Event,
    FromValue, Key, Keys, Kind, Listen, Message, Refusal, Script, ScriptCall, Store, Subscription,
    ToArgument, Value,
};
pub use larder_toolkit::{
    Ttl, cache, codec, leaderboard, lock, pubsub, rate_limit, session, stream,
};
pub use open::{OpenError, open, open_env, open_with};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
