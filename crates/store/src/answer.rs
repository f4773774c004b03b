//! The answer of a store: a future that needs no allocation when it is ready at once.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Error;

/// How many answers a thread takes that are ready at once, before a task lets others have a turn.
const TURN: u32 = 128;

/// What a store answers, now or later.
///
/// The embedded engine answers at once, without an allocation; a server answers when its reply has
/// come. A task that asks again and again for what is there at once lets the other tasks and timers of
/// its thread run now and then, whatever its runtime: one answer of some hundred is ready at the second
/// poll.
#[must_use = "an answer that is dropped may end the call"]
pub struct Answer<'a, T> {
    state: State<'a, T>,
}

// The tag takes a word of its own, so that what a value holds lies at a multiple of 16 bytes: the
// compiler copies answers in steps of 16 from their beginning, and values from behind their tag. Where
// these steps cut each other, the processor waits for each copy before it begins the next.
#[repr(u64)]
enum State<'a, T> {
    Ready(Option<Result<T, Error>>),
    Later(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<'a, T> Answer<'a, T> {
    /// An answer that is there already.
    pub fn ready(result: Result<T, Error>) -> Answer<'a, T> {
        Answer {
            state: State::Ready(Some(result)),
        }
    }

    /// An answer that comes when `future` is done.
    pub fn later(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Answer<'a, T> {
        Answer {
            state: State::Later(Box::pin(future)),
        }
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = Result<T, Error>;

    /// # Panics
    ///
    /// When it is polled again after it was ready, as futures may.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Ready(_) if is_turn_over() => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            State::Ready(result) => Poll::Ready(
                result
                    .take()
                    .expect("an answer is not polled after it was ready"),
            ),
            State::Later(future) => future.as_mut().poll(context),
        }
    }
}

/// Counts an answer that is given without an [`Answer`], and lets others have their turn if that is due.
#[inline]
pub(crate) fn turn() -> impl Future<Output = ()> {
    std::future::poll_fn(|context| match is_turn_over() {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
}

/// Counts an answer of this thread. Says whether it is the one behind which others have their turn.
#[inline]
fn is_turn_over() -> bool {
    thread_local! {
        static LEFT: Cell<u32> = const { Cell::new(TURN) };
    }
    let left = LEFT.get();
    LEFT.set(left.checked_sub(1).unwrap_or(TURN));
    left == 0
}
