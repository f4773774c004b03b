//! What to do while the store gives no answers.

use std::str::FromStr;

use larder_store::Error;
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;

use crate::text;

/// What [`Cache::get_or_set`](super::Cache::get_or_set) does while the store gives no answers. In a file of
/// settings it is `fail`, or `load 64`.
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

impl FromStr for WithoutStore {
    type Err = Error;

    fn from_str(text: &str) -> Result<WithoutStore, Error> {
        let loads = text.strip_prefix("load ").map(str::parse);
        match (text, loads) {
            ("fail", _) => Ok(WithoutStore::Fail),
            (_, Some(Ok(at_once @ 1..))) => Ok(WithoutStore::Load { at_once }),
            _ => Err(Error::invalid(format_args!(
                "without a store a cache does \"fail\", or \"load 64\" with any number above zero, not {text:?}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for WithoutStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WithoutStore, D::Error> {
        text::deserialize(deserializer)
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
