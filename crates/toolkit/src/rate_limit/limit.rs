//! What is allowed.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many permits in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    permits: NonZeroU32,
    per: Duration,
}

/// Why something is no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// The time is not one in which permits can be counted.
    #[error("a quota is for 1 ms to {max:?}, not for {per:?}", max = Quota::PER_MAX)]
    Per {
        /// What was wanted.
        per: Duration,
    },
    /// A permit would come back in less than a microsecond.
    #[error("{permits} permits in {per:?} are more than one in a microsecond")]
    TooMany {
        /// What was wanted.
        permits: NonZeroU32,
        /// In which time.
        per: Duration,
    },
    /// Filling the bucket would take more than a hundred years.
    #[error("a bucket of {burst} takes more than a hundred years to fill")]
    Burst {
        /// What was wanted.
        burst: NonZeroU32,
    },
}

impl Quota {
    /// The longest time of a quota: a year of 366 days.
    pub const PER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// This many permits in this time.
    ///
    /// # Errors
    ///
    /// If `per` is below a millisecond or above [`Quota::PER_MAX`], or too short for so many.
    pub const fn new(permits: NonZeroU32, per: Duration) -> Result<Quota, InvalidQuota> {
        if per.as_millis() == 0 || per.as_nanos() > Quota::PER_MAX.as_nanos() {
            return Err(InvalidQuota::Per { per });
        }
        if per.as_micros() < permits.get() as u128 {
            return Err(InvalidQuota::TooMany { permits, per });
        }
        Ok(Quota { permits, per })
    }

    /// This many in a second, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If there are none, or more than a million.
    pub const fn per_second(permits: u32) -> Quota {
        Quota::per_seconds(permits, 1)
    }

    /// This many in a minute, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If there are none, or more than a million in a second.
    pub const fn per_minute(permits: u32) -> Quota {
        Quota::per_seconds(permits, 60)
    }

    /// This many in an hour, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If there are none, or more than a million in a second.
    pub const fn per_hour(permits: u32) -> Quota {
        Quota::per_seconds(permits, 60 * 60)
    }

    /// This many in 24 hours, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub const fn per_day(permits: u32) -> Quota {
        Quota::per_seconds(permits, 24 * 60 * 60)
    }

    const fn per_seconds(permits: u32, seconds: u64) -> Quota {
        let permits = NonZeroU32::new(permits).expect("a quota has permits");
        assert!(
            permits.get() as u64 <= seconds * 1_000_000,
            "at most a million permits in a second"
        );
        Quota {
            permits,
            per: Duration::from_secs(seconds),
        }
    }

    /// How many permits there are.
    pub const fn permits(&self) -> NonZeroU32 {
        self.permits
    }

    /// In which time.
    pub const fn per(&self) -> Duration {
        self.per
    }
}

/// A quota, and how it is counted. See the [module](super) for which to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    name: String,
    quota: Quota,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gcra { burst: NonZeroU32 },
    Fixed,
    Log,
    Counter,
}

impl Limit {
    /// Permits come back evenly, and up to as many as come back in the quota's time can be saved up.
    ///
    /// It is what is called a token bucket, counted by GCRA in whole microseconds: the time in
    /// which a permit comes back is rounded up to the next.
    pub fn gcra(quota: Quota) -> Limit {
        let burst = quota.permits;
        Limit::of(quota, Kind::Gcra { burst })
    }

    /// Permits come back evenly, and up to `burst` of them can be saved up.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota::Burst`] if it takes more than a hundred years to save up so many.
    pub fn gcra_with_burst(quota: Quota, burst: NonZeroU32) -> Result<Limit, InvalidQuota> {
        const LONGEST_US: u64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

        let limit = Limit::of(quota, Kind::Gcra { burst });
        match limit.microseconds().checked_mul(u64::from(burst.get())) {
            Some(us) if us <= LONGEST_US => Ok(limit),
            _ => Err(InvalidQuota::Burst { burst }),
        }
    }

    /// So many in a window that begins with the first one taken. Around the end of a window, up to
    /// twice as many can be taken in a short time.
    pub fn fixed_window(quota: Quota) -> Limit {
        Limit::of(quota, Kind::Fixed)
    }

    /// So many in any stretch of time of this length. The store keeps an entry of about a hundred
    /// bytes for each permit that was taken within it.
    pub fn sliding_window(quota: Quota) -> Limit {
        Limit::of(quota, Kind::Log)
    }

    /// About so many in any stretch of time of this length, at the cost of three numbers: what was
    /// taken in the window before counts as if it had been taken evenly.
    pub fn sliding_counter(quota: Quota) -> Limit {
        Limit::of(quota, Kind::Counter)
    }

    /// The same limit under another name, for people and for HTTP headers. A limit is called after
    /// its kind if nothing else is said.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Limit {
        self.name = name.into();
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The most that can be taken at once.
    pub fn size(&self) -> NonZeroU32 {
        match self.kind {
            Kind::Gcra { burst } => burst,
            Kind::Fixed | Kind::Log | Kind::Counter => self.quota.permits,
        }
    }

    /// The time that the script wants: of GCRA that of one permit, else that of the window.
    pub(super) fn microseconds(&self) -> u64 {
        // A quota's time is at most a year.
        let per_us = self.quota.per.as_micros() as u64;
        match self.kind {
            Kind::Gcra { .. } => per_us.div_ceil(u64::from(self.quota.permits.get())),
            Kind::Fixed | Kind::Log | Kind::Counter => per_us,
        }
    }

    fn of(quota: Quota, kind: Kind) -> Limit {
        Limit {
            name: kind.name().to_owned(),
            quota,
            kind,
        }
    }
}

impl Kind {
    pub(super) fn is_gcra(self) -> bool {
        matches!(self, Kind::Gcra { .. })
    }

    /// What `decide.lua` calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Gcra { .. } => "gcra",
            Kind::Fixed => "fixed",
            Kind::Log => "log",
            Kind::Counter => "counter",
        }
    }
}
