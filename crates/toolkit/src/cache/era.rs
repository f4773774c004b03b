//! What a process remembers of the version of its namespace, so that it need not ask before each write.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::entry::Version;

/// How often a process makes sure that the version lasts.
pub(super) const RENEWED: Duration = Duration::from_secs(24 * 60 * 60);

/// What this process knows of the version of its namespace.
#[derive(Debug, Default)]
pub(super) struct Era {
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) version: Version,
    /// An entry that is kept so long ends before the version does; 0 for no end.
    pub(super) kept_ms: u64,
    pub(super) renewed: Instant,
}

impl Era {
    /// The version as it was when it was last met, if it outlives an entry that is kept so long.
    pub(super) fn known(&self, kept_ms: u64) -> Option<Version> {
        let known = (*self.lock())?;
        let outlives = known.kept_ms == 0 || (kept_ms > 0 && kept_ms <= known.kept_ms);
        (outlives && known.renewed.elapsed() < RENEWED).then_some(known.version)
    }

    pub(super) fn learn(&self, known: Known) {
        *self.lock() = Some(known);
    }

    /// Takes note of the version that was met when entries were written.
    pub(super) fn meet(&self, version: Version) {
        if let Some(known) = self.lock().as_mut() {
            known.version = version;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
