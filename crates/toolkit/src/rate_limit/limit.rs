//! What is allowed, and how it is counted.

use std::fmt;
use std::str::FromStr;

use larder_store::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Quota;
use crate::text;

/// The most ticks that a full bucket of GCRA has, so that Lua counts them exactly.
const TICKS_MAX: u128 = 1 << 52;

/// The longest that a bucket may take to fill, in microseconds: a hundred years.
const FILL_MAX_US: u128 = 100 * 366 * 24 * 60 * 60 * 1_000_000;

/// The most entries of a sliding window: a larger one counts by grains.
const ENTRIES_MAX: u64 = 1000;

/// A quota, and how it is counted. See the [module](super) for which to choose.
///
/// ```
/// use larder_toolkit::rate_limit::{Limit, Quota};
///
/// // In a file of settings, and wherever serde reads.
/// assert_eq!("100/s burst 20".parse(), Ok(Limit::gcra(Quota::per_second(100)).burst(20)));
/// assert_eq!("sliding-window 5/m".parse(), Ok(Limit::sliding_window(Quota::per_minute(5))));
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    kind: Kind,
    quota: Quota,
    size: u32,
    name: Option<Box<str>>,
    /// The kind if it is not GCRA, the quota and the burst: the name, if it was given none.
    text: Box<str>,
    numbers: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gcra,
    FixedWindow,
    SlidingWindow,
    SlidingCounter,
}

impl Limit {
    /// Permits come back evenly, and up to as many as come back in the quota's time can be saved up
    /// ([`Limit::burst`] says another number).
    ///
    /// It is what is called a token bucket, counted by GCRA in ticks of which a permit costs a whole
    /// number and a microsecond brings one: no quota is rounded. Only where a bucket has more than 2^52
    /// of such ticks they are made longer, and permits come back later by less than a millionth.
    pub fn gcra(quota: Quota) -> Limit {
        Limit::of(Kind::Gcra, quota, quota.permits())
    }

    /// So many in a window that begins with the first one taken. Around the end of a window, up to
    /// twice as many can be taken in a short time.
    pub fn fixed_window(quota: Quota) -> Limit {
        Limit::of(Kind::FixedWindow, quota, quota.permits())
    }

    /// So many in any stretch of time of this length. The store keeps an entry of about a hundred bytes
    /// for each take within it, and at most a thousand: of a limit of more permits, takes within the
    /// same thousandth of the window are one entry, and come back with the last of it.
    pub fn sliding_window(quota: Quota) -> Limit {
        Limit::of(Kind::SlidingWindow, quota, quota.permits())
    }

    /// About so many in any stretch of time of this length, at the cost of three numbers: what was
    /// taken in the window before counts as if it had been taken evenly.
    pub fn sliding_counter(quota: Quota) -> Limit {
        Limit::of(Kind::SlidingCounter, quota, quota.permits())
    }

    /// The same limit, of which up to `permits` can be saved up.
    ///
    /// # Panics
    ///
    /// If there are none, if it takes more than a hundred years to save up so many, or if the limit is
    /// none of [`Limit::gcra`]: the others have a window, and no bucket.
    #[must_use]
    pub fn burst(self, permits: u32) -> Limit {
        match self.with_burst(permits) {
            Ok(limit) => limit,
            #[allow(
                clippy::panic,
                reason = "as documented: a number that stands in the program"
            )]
            Err(error) => panic!("{error}"),
        }
    }

    /// The same limit under another name.
    ///
    /// The name is what the limit's state goes by, what HTTP headers call it, and what people see. A
    /// limit that is given none is called after what it is, `100/s burst 20` or `fixed-window 60/m`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Box<str>>) -> Limit {
        self.name = Some(name.into());
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.text)
    }

    /// What it allows.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The most that can be taken at once.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The part of a key that holds its state: another kind under the same name has another state.
    pub(super) fn state_part(&self) -> String {
        let kind = self.kind.name();
        let name = match &self.name {
            Some(name) => name,
            None => self.text.trim_start_matches(kind).trim_start(),
        };
        format!("{kind}:{name}")
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The two numbers that the scripts of its kind want.
    pub(super) fn numbers(&self) -> [u64; 2] {
        self.numbers
    }

    fn of(kind: Kind, quota: Quota, size: u32) -> Limit {
        let text = match (kind, size == quota.permits()) {
            (Kind::Gcra, true) => quota.to_string(),
            (Kind::Gcra, false) => format!("{quota} burst {size}"),
            (kind, _) => format!("{kind} {quota}"),
        };
        Limit {
            kind,
            quota,
            size,
            name: None,
            text: text.into(),
            numbers: kind.numbers(quota, size),
        }
    }

    fn with_burst(self, permits: u32) -> Result<Limit, Error> {
        if self.kind != Kind::Gcra {
            return Err(Error::invalid(format_args!(
                "only a limit by gcra has a burst, not one by {}",
                self.kind
            )));
        }
        let fill_us = u128::from(self.quota.per_us()) * u128::from(permits);
        if permits == 0 || fill_us > FILL_MAX_US * u128::from(self.quota.permits()) {
            return Err(Error::invalid(format_args!(
                "a burst is at least one permit and comes back within a hundred years, not {permits} at {}",
                self.quota
            )));
        }
        Ok(Limit {
            name: self.name,
            ..Limit::of(self.kind, self.quota, permits)
        })
    }
}

/// The ticks that a permit costs, and those that come back in a microsecond.
fn ticks(quota: Quota, size: u32) -> [u64; 2] {
    let (per_us, permits) = (quota.per_us(), u64::from(quota.permits()));
    let common = greatest_common_divisor(per_us, permits);
    let (cost, flow) = (per_us / common, permits / common);
    if u128::from(cost) * u128::from(size) <= TICKS_MAX {
        return [cost, flow];
    }
    // As many as a bucket may have, over the microseconds in which it fills, of which there are fewer.
    let fill_us = u128::from(per_us) * u128::from(size) / u128::from(permits);
    let flow = TICKS_MAX / (fill_us + 1);
    let cost = (u128::from(per_us) * flow).div_ceil(u128::from(permits));
    // Both are below 2^53.
    [cost as u64, flow as u64]
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    match other {
        0 => one,
        other => greatest_common_divisor(other, one % other),
    }
}

/// By what the window before goes: microseconds, or longer if slices times permits would not be exact.
fn slice_us(window_us: u64, size: u32) -> u64 {
    let slice = (u128::from(window_us) * u128::from(size)).div_ceil(TICKS_MAX);
    // A year of four thousand million permits comes to 30 seconds.
    slice as u64
}

impl fmt::Display for Limit {
    /// As it is read, without its name: `100/s burst 20`, `sliding-window 5/m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Limit {
    type Err = Error;

    /// Reads a quota, which may have one of the words `gcra` (as without a word), `fixed-window`,
    /// `sliding-window` and `sliding-counter` before it, and by gcra a `burst` with its permits behind.
    fn from_str(text: &str) -> Result<Limit, Error> {
        let invalid = || {
            Error::invalid(format_args!(
                "a limit is a quota with a kind before it or a burst behind it, as in \"100/s burst 20\" \
                 or \"sliding-window 5/m\", not {text:?}"
            ))
        };
        let mut words = text.split(' ').peekable();
        let kind = words.peek().and_then(|word| Kind::of_name(word));
        if kind.is_some() {
            words.next();
        }
        let quota: Quota = words.next().ok_or_else(invalid)?.parse()?;
        let limit = Limit::of(kind.unwrap_or(Kind::Gcra), quota, quota.permits());
        match (words.next(), words.next(), words.next()) {
            (None, ..) => Ok(limit),
            (Some("burst"), Some(burst), None) => {
                limit.with_burst(burst.parse().map_err(|_| invalid())?)
            }
            _ => Err(invalid()),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        text::deserialize(deserializer)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Kind {
    const ALL: [Kind; 4] = [
        Kind::Gcra,
        Kind::FixedWindow,
        Kind::SlidingWindow,
        Kind::SlidingCounter,
    ];

    /// What the scripts and the settings call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Gcra => "gcra",
            Kind::FixedWindow => "fixed-window",
            Kind::SlidingWindow => "sliding-window",
            Kind::SlidingCounter => "sliding-counter",
        }
    }

    /// The two numbers by which the scripts count: what they are stands there.
    fn numbers(self, quota: Quota, size: u32) -> [u64; 2] {
        let window_us = quota.per_us();
        match self {
            Kind::Gcra => ticks(quota, size),
            Kind::FixedWindow => [window_us, 0],
            Kind::SlidingWindow if u64::from(size) <= ENTRIES_MAX => [window_us, 1],
            Kind::SlidingWindow => [window_us, window_us.div_ceil(ENTRIES_MAX)],
            Kind::SlidingCounter => [window_us, slice_us(window_us, size)],
        }
    }

    fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_it_is_written() {
        let quota = Quota::per_minute(5);
        let cases = [
            ("5/m", Limit::gcra(quota)),
            ("5/m burst 20", Limit::gcra(quota).burst(20)),
            ("fixed-window 5/m", Limit::fixed_window(quota)),
            ("sliding-window 5/m", Limit::sliding_window(quota)),
            ("sliding-counter 5/m", Limit::sliding_counter(quota)),
        ];
        for (text, limit) in cases {
            assert_eq!(text.parse(), Ok(limit.clone()));
            assert_eq!(limit.to_string(), text);
        }
        assert_eq!("gcra 5/m".parse(), Ok(Limit::gcra(quota)));
        for text in [
            "",
            "gcra",
            "5/m burst",
            "5/m burst 0",
            "5/m burst x",
            "5/m burst 20 30",
            "fixed-window 5/m burst 20",
            "log 5/m",
            "1/366d burst 4000000000",
        ] {
            assert!(text.parse::<Limit>().is_err(), "{text:?}");
        }
    }

    #[test]
    #[should_panic(expected = "only a limit by gcra has a burst")]
    fn a_window_has_no_burst() {
        let _ = Limit::sliding_window(Quota::per_second(1)).burst(2);
    }

    #[test]
    fn no_quota_is_rounded_whose_ticks_are_exact() {
        assert_eq!(ticks(Quota::per_second(600_000), 600_000), [5, 3]);
        assert_eq!(ticks(Quota::per_second(70_000), 70_000), [100, 7]);
        assert_eq!(ticks(Quota::per_second(1), 1), [1_000_000, 1]);
        assert_eq!(ticks(Quota::per_second(1_000_000_000), 7), [1, 1000]);
    }

    #[test]
    fn ticks_are_exact_numbers_of_lua_and_never_too_fast() {
        let year = Quota::PER_MAX;
        for permits in [1, 7, 999_983, 4_294_967_291] {
            for per in [std::time::Duration::from_secs(5), year] {
                let quota = Quota::new(permits, per).expect("it is one");
                for size in [1, permits, u32::MAX] {
                    if Limit::gcra(quota).with_burst(size).is_err() {
                        continue;
                    }
                    let [cost, flow] = ticks(quota, size);
                    assert!(
                        u128::from(cost) * u128::from(size) < 1 << 53,
                        "{quota} {size}"
                    );
                    let (exact, ours) = (
                        f64::from(permits) / per.as_micros() as f64,
                        flow as f64 / cost as f64,
                    );
                    assert!(ours <= exact * (1.0 + 1e-14), "{quota} {size}");
                    assert!(
                        ours >= exact * (1.0 - 1e-6),
                        "{quota} {size}: {ours} {exact}"
                    );
                }
            }
        }
    }
}
