//! Events of one subscription that wait to be read.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use larder_store::Event;
use parking_lot::Mutex;

/// Events that wait to be read: so many at most, the oldest go first.
#[derive(Debug)]
pub(crate) struct Queue {
    len_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    lost: u64,
    is_closed: bool,
    reader: Option<Waker>,
}

impl Queue {
    pub(crate) fn new(len_max: usize) -> Queue {
        Queue {
            len_max,
            state: Mutex::default(),
        }
    }

    pub(crate) fn put(&self, event: Event) {
        let mut state = self.state.lock();
        // One gap is as good as several in a row.
        if event == Event::Gap && state.events.back() == Some(&Event::Gap) {
            return;
        }
        if state.events.len() >= self.len_max {
            state.events.pop_front();
            state.lost += 1;
        }
        state.events.push_back(event);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// There will be no more events.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state.lock();
        if state.lost > 0 {
            return Poll::Ready(Some(Event::Lagged(std::mem::take(&mut state.lost))));
        }
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}
