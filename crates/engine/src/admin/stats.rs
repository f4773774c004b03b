//! Counters.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use crate::engine::Now;
use crate::lanes::Lanes;

/// What has happened since the start, or since CONFIG RESETSTAT.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Now,
    /// Commands that held no shard, or several. The others are counted in the shards.
    commands: Lanes<AtomicU64>,
    rate: Mutex<Rate>,
}

/// How many commands there were in a second, over the last ticks.
#[derive(Debug)]
struct Rate {
    commands: u64,
    at: Now,
    per_second: [u64; Rate::SAMPLES],
    next: usize,
}

impl Rate {
    const SAMPLES: usize = 16;
}

impl Stats {
    pub(crate) fn new(now: Now) -> Stats {
        Stats {
            started: now,
            commands: Lanes::default(),
            rate: Mutex::new(Rate {
                commands: 0,
                at: now,
                per_second: [0; Rate::SAMPLES],
                next: 0,
            }),
        }
    }

    /// How long there has been an engine, in whole seconds.
    pub(crate) fn uptime_s(&self, now: Now) -> u64 {
        now.unix_us().saturating_sub(self.started.unix_us()) / 1_000_000
    }

    /// Counts a command that held no shard, or several.
    #[inline]
    pub(crate) fn command(&self) {
        self.commands.own().fetch_add(1, Relaxed);
    }

    /// How many commands held no shard, or several.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.iter().map(|lane| lane.load(Relaxed)).sum()
    }

    /// Takes a sample of how many commands there are in a second, after so many that held one shard.
    pub(crate) fn tick(&self, now: Now, in_shards: u64) {
        let mut rate = self.rate.lock();
        let us = now.unix_us().saturating_sub(rate.at.unix_us());
        // Ticks that come close together, as deadlines make them, say nothing.
        if us < 50_000 {
            return;
        }
        let commands = self.commands() + in_shards;
        let next = rate.next;
        rate.per_second[next] = commands.saturating_sub(rate.commands) * 1_000_000 / us;
        rate.next = (next + 1) % Rate::SAMPLES;
        (rate.commands, rate.at) = (commands, now);
    }

    /// How many commands there are in a second now.
    pub(crate) fn commands_per_s(&self) -> u64 {
        self.rate.lock().per_second.iter().sum::<u64>() / Rate::SAMPLES as u64
    }

    /// Begins all counters anew.
    pub(crate) fn reset(&self) {
        self.commands.iter().for_each(|lane| lane.store(0, Relaxed));
        let mut rate = self.rate.lock();
        rate.commands = 0;
        rate.per_second = [0; Rate::SAMPLES];
    }
}
