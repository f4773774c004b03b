//! Lengths of time as people write them in settings.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The units, in milliseconds. `ms` stands before `m`, which is its beginning.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A hundred years: no time that is waited for is longer, and what is longer is cut to it. So an instant can
/// always be added to.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a whole number with its unit: `250ms`, `30s`, `5m`, `12h`, `7d`.
///
/// # Errors
///
/// In words, with what is allowed.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, ms)| *ms);
    let whole_ms = unit_ms.and_then(|unit_ms| number.parse::<u64>().ok()?.checked_mul(unit_ms));
    whole_ms.map(Duration::from_millis).ok_or_else(|| {
        format!("a time is a number and ms, s, m, h or d, as in \"5m\", not {text:?}")
    })
}

/// Reads a time as [`parse`] does, for fields with `#[serde(deserialize_with = ...)]`.
///
/// # Errors
///
/// If it is no text, or no time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_with_its_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in [
            "",
            "5",
            "m",
            "1.5s",
            "-1s",
            " 5m",
            "5 m",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
