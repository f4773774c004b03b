//! Wakes futures when their time is over.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use larder_engine::{Ticks, TimeSource};
use parking_lot::Mutex;

use crate::embedded::Core;

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
    wakers: BTreeMap<(Ticks, u64), Waker>,
}

impl Timers {
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

impl Core {
    /// Waits until this point in time.
    pub(crate) fn until(&self, at: Ticks) -> Until<'_> {
        let mut waiting = self.timers.waiting.lock();
        waiting.last += 1;
        Until {
            core: self,
            place: (at, waiting.last),
        }
    }
}

/// Is done at its point in time. Dropping it ends the wait.
pub(crate) struct Until<'a> {
    core: &'a Core,
    place: (Ticks, u64),
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let timers = &self.core.timers;
        let waker = context.waker().clone();
        timers.waiting.lock().wakers.insert(self.place, waker);
        // Looked at only now: who rings after this look finds the waker there.
        if self.core.ticks() >= self.place.0 {
            return Poll::Ready(());
        }
        self.core.wake_at(self.place.0);
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.core.timers.waiting.lock().wakers.remove(&self.place);
    }
}
