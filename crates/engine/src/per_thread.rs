//! Something of which each thread has its own, so that threads do not wait for each other's cache
//! lines.
//!
//! The first threads have a lane each and give it back when they end; all others share the last
//! lane. So a counter in a lane that is not shared has one writer, and adding to it is a load and a
//! store: [`Count`].

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicU32, process_wide, thread_local};

/// How many there are.
const LANES: usize = 16;

/// The one that has many threads.
const SHARED: usize = LANES - 1;

/// One `T` for each thread.
#[derive(Debug, Default)]
pub(crate) struct PerThread<T> {
    lanes: [Lane<T>; LANES],
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T> PerThread<T> {
    /// That of this thread.
    #[inline]
    pub(crate) fn own(&self) -> &T {
        self.own_or_shared().0
    }

    /// That of this thread, and whether other threads have it too.
    #[inline]
    pub(crate) fn own_or_shared(&self) -> (&T, bool) {
        let lane = own_lane();
        (&self.lanes[lane].0, lane == SHARED)
    }

    /// Those of all threads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.lanes.iter().map(|lane| &lane.0)
    }
}

/// A counter in a lane.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds to it, and answers what it was. Only for a thread that has the lane.
    #[inline]
    pub(crate) fn add(&self, more: u64, is_shared: bool) -> u64 {
        if is_shared {
            return self.0.fetch_add(more, Relaxed);
        }
        let before = self.0.load(Relaxed);
        self.0.store(before.wrapping_add(more), Relaxed);
        before
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Begins anew. What is counted at the same moment may be lost, or stay.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

#[inline]
fn own_lane() -> usize {
    let lane = LANE.get();
    match lane < LANES {
        true => lane,
        false => take_lane(),
    }
}

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Apart from the number, which is read without a look at whether it has to be dropped.
    static TAKEN: Cell<Option<Taken>> = const { Cell::new(None) };
}

process_wide! {
    /// The lanes that threads have for themselves, a bit each.
    static IN_USE: AtomicU32 = AtomicU32::new(0);
}

/// A lane of this thread alone, which is given back when the thread ends.
struct Taken(usize);

impl Drop for Taken {
    fn drop(&mut self) {
        LANE.set(SHARED);
        // With it goes what this thread has left in the lane: the next one adds to that.
        IN_USE.fetch_and(!(1 << self.0), Release);
    }
}

#[cold]
fn take_lane() -> usize {
    let take = |used: u32| {
        let free = used.trailing_ones() as usize;
        (free < SHARED).then(|| used | (1 << free))
    };
    let taken = IN_USE.fetch_update(Acquire, Relaxed, take);
    let lane = taken.map_or(SHARED, |used| used.trailing_ones() as usize);
    LANE.set(lane);
    if lane < SHARED {
        TAKEN.set(Some(Taken(lane)));
    }
    lane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_with_more_threads_than_lanes() {
        let lanes: PerThread<Count> = PerThread::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * LANES {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let (count, is_shared) = lanes.own_or_shared();
                        count.add(1, is_shared);
                    }
                });
            }
        });
        let sum: u64 = lanes.iter().map(Count::get).sum();
        assert_eq!(sum, 3 * LANES as u64 * 1000);
    }
}
