//! How often, and for how long, something is tried for one caller.

use std::time::{Duration, Instant};

use crate::config::Config;

/// The tries made for one caller. There is one more as long as the configuration allows so many
/// retries and their time is not over: each of them may take long to fail.
pub(crate) struct Tries<'c> {
    config: &'c Config,
    within: Duration,
    begun: Instant,
    retries: u32,
}

impl Tries<'_> {
    pub(crate) fn within(config: &Config, time: Duration) -> Tries<'_> {
        Tries {
            config,
            within: time,
            begun: Instant::now(),
            retries: 0,
        }
    }

    /// Whether there may be one more.
    pub(crate) fn are_left(&self) -> bool {
        self.retries < self.config.retries && self.begun.elapsed() < self.within
    }

    /// How often it was tried again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// Waits until the next one. The pauses become longer and longer.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.config.pause(self.retries)).await;
        self.retries = self.retries.saturating_add(1);
    }

    /// The pauses begin anew, since a try has gone well.
    pub(crate) fn went_well(&mut self) {
        self.retries = 0;
    }
}
