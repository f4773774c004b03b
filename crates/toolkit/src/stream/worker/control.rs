//! What the handles on a worker share with its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::Error;
use tokio::sync::Notify;
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
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.counters.metrics(self.hands.lock().len())
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
        self.changed.notify_one();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Notes that a request failed.
    pub(super) fn note(&self, error: &Error, what: &str) {
        add(&self.counters.errors, 1);
        tracing::warn!(consumer = self.consumer, %error, "a worker failed at {what}");
    }
}
