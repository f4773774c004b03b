//! Where the time comes from.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_engine::{Now, Ticks};

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
    shown: Arc<Shown>,
}

/// What a manual clock shows.
struct Shown {
    unix_us: AtomicU64,
    ticks_us: AtomicU64,
}

impl Clock {
    /// A clock that stands still at the present time.
    pub fn manual() -> ManualClock {
        ManualClock {
            shown: Arc::new(Shown {
                unix_us: AtomicU64::new(system().unix_us()),
                ticks_us: AtomicU64::new(0),
            }),
        }
    }

    /// The time of day.
    #[inline]
    pub fn now(&self) -> Now {
        match self {
            Clock::System => system(),
            Clock::Manual(clock) => Now::from_unix_us(clock.shown.unix_us.load(Ordering::SeqCst)),
        }
    }

    /// The time since some beginning, on a clock that nobody sets.
    pub fn ticks(&self) -> Ticks {
        match self {
            Clock::System => ticks(),
            Clock::Manual(clock) => Ticks::from_us(clock.shown.ticks_us.load(Ordering::SeqCst)),
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Clock {
        Clock::Manual(clock)
    }
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.shown.unix_us.fetch_add(whole_us(by), Ordering::SeqCst);
        self.shown
            .ticks_us
            .fetch_add(whole_us(by), Ordering::SeqCst);
    }

    /// Sets the time of day forward, as an administrator may, and no time passes: what has a time to
    /// live expires, and nobody who waits has waited longer.
    pub fn set_forward(&self, by: Duration) {
        self.shown.unix_us.fetch_add(whole_us(by), Ordering::SeqCst);
    }

    /// Sets the time of day back, as an administrator may, and no time passes: not beyond 1970.
    pub fn set_back(&self, by: Duration) {
        let earlier = |unix_us: u64| Some(unix_us.saturating_sub(whole_us(by)));
        let unix_us = &self.shown.unix_us;
        // It can't fail: there is always an earlier time.
        let _ = unix_us.fetch_update(Ordering::SeqCst, Ordering::SeqCst, earlier);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock")
            .field(&self.shown.unix_us.load(Ordering::SeqCst))
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

/// The time since this was asked for the first time.
fn ticks() -> Ticks {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    Ticks::from_us(whole_us(BEGINNING.get_or_init(Instant::now).elapsed()))
}

fn whole_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
