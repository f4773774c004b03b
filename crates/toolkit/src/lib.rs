//! Caching, sessions, rate limits, messages, streams, locks and leaderboards on any store.

#![forbid(unsafe_code)]

pub mod cache;
pub mod codec;
pub mod leaderboard;
pub mod lock;
pub mod pubsub;
pub mod rate_limit;
pub mod session;
pub mod stream;

mod ttl;

pub use ttl::Ttl;
