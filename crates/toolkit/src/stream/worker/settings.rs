//! How a worker works.

use std::time::Duration;

use super::backoff::Backoff;
use crate::random;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) consumer: String,
    pub(super) concurrency: usize,
    pub(super) batch: usize,
    pub(super) block: Duration,
    pub(super) idle: Duration,
    pub(super) deliveries_max: u32,
    pub(super) backoff: Backoff,
    pub(super) dead_letters_max: u64,
    pub(super) silence_max: Duration,
    pub(super) drain: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            consumer: format!("worker-{}", hex::encode(random::bytes::<8>())),
            concurrency: 8,
            batch: 64,
            block: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            deliveries_max: 10,
            backoff: Backoff::default(),
            dead_letters_max: 10_000,
            silence_max: Duration::from_secs(60 * 60),
            drain: Duration::from_secs(20),
        }
    }
}
