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

#![forbid(unsafe_code)]

mod open;

mod health;

pub use health::{Health, Role, health};
pub use larder_embedded::Embedded;
pub use larder_remote::{Config as RemoteConfig, Tls};
pub use larder_store::{
    Backend, Channels, Command, Error, Event, FromValue, Key, Keys, Message, Refusal, Script,
    Store, Subscription, Value,
};
pub use larder_toolkit::{
    InvalidTtl, Ttl, cache, codec, leaderboard, lock, pubsub, rate_limit, session, stream,
};
pub use open::{OpenError, open, open_env, open_with};

pub use larder_http as http;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
