//! Real servers, the load of all patterns, and a fault in the midst of it.
//!
//! `cargo xtask faults --real` runs each scenario for longer, and prints what it cost as a table. A run
//! follows from its seed as far as real servers let it; it is printed with every figure.
//!
//! What is checked:
//!
//! - no call outlives its deadline, by more than this machine was late itself;
//! - service is back within two seconds of the new master being known;
//! - nothing that was acknowledged is lost, but where a server forgot it: replication is asynchronous;
//! - nothing happens twice, ever: what is counted is at most what was acknowledged or in doubt;
//! - what a lock protects refuses holders of before;
//! - a message comes once and in order, or its listener is told of a gap;
//! - callers see no redirection, and the process does not grow.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod laws;
mod load;
mod meter;
mod run;
mod scenarios;
mod table;

use std::time::Duration;

/// For how many seconds there is load, if `LARDER_TEST_SECONDS` does not say.
const SECONDS: u64 = 3;

/// For how long there is load.
fn seconds() -> Duration {
    Duration::from_secs(number("LARDER_TEST_SECONDS").unwrap_or(SECONDS))
}

fn seed() -> u64 {
    number("LARDER_TEST_SEED").unwrap_or(1)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
