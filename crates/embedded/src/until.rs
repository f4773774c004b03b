//! The wait for a point in time, by a store's clock.

use std::pin::Pin;
use std::task::{Context, Poll};

use larder_engine::{Ticks, TimeSource};

use crate::embedded::Core;
use crate::timers::Place;

impl Core {
    /// Waits until this point in time.
    pub(crate) fn until(&self, at: Ticks) -> Until<'_> {
        Until {
            core: self,
            place: self.timers.place(at),
        }
    }
}

/// Is done at its point in time. Dropping it ends the wait.
pub(crate) struct Until<'a> {
    core: &'a Core,
    place: Place,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (at, _) = self.place;
        self.core.timers.wait(self.place, context.waker().clone());
        // Looked at only now: who rings after this look finds the waker there.
        if self.core.ticks() >= at {
            return Poll::Ready(());
        }
        self.core.wake_at(at);
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.core.timers.leave(self.place);
    }
}
