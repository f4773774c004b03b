//! A server that breaks every rule, and callers who get a true word in time all the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod breaker;
mod cluster;
mod connecting;
mod deadlines;
mod listening;
mod sentinels;
mod storm;
mod stub;
mod wire;

use std::time::Duration;

use larder_remote::Config;
use larder_testkit::{open, words};

/// How long an answer may take, in these tests.
const SHORT: Duration = Duration::from_millis(400);

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_millis(400);

/// Little patience, and no second tries.
fn hasty() -> Config {
    Config::default()
        .connect_timeout(SHORT)
        .response_timeout(SHORT)
        .retries(0)
}
