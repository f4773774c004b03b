//! How a client looks at keys, where that is not as everybody does.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// How a command looks at keys: as everybody does, if none of these is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner(u8);

impl Manner {
    /// What it looks up does not count as used: CLIENT NO-TOUCH.
    pub(crate) const UNTOUCHING: Manner = Manner(1);
    /// It brings data from another server, and in import mode it sees what has expired:
    /// CLIENT IMPORT-SOURCE.
    pub(crate) const IMPORTING: Manner = Manner(2);

    /// Whether this is so.
    #[inline]
    pub(crate) fn is(self, manner: Manner) -> bool {
        self.0 & manner.0 != 0
    }
}

/// The [`Manner`] of a client, which others may look at.
#[derive(Debug, Default)]
pub(crate) struct SharedManner(AtomicU8);

impl SharedManner {
    #[inline]
    pub(crate) fn load(&self) -> Manner {
        Manner(self.0.load(Relaxed))
    }

    /// Has this be so, or not.
    pub(crate) fn set(&self, manner: Manner, is_so: bool) {
        match is_so {
            true => self.0.fetch_or(manner.0, Relaxed),
            false => self.0.fetch_and(!manner.0, Relaxed),
        };
    }
}
