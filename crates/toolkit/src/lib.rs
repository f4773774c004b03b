//! Caching, sessions, rate limits, messages, streams, locks and leaderboards on any store.
//!
//! Each is a feature of its own, of its module's name.

#![forbid(unsafe_code)]

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "codec")]
pub mod codec;
#[cfg(feature = "leaderboard")]
pub mod leaderboard;
#[cfg(feature = "lock")]
pub mod lock;
#[cfg(feature = "pubsub")]
pub mod pubsub;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "session")]
pub mod session;
#[cfg(feature = "stream")]
pub mod stream;

#[cfg(any(feature = "cache", feature = "lock"))]
mod join;
mod namespace;
#[cfg(any(
    feature = "cache",
    feature = "session",
    feature = "stream",
    feature = "lock"
))]
mod random;
mod text;
mod ttl;
#[cfg_attr(
    not(all(feature = "cache", feature = "lock")),
    allow(dead_code, reason = "each service has need of a part of it")
)]
mod twin;

pub use namespace::{Namespace, StoreExt};
pub use ttl::Ttl;
