//! What is noted of a call on its way.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What happens to a call on its way, noted by the backend that sends it: see [`Delivery::trail`].
///
/// [`Delivery::trail`]: crate::Delivery::trail
#[derive(Default)]
pub struct Trail {
    tries: AtomicU32,
    place: Mutex<Option<Place>>,
}

/// Where a call went.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) node: String,
    pub(crate) db: u32,
}

impl Trail {
    /// Notes that this node is asked for it.
    pub fn asked(&self, node: impl fmt::Display, db: u32) {
        self.tries.fetch_add(1, Ordering::Relaxed);
        let node = node.to_string();
        *self.place() = Some(Place { node, db });
    }

    /// Notes that several nodes are asked for it at once.
    pub fn asked_several(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
        *self.place() = None;
    }

    /// How often a node was chosen.
    pub(crate) fn tries(&self) -> u32 {
        self.tries.load(Ordering::Relaxed)
    }

    /// Takes the place of the node that was asked last, if it was one node.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.place().take()
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        // Nothing that is done under it can panic half-way.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Trail {
    /// Two calls are two, whatever happens to them.
    fn eq(&self, other: &Trail) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Trail {}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail")
            .field("tries", &self.tries)
            .finish_non_exhaustive()
    }
}
