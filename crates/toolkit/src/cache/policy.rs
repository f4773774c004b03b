//! What to do while the store gives no answers.

use tokio::sync::Semaphore;

/// What [`Cache::get_or_set`](super::Cache::get_or_set) does while the store gives no answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStore {
    /// It loads each value, once for all who wait for it in this process, and keeps none.
    Load {
        /// How many loads run at once; further ones wait for their turn. At least one.
        at_once: usize,
    },
    /// It fails.
    Fail,
}

impl Default for WithoutStore {
    /// Loads up to 64 values at once: an outage of the cache is none of the application.
    fn default() -> WithoutStore {
        WithoutStore::Load { at_once: 64 }
    }
}

impl WithoutStore {
    /// A permit for each load that may run at once.
    pub(super) fn permits(self) -> Semaphore {
        Semaphore::new(match self {
            WithoutStore::Load { at_once } => at_once.min(Semaphore::MAX_PERMITS),
            WithoutStore::Fail => 0,
        })
    }
}
