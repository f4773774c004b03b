//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::Now;

/// What has happened since the start.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Now,
    commands: AtomicU64,
    expired_keys: AtomicU64,
}

impl Stats {
    pub(crate) fn new(now: Now) -> Stats {
        Stats {
            started: now,
            commands: AtomicU64::new(0),
            expired_keys: AtomicU64::new(0),
        }
    }

    /// When the engine was made.
    pub(crate) fn started(&self) -> Now {
        self.started
    }

    pub(crate) fn command(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    pub(crate) fn expired(&self, keys: usize) {
        if keys > 0 {
            self.expired_keys.fetch_add(keys as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn expired_keys(&self) -> u64 {
        self.expired_keys.load(Ordering::Relaxed)
    }
}
