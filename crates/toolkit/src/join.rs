//! Futures side by side in one task, as many as there are.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A future, or what has come of it.
enum Place<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

/// Runs futures side by side until all are done, and gives what came of them, in their order.
pub(crate) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut places: Vec<_> = futures
        .into_iter()
        .map(|future| Place::Running(Box::pin(future)))
        .collect();
    poll_fn(|context| {
        let mut is_done = true;
        for place in &mut places {
            if let Place::Running(future) = place {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *place = Place::Done(output),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    let outputs = places.into_iter().filter_map(|place| match place {
        Place::Done(output) => Some(output),
        Place::Running(_) => None,
    });
    outputs.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn futures_run_side_by_side_and_keep_their_order() {
        let begun = Instant::now();
        let futures = [3, 1, 2].map(|seconds| async move {
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        assert_eq!(super::all(futures).await, [3, 1, 2]);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        assert_eq!(super::all([] as [std::future::Ready<()>; 0]).await, []);
    }
}
