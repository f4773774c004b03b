//! How long commands take, as a distribution: INFO latencystats and LATENCY HISTOGRAM.
//!
//! Times are kept in buckets with two significant digits, as Redis keeps them (the scheme is that of
//! HdrHistogram, <https://hdrhistogram.github.io/HdrHistogram/>):
//!
//! ```text
//! nanoseconds   0..256   256..512   512..1024   1024..2048   ...   up to a second
//! width         1        2          4           8            ...   128 buckets each
//! ```

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::command::Row;
use crate::commands::{self, ROWS};

/// How many buckets each doubling of the time has.
const HALF: u64 = 128;

/// Longer times are counted as this.
const LONGEST_NS: u64 = 1_000_000_000;

const BUCKETS: usize = place(LONGEST_NS) + 1;

/// The times of all commands that have been timed.
#[derive(Debug)]
pub(crate) struct Histograms {
    rows: Box<[OnceLock<Histogram>]>,
}

/// The times of one command.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Default for Histograms {
    fn default() -> Histograms {
        let rows = std::iter::repeat_with(OnceLock::new).take(ROWS);
        let rows = rows.collect();
        Histograms { rows }
    }
}

impl Histograms {
    /// Notes that a command took so long, for so many calls.
    pub(super) fn record(&self, command: &'static Row, took_us: u64, calls: u64) {
        let histogram = self.rows[commands::number(command)].get_or_init(Histogram::default);
        histogram.record(took_us.saturating_mul(1000), calls);
    }

    /// The times of a command, if it has been timed.
    pub(crate) fn of(&self, command: &'static Row) -> Option<Snapshot> {
        let histogram = self.rows[commands::number(command)].get()?;
        Some(histogram.snapshot()).filter(|snapshot| snapshot.calls > 0)
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        let histograms = self.rows.iter().filter_map(OnceLock::get);
        let buckets = histograms.flat_map(|histogram| histogram.buckets.iter());
        buckets.for_each(|bucket| bucket.store(0, Relaxed));
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS);
        let buckets = buckets.collect();
        Histogram { buckets }
    }
}

impl Histogram {
    fn record(&self, ns: u64, calls: u64) {
        // Redis counts what took no time as a nanosecond.
        let ns = ns.clamp(1, LONGEST_NS);
        self.buckets[place(ns)].fetch_add(calls, Relaxed);
    }

    /// What is counted now.
    fn snapshot(&self) -> Snapshot {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let counts: Vec<u64> = counts.collect();
        let calls = counts.iter().sum();
        Snapshot { counts, calls }
    }
}

/// The times of a command at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    counts: Vec<u64>,
    /// How many calls it has.
    pub(crate) calls: u64,
}

impl Snapshot {
    /// The time within which so many percent of the calls were done, in nanoseconds: the longest that
    /// falls into the same bucket.
    pub(crate) fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.calls as f64 + 0.5) as u64;
        let wanted = wanted.clamp(1, self.calls.max(1));
        let mut sum = 0;
        for (place, count) in self.counts.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                return longest_in(place);
            }
        }
        LONGEST_NS
    }

    /// How many calls took no longer than about 1, 2, 4, 8 and so on microseconds, as far as the
    /// number grows.
    pub(crate) fn doublings(&self) -> Vec<(u64, u64)> {
        let (mut doublings, mut sum, mut place_next) = (Vec::new(), 0, 0);
        let mut end_ns: u64 = 1024;
        while sum < self.calls {
            let longest = longest_in(place(end_ns.min(LONGEST_NS)));
            let until = place(longest) + 1;
            let more: u64 = self.counts[place_next..until].iter().sum();
            (sum, place_next) = (sum + more, until);
            if more > 0 {
                doublings.push((longest / 1000, sum));
            }
            end_ns *= 2;
        }
        doublings
    }
}

/// The bucket of a time.
const fn place(ns: u64) -> usize {
    let doublings = (u64::BITS - (ns | (2 * HALF - 1)).leading_zeros()) as u64 - 8;
    (doublings * HALF + (ns >> doublings)) as usize
}

/// The longest time that falls into a bucket.
fn longest_in(place: usize) -> u64 {
    let place = place as u64;
    let doublings = (place / HALF).saturating_sub(1);
    ((place - doublings * HALF + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_a_bucket_that_is_narrow_and_ends_behind_it() {
        let mut last = 0;
        for ns in (0..10_000).chain((1..1000).map(|n| n * 1_000_000)) {
            let longest = longest_in(place(ns));
            assert!(ns <= longest && longest - ns <= ns / 64, "{ns}: {longest}");
            assert!(place(ns) == last || place(ns) > last, "{ns}");
            last = place(ns);
        }
        assert_eq!(place(LONGEST_NS) + 1, BUCKETS);
    }

    /// As redis-server 7.0.15 says them of commands that took so long.
    #[test]
    fn percentiles_are_those_of_redis() {
        for (us, wanted_ns) in [
            (0, 1),
            (1, 1003),
            (2, 2007),
            (6, 6015),
            (19, 19_071),
            (79, 79_359),
            (348, 348_159),
            (1015, 1_015_807),
        ] {
            let histogram = Histogram::default();
            histogram.record(us * 1000, 3);
            let snapshot = histogram.snapshot();
            assert_eq!(snapshot.percentile_ns(50.0), wanted_ns, "{us}");
            assert_eq!(snapshot.percentile_ns(99.9), wanted_ns, "{us}");
        }
    }

    #[test]
    fn times_are_counted_up_to_each_doubling() {
        let histogram = Histogram::default();
        for us in [1, 3, 3, 7, 300] {
            histogram.record(us * 1000, 1);
        }
        let wanted = [(1, 1), (4, 3), (8, 4), (528, 5)];
        assert_eq!(histogram.snapshot().doublings(), wanted);
    }
}
