//! What a stream forgets, and where reading begins.

use std::time::Duration;

use serde::Serialize;

use super::Id;
use super::entry::count;
use crate::Ttl;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first entry that is still there.
    Earliest,
    /// With what is added from now on.
    Latest,
    /// With the first entry after this one.
    After(Id),
}

/// Which entries a stream forgets. There is no default: one kind of stream fills the memory, and
/// the others lose what nobody has read; which of these is right only its owner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// None, until somebody deletes them.
    Never,
    /// Those that every group has handled. Workers do it now and then, and
    /// [`Stream::trim_handled`](super::Stream::trim_handled) does it at once. A stream without a
    /// group loses nothing, and one with a group that nobody serves any more grows: workers of the
    /// other groups warn of it.
    Handled,
    /// The oldest, when there are more than about this many, handled or not. There may be some
    /// more, never fewer.
    MaxLen(u64),
    /// Those that are older than about this, handled or not, whenever an entry is added. Some may
    /// stay longer.
    MaxAge(Duration),
}

/// What [`Stream::trim_handled`](super::Stream::trim_handled) did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trimmed {
    /// How many entries were dropped.
    pub dropped: u64,
    /// The group for which the others are kept.
    pub kept_for: Option<String>,
    /// For how long none of that group's consumers was heard of; `None` if it has none.
    pub silence: Option<Duration>,
}

impl Trim {
    /// What the scripts are told: the kind of bound, and the bound.
    pub(super) fn words(self) -> (&'static str, i64) {
        match self {
            Trim::Never | Trim::Handled => ("", 0),
            Trim::MaxLen(len) => ("MAXLEN", count(len)),
            Trim::MaxAge(age) => ("MAXAGE", count(age.min(Ttl::MAX).as_millis())),
        }
    }
}

impl Start {
    /// The id behind which a group begins, as the store has it.
    pub(super) fn behind(self) -> String {
        match self {
            Start::Earliest => "0".to_owned(),
            Start::Latest => "$".to_owned(),
            Start::After(id) => id.to_string(),
        }
    }
}
