//! What is known of the commands that have run, together.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::Observers;
use super::counters::Counters;
use super::errors::Errors;
use super::histogram::Histograms;
use super::latency::Latency;
use super::monitor::Monitors;
use super::slowlog::SlowLog;
use crate::engine::{Engine, Now};
use crate::keyspace::FreedAside;
use crate::per_thread::{Count, PerThread};
use crate::sync::Mutex;

/// What has happened since the start, or since CONFIG RESETSTAT, and who looks at it.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(super) observers: Observers,
    pub(crate) counters: Counters,
    pub(crate) errors: Errors,
    pub(crate) histograms: Histograms,
    pub(crate) slowlog: SlowLog,
    /// Commands whose requests were large.
    pub(crate) large_requests: SlowLog,
    /// Commands whose replies were large.
    pub(crate) large_replies: SlowLog,
    pub(crate) latency: Latency,
    pub(crate) monitors: Monitors,
    pub(crate) traffic: PerThread<Traffic>,
    /// How many microseconds it has taken to remove what had expired.
    pub(crate) expiring_us: AtomicU64,
    pub(crate) freed_aside: Arc<FreedAside>,
    started: Now,
    rates: Mutex<Rates>,
}

/// What came and went through sockets.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) read_bytes: Count,
    pub(crate) reads: Count,
    pub(crate) written_bytes: Count,
    pub(crate) writes: Count,
    /// Connections that were closed at once, since there were too many.
    pub(crate) rejected: Count,
    /// Connections that were closed since all together held too much.
    pub(crate) evicted_clients: Count,
    /// Connections that were closed since they had sent more than was answered yet.
    pub(crate) beyond_query_limit: Count,
    /// Connections that were closed since they did not take their answers.
    pub(crate) beyond_output_limit: Count,
}

/// How much of something there was in a second, over the last ticks.
#[derive(Debug)]
struct Rates {
    at: Now,
    next: usize,
    commands: Rate,
    read_bytes: Rate,
    written_bytes: Rate,
}

/// How much of one thing there was in a second.
#[derive(Debug, Default)]
struct Rate {
    /// How much there had been at the last tick.
    before: u64,
    per_second: [u64; Rate::SAMPLES],
}

impl Rate {
    const SAMPLES: usize = 16;

    fn sample(&mut self, place: usize, count: u64, us: u64) {
        let more = count.saturating_sub(self.before);
        self.per_second[place] = more.saturating_mul(1_000_000) / us;
        self.before = count;
    }

    fn average(&self) -> u64 {
        self.per_second.iter().sum::<u64>() / Rate::SAMPLES as u64
    }
}

/// How much there is in a second now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerSecond {
    pub(crate) commands: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
}

impl Stats {
    pub(crate) fn new(now: Now) -> Stats {
        Stats {
            observers: Observers::default(),
            counters: Counters::default(),
            errors: Errors::default(),
            histograms: Histograms::default(),
            slowlog: SlowLog::default(),
            large_requests: SlowLog::default(),
            large_replies: SlowLog::default(),
            latency: Latency::default(),
            monitors: Monitors::default(),
            started: now,
            traffic: PerThread::default(),
            expiring_us: AtomicU64::new(0),
            freed_aside: Arc::default(),
            rates: Mutex::new(Rates {
                at: now,
                next: 0,
                commands: Rate::default(),
                read_bytes: Rate::default(),
                written_bytes: Rate::default(),
            }),
        }
    }

    /// Since when there has been an engine, in whole seconds since the Unix epoch.
    pub(crate) fn started_s(&self) -> u64 {
        self.started.unix_us() / 1_000_000
    }

    /// How long there has been an engine, in whole seconds.
    pub(crate) fn uptime_s(&self, now: Now) -> u64 {
        now.unix_us().saturating_sub(self.started.unix_us()) / 1_000_000
    }

    /// The sum of something that is counted of sockets.
    pub(crate) fn traffic(&self, count: fn(&Traffic) -> &Count) -> u64 {
        self.traffic.iter().map(|lane| count(lane).get()).sum()
    }

    /// Takes a sample of how much there is in a second.
    pub(crate) fn tick(&self, now: Now) {
        let mut rates = self.rates.lock();
        let us = now.unix_us().saturating_sub(rates.at.unix_us());
        // Ticks that come close together, as deadlines make them, say nothing.
        if us < 50_000 {
            return;
        }
        let place = rates.next;
        (rates.at, rates.next) = (now, (place + 1) % Rate::SAMPLES);
        rates.commands.sample(place, self.counters.calls(), us);
        let read_bytes = self.traffic(|traffic| &traffic.read_bytes);
        rates.read_bytes.sample(place, read_bytes, us);
        let written_bytes = self.traffic(|traffic| &traffic.written_bytes);
        rates.written_bytes.sample(place, written_bytes, us);
    }

    /// How much there is in a second now.
    pub(crate) fn per_second(&self) -> PerSecond {
        let rates = self.rates.lock();
        PerSecond {
            commands: rates.commands.average(),
            read_bytes: rates.read_bytes.average(),
            written_bytes: rates.written_bytes.average(),
        }
    }

    /// Begins all counters anew.
    pub(crate) fn reset(&self) {
        self.counters.reset();
        self.errors.reset();
        self.histograms.reset();
        self.expiring_us.store(0, Relaxed);
        self.freed_aside.reset();
        for traffic in self.traffic.iter() {
            traffic.read_bytes.reset();
            traffic.reads.reset();
            traffic.written_bytes.reset();
            traffic.writes.reset();
            traffic.rejected.reset();
            traffic.evicted_clients.reset();
            traffic.beyond_query_limit.reset();
            traffic.beyond_output_limit.reset();
        }
        let mut rates = self.rates.lock();
        rates.commands = Rate::default();
        rates.read_bytes = Rate::default();
        rates.written_bytes = Rate::default();
    }
}

/// What whoever has the sockets tells.
impl Engine {
    /// So many bytes have been read from a socket.
    #[inline]
    pub fn note_read(&self, bytes: usize) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.reads.add(1, is_shared);
        traffic.read_bytes.add(bytes as u64, is_shared);
    }

    /// So many bytes have been written to a socket.
    #[inline]
    pub fn note_written(&self, bytes: usize) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.writes.add(1, is_shared);
        traffic.written_bytes.add(bytes as u64, is_shared);
    }

    /// A connection has been closed at once, since there are too many.
    pub fn note_rejected_connection(&self) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.rejected.add(1, is_shared);
    }

    /// So many connections have been closed, since all together held more than `maxmemory-clients`.
    pub fn note_evicted_clients(&self, clients: u64) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.evicted_clients.add(clients, is_shared);
    }

    /// A connection has been closed, since more of its requests wait than `client-query-buffer-limit`
    /// allows.
    pub fn note_beyond_query_limit(&self) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.beyond_query_limit.add(1, is_shared);
    }

    /// A connection has been closed, since more waits for it than `client-output-buffer-limit` allows.
    pub fn note_beyond_output_limit(&self) {
        let (traffic, is_shared) = self.stats.traffic.own_or_shared();
        traffic.beyond_output_limit.add(1, is_shared);
    }
}
