//! Futures that are dropped before they are done.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// Polls a future and drops it when it waits for the `n`th time; the first is number 1. `None` if it
/// was dropped, and what it gave if it was done before.
///
/// A caller who goes away drops what it was doing at any place where it waits. On a [`Faulty`] store
/// each call waits before the request leaves, while the request is on its way, and while the answer is.
///
/// [`Faulty`]: crate::Faulty
///
/// # Examples
///
/// ```
/// # larder_testing::simulate(async |world| {
/// use larder_testing::dropped_at;
///
/// let store = world.store("shop");
/// assert_eq!(dropped_at(1, store.incr("visits")).await, None); // it has not left
/// assert_eq!(dropped_at(2, store.incr("visits")).await, None); // it is on its way, and will run
/// world.settled().await;
/// assert_eq!(store.incr("visits").await?, 2);
/// # Ok(()) });
/// ```
pub async fn dropped_at<F: Future>(n: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waits = 0;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            waits += 1;
            match waits >= n {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        }
    })
    .await
}

/// Does something again and again, and drops it at its first wait, at its second, and so on, until it
/// gets done before it would be dropped. `check` is called after each time, with what was done if it
/// was. Gives the number of places where it was dropped.
///
/// # Examples
///
/// ```
/// # larder_testing::simulate(async |world| {
/// use larder_testing::at_every_await;
///
/// let store = world.store("shop");
/// let dropped = at_every_await(
///     async || store.incr("visits").await,
///     async |done| world.settled().await,
/// );
/// assert!(dropped.await >= 3);
/// # Ok(()) });
/// ```
pub async fn at_every_await<T>(
    mut make: impl AsyncFnMut() -> T,
    mut check: impl AsyncFnMut(Option<T>),
) -> usize {
    for n in 1.. {
        let done = dropped_at(n, make()).await;
        let is_done = done.is_some();
        check(done).await;
        if is_done {
            return n - 1;
        }
    }
    unreachable!("the numbers have no end")
}
