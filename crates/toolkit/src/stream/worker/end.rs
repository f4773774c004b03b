//! How a delivery ends.

use std::time::Duration;

use crate::stream::Id;

/// The end of a delivery, as the store is told of it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) id: Id,
    pub(super) deliveries: u32,
    pub(super) how: How,
}

/// How a delivery ends.
#[derive(Clone, Debug)]
pub(super) enum How {
    Done,
    Retry { after: Duration },
    Dead { error: String },
}

/// What became of an [`End`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The delivery is ended.
    Done,
    /// It was not this consumer's any more.
    NotOurs,
    /// The store refused to note what is to become of the entry, which stays pending.
    Refused,
}

impl From<u32> for Settled {
    fn from(code: u32) -> Settled {
        match code {
            0 => Settled::NotOurs,
            1 => Settled::Done,
            _ => Settled::Refused,
        }
    }
}
