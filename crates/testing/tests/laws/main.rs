//! What each pattern promises, whatever goes wrong.
//!
//! A file a pattern: what several processes do with it on one store that misbehaves, and the laws that
//! hold of what they were told. `cargo xtask faults` runs more seeds than these tests do by themselves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod boards;
mod cache_histories;
mod caches;
mod limits;
mod locks;
mod messages;
mod near_reads;
mod sessions;
mod workers;

/// How many seeds each workload is run with where nobody says.
const SEEDS: u64 = 100;
