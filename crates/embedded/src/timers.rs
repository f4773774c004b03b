//! Wakes futures when their time is over.

use std::collections::BTreeMap;
use std::task::Waker;

use larder_engine::Ticks;
use parking_lot::Mutex;

/// Those who wait for a point in time, by the store's clock. The background thread wakes them, or
/// whoever moves a manual clock.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// By when, and in the order in which they came.
    wakers: BTreeMap<Place, Waker>,
}

/// By when somebody is to be woken, and who of several.
pub(crate) type Place = (Ticks, u64);

impl Timers {
    /// A place for somebody who waits until this point in time.
    pub(crate) fn place(&self, at: Ticks) -> Place {
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        (at, waiting.last)
    }

    /// Has the one at this place woken by this from now on.
    pub(crate) fn wait(&self, place: Place, waker: Waker) {
        self.waiting.lock().wakers.insert(place, waker);
    }

    /// Wakes the one at this place no more.
    pub(crate) fn leave(&self, place: Place) {
        self.waiting.lock().wakers.remove(&place);
    }

    /// When the first of them is to be woken.
    pub(crate) fn next(&self) -> Option<Ticks> {
        let waiting = self.waiting.lock();
        waiting.wakers.keys().next().map(|(at, _)| *at)
    }

    /// Wakes those whose time is over.
    pub(crate) fn ring(&self, now: Ticks) {
        let over = {
            let mut waiting = self.waiting.lock();
            let Some(after) = now.us().checked_add(1) else {
                return;
            };
            let later = waiting.wakers.split_off(&(Ticks::from_us(after), 0));
            std::mem::replace(&mut waiting.wakers, later)
        };
        over.into_values().for_each(Waker::wake);
    }
}
