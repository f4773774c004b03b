//! Caching, sessions, rate limits, messages, streams, locks and leaderboards on any store.

pub mod codec;
pub mod leaderboard;
pub mod lock;
pub mod pubsub;
pub mod session;
pub mod stream;
