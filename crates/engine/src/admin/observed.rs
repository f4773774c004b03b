//! The parameters that say what is looked at of commands: of SLOWLOG, LATENCY and INFO.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::config::Config;
use crate::args::parse_int;

/// A parameter that says what is looked at of commands.
pub(super) struct Observed {
    pub(super) get: fn(&Config) -> String,
    /// Whether a value is one, or what is wrong with it.
    pub(super) check: fn(&[u8]) -> Result<(), String>,
    pub(super) set: fn(&Config, &[u8]),
}

pub(super) const SLOWER_THAN: Observed = Observed {
    get: |config| config.slowlog_slower_than_us.load(Relaxed).to_string(),
    check: |value| read_int(value, -1, i64::MAX).map(drop),
    set: |config, value| {
        let us = parse_int(value).unwrap_or(-1);
        config.slowlog_slower_than_us.store(us, Relaxed);
    },
};

pub(super) const LARGE_REQUEST: Observed = Observed {
    get: |config| shown_bytes(&config.large_request_bytes),
    check: |value| read_int(value, -1, i64::MAX).map(drop),
    set: |config, value| set_bytes(&config.large_request_bytes, value),
};

pub(super) const LARGE_REPLY: Observed = Observed {
    get: |config| shown_bytes(&config.large_reply_bytes),
    check: |value| read_int(value, -1, i64::MAX).map(drop),
    set: |config, value| set_bytes(&config.large_reply_bytes, value),
};

/// A number of bytes, of which -1 stands for more than there ever are.
fn shown_bytes(bytes: &AtomicU64) -> String {
    bytes.load(Relaxed).cast_signed().to_string()
}

fn set_bytes(bytes: &AtomicU64, value: &[u8]) {
    let number = parse_int(value).unwrap_or(-1);
    bytes.store(number.cast_unsigned(), Relaxed);
}

pub(super) const THRESHOLD: Observed = Observed {
    get: |config| config.latency_threshold_ms().to_string(),
    check: |value| read_int(value, 0, i64::MAX).map(drop),
    set: |config, value| {
        let ms = parse_int(value).unwrap_or(0);
        config
            .latency_threshold_ms
            .store(ms.unsigned_abs(), Relaxed);
    },
};

pub(super) const TRACKING: Observed = Observed {
    get: |config| {
        if config.latency_tracking() {
            "yes"
        } else {
            "no"
        }
        .to_owned()
    },
    check: |value| read_switch(value).map(drop),
    set: |config, value| {
        let is_on = value.eq_ignore_ascii_case(b"yes");
        config.latency_tracking.store(is_on, Relaxed);
    },
};

pub(super) const PERCENTILES: Observed = Observed {
    get: |config| {
        let percentiles = config.percentiles.read();
        let texts = percentiles.iter().map(f64::to_string);
        texts.collect::<Vec<_>>().join(" ")
    },
    check: |value| match percentiles(value) {
        None => Err(
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                .to_owned(),
        ),
        Some(_) => Ok(()),
    },
    set: |config, value| *config.percentiles.write() = percentiles(value).unwrap_or_default(),
};

/// Percentiles with spaces between them.
fn percentiles(text: &[u8]) -> Option<Vec<f64>> {
    let words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let numbers = words.map(|word| word.parse().ok());
    numbers
        .map(|number| number.filter(|number| (0.0..=100.0).contains(number)))
        .collect()
}

/// `yes` or `no`.
pub(super) fn read_switch(value: &[u8]) -> Result<bool, String> {
    let is = |word: &[u8]| value.eq_ignore_ascii_case(word);
    match (is(b"yes"), is(b"no")) {
        (false, false) => Err("argument must be 'yes' or 'no'".to_owned()),
        (is_on, _) => Ok(is_on),
    }
}

/// A whole number from the first to the last of these.
pub(super) fn read_int(value: &[u8], min: i64, max: i64) -> Result<i64, String> {
    let number = parse_int(value).ok_or("argument couldn't be parsed into an integer")?;
    match (min..=max).contains(&number) {
        true => Ok(number),
        false => Err(format!(
            "argument must be between {min} and {max} inclusive"
        )),
    }
}
