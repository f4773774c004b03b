//! What took long, by the second: LATENCY. Kept while `latency-monitor-threshold` is set.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::Now;
use crate::sync::Mutex;

/// How many samples of an event are kept.
const SAMPLES: usize = 160;

/// The events that took long.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

/// When an event took long, and how long.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The longest that it ever took.
    pub(crate) longest_ms: u64,
    /// The oldest first; of each second the longest.
    pub(crate) samples: VecDeque<Sample>,
}

/// How long an event took in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// In Unix seconds.
    pub(crate) at_s: u64,
    pub(crate) took_ms: u64,
}

impl Latency {
    /// Notes that an event took so long.
    pub(crate) fn add(&self, event: &'static str, now: Now, took_ms: u64) {
        self.events.lock().entry(event).or_default().add(Sample {
            at_s: now.unix_ms() / 1000,
            took_ms,
        });
    }

    /// All events, by name.
    pub(crate) fn events(&self) -> Vec<(&'static str, Series)> {
        let events = self.events.lock();
        let events = events.iter();
        events
            .map(|(name, series)| (*name, series.clone()))
            .collect()
    }

    /// The event of this name, in any case.
    pub(crate) fn event(&self, name: &[u8]) -> Option<(&'static str, Series)> {
        let mut events = self.events().into_iter();
        events.find(|(event, _)| name.eq_ignore_ascii_case(event.as_bytes()))
    }

    /// Forgets the events with these names, or all if there are none. Answers how many those were.
    pub(crate) fn forget(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|event, _| {
            let mut named = names.iter();
            !names.is_empty() && !named.any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
        });
        before - events.len()
    }
}

impl Series {
    fn add(&mut self, sample: Sample) {
        self.longest_ms = self.longest_ms.max(sample.took_ms);
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => {
                last.took_ms = last.took_ms.max(sample.took_ms);
            }
            _ => self.samples.push_back(sample),
        }
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Now {
        Now::from_unix_us(s * 1_000_000)
    }

    #[test]
    fn of_each_second_the_longest_is_kept_and_the_oldest_go() {
        let latency = Latency::default();
        for s in 0..200 {
            latency.add("command", at(s), 5 + s);
            latency.add("command", at(s), 4);
        }
        let (_, series) = latency.event(b"COMMAND").expect("it was added");
        assert_eq!(series.samples.len(), SAMPLES);
        let last = Sample {
            at_s: 199,
            took_ms: 204,
        };
        assert_eq!(series.samples.back(), Some(&last));
        assert_eq!(series.longest_ms, 204);
    }

    #[test]
    fn events_are_forgotten_by_name_or_all() {
        let latency = Latency::default();
        for event in ["command", "fast-command", "expire-cycle"] {
            latency.add(event, at(1), 5);
        }
        assert_eq!(latency.forget(&[b"COMMAND", b"nope"]), 1);
        assert_eq!(latency.forget(&[]), 2);
    }
}
