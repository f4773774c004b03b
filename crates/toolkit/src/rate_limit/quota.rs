//! So many permits in so much time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use larder_store::{Error, span};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The units after which a quota is called, with their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// So many permits in so much time.
///
/// ```
/// use larder_toolkit::rate_limit::Quota;
///
/// // In a file of settings, and wherever serde reads: "100/s", "5/m", "1000/d", "20/250ms".
/// assert_eq!("5/m".parse(), Ok(Quota::per_minute(5)));
/// assert_eq!(Quota::per_hour(300).to_string(), "300/h");
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    permits: u32,
    per_ms: u64,
}

impl Quota {
    /// The longest time of a quota: a year of 366 days.
    pub const PER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// This many permits in this time.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are none, or more than one in a nanosecond, or if `per` is not of
    /// whole milliseconds up to [`Quota::PER_MAX`].
    pub fn new(permits: u32, per: Duration) -> Result<Quota, Error> {
        if per.is_zero() || per > Quota::PER_MAX || !per.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(Error::invalid(format_args!(
                "a quota is for whole milliseconds from 1 ms to 366 days, not for {per:?}"
            )));
        }
        if permits == 0 || u128::from(permits) > per.as_nanos() {
            return Err(Error::invalid(format_args!(
                "a quota has at least one permit, and at most one in a nanosecond, not {permits} in {per:?}"
            )));
        }
        let per_ms = per.as_secs() * 1000 + u64::from(per.subsec_millis());
        Ok(Quota { permits, per_ms })
    }

    /// This many in a second, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Quota::new`] would refuse it.
    pub const fn per_second(permits: u32) -> Quota {
        Quota::per_seconds(permits, 1)
    }

    /// This many in a minute, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Quota::new`] would refuse it.
    pub const fn per_minute(permits: u32) -> Quota {
        Quota::per_seconds(permits, 60)
    }

    /// This many in an hour, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Quota::new`] would refuse it.
    pub const fn per_hour(permits: u32) -> Quota {
        Quota::per_seconds(permits, 60 * 60)
    }

    /// This many in 24 hours, for numbers that stand in the program.
    ///
    /// # Panics
    ///
    /// If [`Quota::new`] would refuse it.
    pub const fn per_day(permits: u32) -> Quota {
        Quota::per_seconds(permits, 24 * 60 * 60)
    }

    const fn per_seconds(permits: u32, seconds: u64) -> Quota {
        assert!(permits > 0, "a quota has at least one permit");
        assert!(
            permits as u64 <= seconds * 1_000_000_000,
            "a quota has at most one permit in a nanosecond"
        );
        Quota {
            permits,
            per_ms: seconds * 1000,
        }
    }

    /// How many permits there are.
    pub const fn permits(&self) -> u32 {
        self.permits
    }

    /// In which time.
    pub const fn per(&self) -> Duration {
        Duration::from_millis(self.per_ms)
    }

    /// In which time, in microseconds.
    pub(super) fn per_us(&self) -> u64 {
        self.per_ms * 1000
    }
}

impl fmt::Display for Quota {
    /// As it is read: `100/s`, `20/250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, ms)| self.per_ms.is_multiple_of(*ms));
        let (unit, unit_ms) = whole.unwrap_or(&("ms", 1));
        match self.per_ms / unit_ms {
            1 => write!(f, "{}/{unit}", self.permits),
            count => write!(f, "{}/{count}{unit}", self.permits),
        }
    }
}

impl FromStr for Quota {
    type Err = Error;

    /// Reads permits, a slash and a time: `100/s`, `5/m`, `1000/d`, `20/250ms`.
    fn from_str(text: &str) -> Result<Quota, Error> {
        let invalid = || {
            Error::invalid(format_args!(
                "a quota is a number, a slash and a time, as in \"100/s\" or \"20/250ms\", not {text:?}"
            ))
        };
        let (permits, per) = text.split_once('/').ok_or_else(invalid)?;
        let permits = permits.parse().map_err(|_| invalid())?;
        let per = match UNITS.iter().find(|(unit, _)| *unit == per) {
            Some((_, unit_ms)) => Duration::from_millis(*unit_ms),
            None => span::parse(per).map_err(|_| invalid())?,
        };
        Quota::new(permits, per)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quota, D::Error> {
        text::deserialize(deserializer)
    }
}

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_cant_be_counted_is_refused() {
        let second = Duration::from_secs(1);
        assert!(Quota::new(0, second).is_err());
        assert!(Quota::new(1, Duration::ZERO).is_err());
        assert!(Quota::new(1, Duration::from_micros(1500)).is_err());
        assert!(Quota::new(1, Quota::PER_MAX).is_ok());
        assert!(Quota::new(1, Quota::PER_MAX + Duration::from_millis(1)).is_err());
        assert!(Quota::new(1_000_000, Duration::from_millis(1)).is_ok());
        assert!(Quota::new(1_000_001, Duration::from_millis(1)).is_err());
    }

    #[test]
    fn a_quota_is_read_as_it_is_written() {
        let cases = [
            ("100/s", Quota::per_second(100)),
            ("5/m", Quota::per_minute(5)),
            ("300/h", Quota::per_hour(300)),
            ("1000/d", Quota::per_day(1000)),
            (
                "3/7d",
                Quota::new(3, Duration::from_secs(7 * 86_400)).expect("it is one"),
            ),
            (
                "20/250ms",
                Quota::new(20, Duration::from_millis(250)).expect("it is one"),
            ),
            (
                "1/90s",
                Quota::new(1, Duration::from_secs(90)).expect("it is one"),
            ),
        ];
        for (text, quota) in cases {
            assert_eq!(text.parse(), Ok(quota));
            assert_eq!(quota.to_string(), text);
        }
        for text in [
            "",
            "100",
            "100/",
            "/s",
            "0/s",
            "-1/s",
            "1.5/s",
            "5/w",
            "5 / s",
            "4294967296/s",
        ] {
            assert!(text.parse::<Quota>().is_err(), "{text:?}");
        }
    }
}
