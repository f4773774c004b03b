//! The sign of life.
//!
//! It has a task of its own, so that nothing that the worker waits for delays it.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use super::calls::{Calls, PAGE};
use super::hands::Hands;
use super::metrics::{Counters, add};

/// Shows three times in each `idle` that the worker is alive, and cancels the work that others have
/// taken over, until it is dropped.
pub(super) async fn beat(
    calls: Arc<Calls>,
    hands: Arc<Hands>,
    counters: Arc<Counters>,
) -> Infallible {
    let mut times = tokio::time::interval(calls.settings.idle / 3);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let in_hand = hands.lock().current();
        let (first, others) = in_hand.split_at(in_hand.len().min(PAGE));
        // The first page goes in any case: it may be empty, and is the sign itself.
        for page in std::iter::once(first).chain(others.chunks(PAGE)) {
            let asked = page.iter().map(|(_, id, deliveries)| (*id, *deliveries));
            let ours = match calls.beat(asked).await {
                Ok(ours) => ours,
                Err(error) => {
                    add(&counters.errors, 1);
                    tracing::warn!(%error, "a worker could not show that it is alive");
                    break;
                }
            };
            let mut held = hands.lock();
            let lost = page.iter().zip(ours).filter(|(_, ours)| !ours);
            let lost = lost.filter(|((task, ..), _)| held.lose(*task)).count();
            add(&counters.lost, lost as u64);
        }
    }
}
