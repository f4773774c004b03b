//! Something of which each thread has its own, so that threads do not wait for each other's cache
//! lines.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there are. With more threads than this, some share.
const LANES: usize = 16;

/// One `T` for each thread.
#[derive(Debug, Default)]
pub(crate) struct Lanes<T> {
    lanes: [Lane<T>; LANES],
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T> Lanes<T> {
    /// That of this thread.
    #[inline]
    pub(crate) fn own(&self) -> &T {
        &self.lanes[own_lane()].0
    }

    /// Those of all threads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.lanes.iter().map(|lane| &lane.0)
    }
}

#[inline]
fn own_lane() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let lane = LANE.get();
    if lane < LANES {
        return lane;
    }
    let lane = THREADS.fetch_add(1, Ordering::Relaxed) % LANES;
    LANE.set(lane);
    lane
}
