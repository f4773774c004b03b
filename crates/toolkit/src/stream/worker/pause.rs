//! The pause after a request that failed.

use std::time::Duration;

use larder_store::jitter;
use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long a worker waits after a request that failed: twice as long each time, up to a limit, and
/// at random between half of that and the whole.
#[derive(Debug)]
pub(super) struct Pause {
    until: Instant,
    length: Duration,
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause {
            until: Instant::now(),
            length: SHORTEST,
        }
    }

    /// A request failed.
    pub(super) fn begin(&mut self) {
        self.until = Instant::now() + self.length / 2 + jitter(self.length / 2);
        self.length = (self.length * 2).min(LONGEST);
    }

    /// A request went well.
    pub(super) fn end(&mut self) {
        self.length = SHORTEST;
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}
