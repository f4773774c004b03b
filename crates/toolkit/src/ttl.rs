//! How long something is kept.

use std::str::FromStr;
use std::time::Duration;

use larder_store::{Error, span};
use serde::{Deserialize, Deserializer};

use crate::text;

/// How long something is kept: a time that is never zero, or [`Ttl::forever`], spelled out.
///
/// ```
/// use std::time::Duration;
/// use larder_toolkit::Ttl;
///
/// let from_settings = Ttl::new(Duration::from_millis(1500))?;
/// let written_here = Ttl::minutes(5).jitter(10);
///
/// assert_eq!(written_here.max(), Some(Duration::from_secs(300)));
/// assert!(Ttl::new(Duration::ZERO).is_err());
///
/// // In a file of settings, and wherever serde reads: "5m", "250ms", "forever".
/// assert_eq!("5m".parse(), Ok(Ttl::minutes(5)));
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// `None` is forever.
    time: Option<Duration>,
    jitter_percent: u8,
}

impl Ttl {
    /// The longest time to live that is not forever: a hundred years.
    pub const MAX: Duration = span::LONGEST;

    /// This time. Stores count whole milliseconds; a part of one counts as a whole one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `time` is zero or longer than [`Ttl::MAX`].
    pub fn new(time: Duration) -> Result<Ttl, Error> {
        if time.is_zero() || time > Ttl::MAX {
            return Err(Error::invalid(format_args!(
                "a time to live is above zero and at most {:?}, not {time:?}",
                Ttl::MAX
            )));
        }
        Ok(Ttl {
            time: Some(time),
            jitter_percent: 0,
        })
    }

    /// This many seconds, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Ttl::new`] would refuse it.
    pub const fn seconds(seconds: u64) -> Ttl {
        assert!(
            0 < seconds && seconds <= Ttl::MAX.as_secs(),
            "a time to live is above zero and at most a hundred years"
        );
        Ttl {
            time: Some(Duration::from_secs(seconds)),
            jitter_percent: 0,
        }
    }

    /// This many minutes, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Ttl::new`] would refuse it.
    pub const fn minutes(minutes: u32) -> Ttl {
        Ttl::seconds(minutes as u64 * 60)
    }

    /// This many hours, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Ttl::new`] would refuse it.
    pub const fn hours(hours: u32) -> Ttl {
        Ttl::minutes(hours).times(60)
    }

    /// This many days, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Ttl::new`] would refuse it.
    pub const fn days(days: u32) -> Ttl {
        Ttl::minutes(days).times(24 * 60)
    }

    /// No end: until it is deleted, or evicted from a store that is full.
    pub const fn forever() -> Ttl {
        Ttl {
            time: None,
            jitter_percent: 0,
        }
    }

    /// The same time, of which each use takes off a random part, at most `percent` of it (and 99
    /// where that is more): what was written together does not expire together.
    #[must_use]
    pub const fn jitter(mut self, percent: u8) -> Ttl {
        self.jitter_percent = if percent > 99 { 99 } else { percent };
        self
    }

    /// The longest that a use of this comes to, or `None` if that is forever.
    pub const fn max(self) -> Option<Duration> {
        self.time
    }

    /// The milliseconds of one use, jitter taken off, and at least one; `None` is forever.
    #[cfg(any(feature = "cache", feature = "leaderboard"))]
    pub(crate) fn draw_ms(self) -> Option<u64> {
        let max_ms = to_ms(self.time?);
        let spread_ms = max_ms / 100 * u64::from(self.jitter_percent)
            + max_ms % 100 * u64::from(self.jitter_percent) / 100;
        let taken_off = larder_store::jitter(Duration::from_millis(spread_ms));
        Some((max_ms - taken_off.as_millis() as u64).max(1))
    }

    const fn times(self, factor: u64) -> Ttl {
        match self.time {
            Some(time) => Ttl::seconds(time.as_secs() * factor),
            None => self,
        }
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(time: Duration) -> Result<Ttl, Error> {
        Ttl::new(time)
    }
}

impl FromStr for Ttl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Ttl, Error> {
        match text {
            "forever" => Ok(Ttl::forever()),
            text => { span::parse(text).ok() }
                .and_then(|time| Ttl::new(time).ok())
                .ok_or_else(|| {
                    Error::invalid(format_args!(
                        "a time to live is \"forever\", or a time above zero and at most {:?}, as in \
                         \"5m\", not {text:?}",
                        Ttl::MAX
                    ))
                }),
        }
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
        text::deserialize(deserializer)
    }
}

/// Whole milliseconds, rounded up: a time to live must not become zero on its way.
#[cfg(any(feature = "cache", feature = "leaderboard"))]
pub(crate) fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_more_than_a_hundred_years_are_no_times_to_live() {
        let error = Ttl::new(Duration::ZERO)
            .expect_err("it is zero")
            .to_string();
        assert!(error.starts_with("a time to live is above zero"), "{error}");
        assert!(Ttl::new(Ttl::MAX).is_ok());
        assert!(Ttl::new(Ttl::MAX + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn jitter_shortens_and_never_to_nothing() {
        let ttl = Ttl::seconds(100).jitter(10);
        let drawn: Vec<u64> = (0..500).filter_map(|_| ttl.draw_ms()).collect();
        assert!(drawn.iter().all(|ms| (90_000..=100_000).contains(ms)));
        assert!(drawn.iter().any(|ms| *ms != drawn[0]));

        let shortest = Ttl::new(Duration::from_nanos(1)).expect("it is above zero");
        assert_eq!(shortest.jitter(99).draw_ms(), Some(1));
    }

    #[test]
    fn units_are_what_they_say() {
        assert_eq!(Ttl::hours(2), Ttl::minutes(120));
        assert_eq!(Ttl::days(7), Ttl::seconds(604_800));
        assert_eq!(Ttl::forever().draw_ms(), None);
    }
}
