//! Where the time comes from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_engine::Now;

/// Where a store takes the time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands still until somebody moves it: for tests.
    Manual(ManualClock),
}

/// A clock that stands still until it is moved. Clones share it.
///
/// A store that runs on it feels the move at once: see [`Embedded::pass`].
///
/// [`Embedded::pass`]: crate::Embedded::pass
#[derive(Clone)]
pub struct ManualClock {
    unix_us: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that stands still at the present time.
    pub fn manual() -> ManualClock {
        ManualClock {
            unix_us: Arc::new(AtomicU64::new(system().unix_us())),
        }
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Now {
        match self {
            Clock::System => system(),
            Clock::Manual(clock) => Now::from_unix_us(clock.unix_us.load(Ordering::SeqCst)),
        }
    }
}

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let by_us = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.unix_us.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock")
            .field(&self.unix_us.load(Ordering::SeqCst))
            .finish()
    }
}

/// The system's time. A clock that is set before 1970 stands at 1970.
fn system() -> Now {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let whole_us = since_epoch.as_secs().saturating_mul(1_000_000);
    Now::from_unix_us(whole_us.saturating_add(since_epoch.subsec_micros().into()))
}
