//! What the handles on a worker share with its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::hands::Hands;
use super::metrics::{Counters, Metrics, add};
use super::settings::Settings;

#[derive(Debug)]
pub(super) struct Control {
    pub(super) consumer: String,
    /// Fires when the worker is to end.
    pub(super) stop: CancellationToken,
    /// Tells that `is_paused` has changed.
    pub(super) changed: Notify,
    pub(super) counters: Arc<Counters>,
    pub(super) hands: Hands,
    pub(super) contact: Contact,
    is_paused: AtomicBool,
    /// Whether more may come into its hands: until it has seen that it is paused, and no read is under way.
    takes: watch::Sender<bool>,
}

impl Control {
    pub(super) fn new(settings: &Settings, counters: Arc<Counters>) -> Control {
        Control {
            consumer: settings.consumer.clone(),
            stop: CancellationToken::new(),
            changed: Notify::new(),
            counters,
            hands: Hands::default(),
            // One sign of three may be late.
            contact: Contact::new(settings.idle * 2 / 3),
            is_paused: AtomicBool::new(false),
            takes: watch::Sender::new(true),
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.counters.metrics(self.hands.lock().len())
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
        self.changed.notify_one();
        // Whoever waits until nothing is taken waits no longer if it is.
        self.takes.send_modify(|_| {});
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Notes whether a read is under way.
    pub(super) fn note_reading(&self, is_reading: bool) {
        let takes = is_reading || !self.is_paused();
        self.takes
            .send_if_modified(|old| std::mem::replace(old, takes) != takes);
    }

    /// Waits until nothing more is taken, or the worker is paused no longer.
    pub(super) async fn rests(&self) {
        let mut takes = self.takes.subscribe();
        // The sender is here.
        let _ = takes.wait_for(|takes| !takes || !self.is_paused()).await;
    }

    /// Notes that a request failed.
    pub(super) fn note(&self, error: &Error, what: &str) {
        add(&self.counters.errors, 1);
        tracing::warn!(consumer = self.consumer, %error, "a worker failed at {what}");
    }
}
