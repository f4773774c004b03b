//! What happens to the connections of a store, for whoever wants to know.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

/// How many events are kept for a listener who is slow.
const KEPT: usize = 256;

/// What happened to the connections of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A connection to the server of this address was made.
    Connected(String),
    /// One was lost, for this reason.
    Lost(String, String),
    /// The circuit breaker of a server has opened, for this reason: calls are refused at once.
    BreakerOpened(String, String),
    /// The circuit breaker of a server has closed: it answers again.
    BreakerClosed(String),
    /// Another server is the master now: the one of this address.
    MasterChanged(String),
    /// The slots of a cluster are distributed anew.
    SlotsChanged,
}

/// Where a backend tells what happens to its connections. Clones tell the same listeners.
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    audience: Arc<Mutex<Audience>>,
}

#[derive(Debug, Default)]
struct Audience {
    listeners: Vec<Weak<Mutex<Kept>>>,
    is_closed: bool,
}

/// What one listener has still to read.
#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<ConnectionEvent>,
    is_over: bool,
    waker: Option<Waker>,
}

impl Announcer {
    /// Tells an event, if anybody listens. Nobody waits for those who do.
    pub fn tell(&self, event: impl FnOnce() -> ConnectionEvent) {
        let listeners = self.listeners();
        if listeners.is_empty() {
            return;
        }
        let event = event();
        for listener in listeners {
            let mut kept = lock(&listener);
            if kept.events.len() == KEPT {
                kept.events.pop_front();
            }
            kept.events.push_back(event.clone());
            wake(kept);
        }
    }

    /// What happens from now on.
    pub fn listen(&self) -> ConnectionEvents {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let mut audience = lock(&self.audience);
        lock(&kept).is_over = audience.is_closed;
        audience.listeners.push(Arc::downgrade(&kept));
        ConnectionEvents { kept }
    }

    /// Says that nothing will happen any more: listeners read what they have not read, and then the
    /// end.
    pub fn close(&self) {
        let mut audience = lock(&self.audience);
        audience.is_closed = true;
        audience.end();
    }

    /// Those who listen still.
    fn listeners(&self) -> Vec<Arc<Mutex<Kept>>> {
        let listeners = &mut lock(&self.audience).listeners;
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Audience {
    fn end(&self) {
        for listener in self.listeners.iter().filter_map(Weak::upgrade) {
            let mut kept = lock(&listener);
            kept.is_over = true;
            wake(kept);
        }
    }
}

impl Drop for Audience {
    /// Who could tell anything is gone.
    fn drop(&mut self) {
        self.end();
    }
}

/// What happens to the connections of a store, as a stream: [`Store::connection_events`].
///
/// Of events that are not read in time the oldest are skipped.
///
/// [`Store::connection_events`]: crate::Store::connection_events
pub struct ConnectionEvents {
    kept: Arc<Mutex<Kept>>,
}

impl ConnectionEvents {
    /// The events of a store that has no connections: none.
    pub fn none() -> ConnectionEvents {
        let kept = Kept {
            is_over: true,
            ..Kept::default()
        };
        ConnectionEvents {
            kept: Arc::new(Mutex::new(kept)),
        }
    }

    /// The next event, or `None` when there will be no more: the store was closed, is gone, or has no
    /// connections.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<ConnectionEvent>> {
        let mut kept = lock(&self.kept);
        if let Some(event) = kept.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if kept.is_over {
            return Poll::Ready(None);
        }
        kept.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for ConnectionEvents {
    type Item = ConnectionEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<ConnectionEvent>> {
        self.poll(context)
    }
}

impl fmt::Debug for ConnectionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionEvents").finish_non_exhaustive()
    }
}

/// Wakes a listener, behind the lock: it may read at once.
fn wake(mut kept: MutexGuard<'_, Kept>) {
    let waker = kept.waker.take();
    drop(kept);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn event(number: usize) -> ConnectionEvent {
        ConnectionEvent::Connected(number.to_string())
    }

    fn poll(events: &mut ConnectionEvents) -> Poll<Option<ConnectionEvent>> {
        events.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn each_listener_hears_what_happens_from_when_it_began_to_listen() {
        let announcer = Announcer::default();
        let mut early = announcer.listen();
        announcer.tell(|| event(1));
        let mut late = announcer.clone().listen();
        announcer.tell(|| event(2));
        assert_eq!(poll(&mut early), Poll::Ready(Some(event(1))));
        assert_eq!(poll(&mut early), Poll::Ready(Some(event(2))));
        assert_eq!(poll(&mut late), Poll::Ready(Some(event(2))));
        assert_eq!(poll(&mut late), Poll::Pending);
    }

    #[test]
    fn nothing_is_made_for_nobody() {
        let announcer = Announcer::default();
        drop(announcer.listen());
        announcer.tell(|| unreachable!("nobody listens"));
    }

    #[test]
    fn whoever_is_slow_loses_the_oldest() {
        let announcer = Announcer::default();
        let mut events = announcer.listen();
        (0..KEPT + 3).for_each(|number| announcer.tell(|| event(number)));
        assert_eq!(poll(&mut events), Poll::Ready(Some(event(3))));
        let rest = std::iter::from_fn(|| match poll(&mut events) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        });
        assert_eq!(rest.last(), Some(event(KEPT + 2)));
    }

    #[test]
    fn the_end_comes_behind_what_was_not_read_and_for_whoever_listens_later_at_once() {
        let announcer = Announcer::default();
        let mut events = announcer.listen();
        announcer.tell(|| event(1));
        announcer.close();
        assert_eq!(poll(&mut events), Poll::Ready(Some(event(1))));
        assert_eq!(poll(&mut events), Poll::Ready(None));
        assert_eq!(poll(&mut announcer.listen()), Poll::Ready(None));
        assert_eq!(poll(&mut ConnectionEvents::none()), Poll::Ready(None));
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_listener_that_waits_is_woken_by_an_event_and_by_the_end() {
        let announcer = Announcer::default();
        let mut events = announcer.listen();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let _ = events.poll(&mut Context::from_waker(&waker));
        announcer.tell(|| event(1));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(poll(&mut events).is_ready());
        let _ = events.poll(&mut Context::from_waker(&waker));
        drop(announcer);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert_eq!(poll(&mut events), Poll::Ready(None));
    }
}
