//! What a backend answers near reads with.

use serde::Serialize;

use super::mark::Freshness;
use crate::{Answer, Command, Value};

/// What a backend has to be that answers near reads.
///
/// What is asked of it was found to be [pure](crate::shape::is_pure).
pub trait ReadNear: Send + Sync + 'static {
    /// The answer that is kept for a command, if it is still fresh.
    fn kept(&self, command: &Command) -> Option<(Value, Freshness)>;

    /// Asks the store, and hears of changes from then on if that is possible.
    fn read(&self, command: Command, keep: Keep) -> Answer<'_, (Value, Freshness)>;

    /// How it went so far.
    fn stats(&self) -> NearStats;
}

/// What is kept of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The answer.
    Answer,
    /// Whether it is fresh: its caller keeps what he makes of it.
    Freshness,
}

/// How near reads went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NearStats {
    /// Reads that were answered from what is kept.
    pub hits: u64,
    /// Reads for which the store was asked.
    pub misses: u64,
    /// Keys that were forgotten since they may have changed.
    pub invalidations: u64,
    /// Keys that were forgotten to make room for others.
    pub evictions: u64,
    /// How many bytes are taken: by keys, by answers and by what is noted of them.
    pub bytes: usize,
    /// How many keys are noted, those whose answers are kept elsewhere included.
    pub entries: usize,
}
