//! How often, and for how long, something is tried for one caller.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_store::jitter;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;

/// Of so many calls one may be tried again, ...
const CALLS_A_RETRY: f64 = 10.0;

/// ... and so many a second beside.
const RETRIES_A_SECOND: f64 = 10.0;

/// The most that are saved up.
const SAVED_MAX: f64 = 100.0;

/// How often a command follows redirections: a cluster whose nodes disagree could send it in circles.
pub(crate) const REDIRECTIONS_MAX: u32 = 16;

/// So many redirections are followed at once.
const REDIRECTIONS_FREE: u32 = 3;

/// How many retries all callers of a store have together. Where most calls fail, to try each one again
/// would be a multiple of the load, on a server that can't bear it as it is.
#[derive(Debug)]
pub(crate) struct Budget {
    calls: AtomicU64,
    saved: Mutex<Saved>,
}

#[derive(Debug)]
struct Saved {
    retries: f64,
    calls: u64,
    at: Instant,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            calls: AtomicU64::new(0),
            saved: Mutex::new(Saved {
                retries: SAVED_MAX,
                calls: 0,
                at: Instant::now(),
            }),
        }
    }
}

impl Budget {
    /// Counts a call.
    pub(crate) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry, if there is one left.
    fn take(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        let now = Instant::now();
        let mut saved = self.saved.lock();
        let earned = (calls - saved.calls.min(calls)) as f64 / CALLS_A_RETRY
            + now.duration_since(saved.at).as_secs_f64() * RETRIES_A_SECOND;
        saved.retries = (saved.retries + earned).min(SAVED_MAX);
        (saved.calls, saved.at) = (calls, now);
        let is_left = saved.retries >= 1.0;
        if is_left {
            saved.retries -= 1.0;
        }
        is_left
    }
}

/// The tries made for one caller. There is one more as long as the configuration allows so many
/// retries, their time is not over, and the store has one left.
#[derive(Debug)]
pub(crate) struct Tries<'c> {
    config: &'c Config,
    budget: Option<&'c Budget>,
    until: Instant,
    retries: u32,
}

impl<'c> Tries<'c> {
    /// Tries of a call.
    pub(crate) fn of_call(config: &'c Config, budget: &'c Budget, until: Instant) -> Tries<'c> {
        Tries {
            config,
            budget: Some(budget),
            until,
            retries: 0,
        }
    }

    /// Tries to connect, which the callers of a node share.
    pub(crate) fn to_connect(config: &'c Config, until: Instant) -> Tries<'c> {
        Tries {
            config,
            budget: None,
            until,
            retries: 0,
        }
    }

    /// Whether there may be one more. If so, it is counted.
    pub(crate) fn again(&mut self) -> bool {
        let may = self.retries < self.config.retries
            && Instant::now() < self.until
            && self.budget.is_none_or(Budget::take);
        if may {
            self.retries += 1;
        }
        may
    }

    /// How often it was tried again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// When the caller's time is over.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Waits until the next one, but not beyond the caller's time, and says whether some of that is left:
    /// what is sent when it is over can only be in doubt. The pauses become longer and longer.
    #[must_use]
    pub(crate) async fn pause(&self) -> bool {
        self.pause_as_before(self.retries.saturating_sub(1)).await
    }

    /// Waits before a command follows its next redirection. The first ones are true and cost nothing; where
    /// nodes disagree, they need a while to hear of each other. Says whether time is left.
    #[must_use]
    pub(crate) async fn pause_on_the_way(&self, redirections: u32) -> bool {
        match redirections.checked_sub(REDIRECTIONS_FREE) {
            None => true,
            Some(retry) => self.pause_as_before(retry).await,
        }
    }

    /// Waits before keys are asked for again that are on their way to another node. Says whether time is left:
    /// nothing else bounds how often that is done, as nobody knows how long the way is.
    #[must_use]
    pub(crate) async fn pause_for_keys(&self) -> bool {
        self.pause_as_before(1).await
    }

    async fn pause_as_before(&self, retry: u32) -> bool {
        let next = Instant::now() + pause(self.config, retry);
        sleep_until(self.until.min(next)).await;
        next < self.until
    }
}

/// The pause before the given retry, the first of which is 0: by chance anything up to the backoff, which
/// doubles each time and is capped. So many callers who failed together do not come back together.
pub(crate) fn pause(config: &Config, retry: u32) -> Duration {
    let longest = config
        .backoff
        .saturating_mul(2u32.saturating_pow(retry))
        .min(config.backoff_max);
    jitter(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_capped() {
        let config = Config::default();
        let longest = |retry| (0..200).map(|_| pause(&config, retry)).max().unwrap();
        assert!(longest(0) <= config.backoff);
        assert!(longest(3) > config.backoff * 2);
        assert!(longest(40) <= config.backoff_max);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_part_of_the_calls() {
        let budget = Budget::default();
        let taken = |budget: &Budget| (0..10_000).filter(|_| budget.take()).count();
        assert_eq!(taken(&budget), SAVED_MAX as usize);
        (0..500).for_each(|_| budget.call());
        assert_eq!(taken(&budget), 50);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_pauses_beyond_his_time() {
        let config = Config::default()
            .backoff(Duration::from_secs(60))
            .backoff_max(Duration::from_secs(60));
        let until = Instant::now() + Duration::from_millis(100);
        let mut tries = Tries::to_connect(&config, until);
        assert!(tries.again());
        assert!(!tries.pause().await, "there is no time left");
        sleep_until(until).await;
        assert!(!tries.again());
    }
}
