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
//! | [`rate_limit`] | how often somebody may do something; `http` has the layer for tower |
//! | [`pubsub`] | typed messages to whoever listens now |
//! | [`stream`] | typed messages that stay, and workers that share them |
//! | [`lock`] | one at a time, across processes, with fencing tokens |
//! | [`leaderboard`] | scores and ranks |
//!
//! The modules are those of the crate `larder_toolkit`, and their examples say so: a program that depends
//! on this crate alone writes `larder` there, and `larder::http` for `larder_http`.
//!
//! What none of them does, any Redis command does: [`Store::run`], and [`Script`] for Lua. Code
//! written for the `redis` crate finds a connection of it in `StoreConnection`.
//!
//! # Features
//!
//! Kinds of stores and services are features, and nothing is built that is not asked for. By default
//! there are both kinds and all services:
//!
//! | feature | what it brings |
//! |---|---|
//! | `memory` | `memory:`, the engine inside the process |
//! | `lua` | scripts in Lua on `memory:`, which needs a C compiler; the services do without |
//! | `remote` | `redis://` and `redis+unix://` |
//! | `tls` | `rediss://` |
//! | `cache`, `session`, `rate-limit`, `pubsub`, `stream`, `lock`, `leaderboard` | the service of that name |
//!
//! Off by default are `http` (layers for tower), `axum` (the same with the addresses that axum gives, and
//! sessions as arguments of its handlers), `tower-sessions` (a store for the crate of that name),
//! `redis-connection` (a connection of the `redis` crate to any store), `otel` and `metrics` (calls as spans
//! and metrics of OpenTelemetry, and of the crate `metrics`), and `testing` (a store that misbehaves by a
//! plan, for tests). A URL of a kind that was left out is refused with an error that
//! names the feature.
//!
//! ```toml
//! larder = { version = "0.1", default-features = false, features = ["memory", "cache"] }
//! ```
//!
//! # When a store gives no answer
//!
//! [`Error`] tells what the caller can do next: the store refused and nothing was changed
//! ([`Error::Refused`]), the command never left the process ([`Error::Away`]), or nobody knows
//! ([`Error::Unanswered`]). A store on a server connects again by itself; no command is sent twice
//! unless that is safe.
//!
//! # Seeing how it goes
//!
//! [`health()`] asks a store how it is, server by server, for a program's own `/healthz`.
//! [`Store::nodes`] shows the servers and their circuit breakers as they are seen from here,
//! [`Store::connection_events`] tells what happens to the connections, and [`Store::observed`] has
//! somebody told of each call: with the feature `otel` OpenTelemetry, with `metrics` the crate of that
//! name.
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
//! let config = EmbeddedConfig::default().clock(Clock::manual());
//! let embedded = Embedded::open(config)?;
//!
//! let prices = Cache::new(&Store::new(embedded.clone()), "prices", Ttl::hours(1));
//! prices.set("book.42", &1999).await?;
//! embedded.pass(Duration::from_secs(3600));
//! assert_eq!(prices.get("book.42").await?, None);
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod environment;
mod health;
mod open;

pub use environment::open_env;
pub use health::{
    Health, Link, Memory, NodeHealth, Persistence, ReplicaHealth, Report, health, health_within,
};
#[cfg(feature = "memory")]
pub use larder_embedded::{
    Clock, Config as EmbeddedConfig, Embedded, EvictionPolicy, ManualClock, MaxMemory,
};
#[cfg(feature = "http")]
pub use larder_http as http;
#[cfg(any(feature = "otel", feature = "metrics"))]
pub use larder_observe as observe;
#[cfg(feature = "redis-connection")]
pub use larder_redis::StoreConnection;
#[cfg(feature = "tls")]
pub use larder_remote::Tls;
#[cfg(feature = "remote")]
pub use larder_remote::{
    Config as RemoteConfig, OpenError as RemoteOpenError, Remote, without_password,
};
pub use larder_store::{
    Announcer, Answer, Arguments, Awaited, Away, Backend, BoxError, BreakerState, ByName, Call,
    Capabilities, Capability, Cause, Channels, Command, ConnectionEvent, ConnectionEvents,
    Delivery, Direct, End, Error, Event, Expires, Freshness, FromValue, InStep, Key, Keys, Kind,
    Listen, Message, Native, Near, NearStats, NodeStatus, Observer, Outcome, Part, Refusal, Role,
    Scan, Script, ScriptCall, Step, Store, Subscription, ToArgument, Trail, Twin, TwinCall, Value,
    Words,
};
#[cfg(feature = "testing")]
pub use larder_testing as testing;
#[cfg(feature = "cache")]
pub use larder_toolkit::cache;
#[cfg(any(
    feature = "cache",
    feature = "session",
    feature = "pubsub",
    feature = "stream"
))]
pub use larder_toolkit::codec;
#[cfg(feature = "leaderboard")]
pub use larder_toolkit::leaderboard;
#[cfg(feature = "lock")]
pub use larder_toolkit::lock;
#[cfg(feature = "pubsub")]
pub use larder_toolkit::pubsub;
#[cfg(feature = "rate-limit")]
pub use larder_toolkit::rate_limit;
#[cfg(feature = "session")]
pub use larder_toolkit::session;
#[cfg(feature = "stream")]
pub use larder_toolkit::stream;
pub use larder_toolkit::{Namespace, StoreExt, Ttl};
#[cfg(feature = "remote")]
pub use open::open_with;
pub use open::{OpenError, open};

/// The examples of the README.
#[cfg(all(doctest, feature = "axum", feature = "redis-connection"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
