//! The sign of life.
//!
//! It has a task of its own, so that nothing that the worker waits for delays it.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior};

use super::calls::{Calls, PAGE};
use super::control::Control;
use super::metrics::add;

/// Shows three times in each `idle` that the worker is alive, and cancels the work that others have
/// taken over, until it is dropped.
pub(super) async fn beat(calls: Arc<Calls>, control: Arc<Control>) -> Infallible {
    let mut times = tokio::time::interval(calls.settings.idle / 3);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let in_hand = control.hands.lock().unended();
        let (first, others) = in_hand.split_at(in_hand.len().min(PAGE));
        // The first page goes in any case: it may be empty, and is the sign itself.
        for page in std::iter::once(first).chain(others.chunks(PAGE)) {
            let given = Instant::now();
            let asked = page.iter().map(|(_, id, deliveries)| (*id, *deliveries));
            let ours = match calls.beat(asked).await {
                Ok((is_noted, ours)) => {
                    control.contact.sign(given, is_noted);
                    ours
                }
                Err(error) => {
                    control.contact.sign(given, false);
                    control.note(&error, "showing that it is alive");
                    break;
                }
            };
            let mut held = control.hands.lock();
            let lost = page.iter().zip(ours).filter(|(_, ours)| !ours);
            let lost = lost.filter(|((task, ..), _)| held.lose(*task)).count();
            add(&control.counters.lost, lost as u64);
        }
    }
}
