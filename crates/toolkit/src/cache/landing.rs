//! One outcome that many wait for.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// Where an outcome is waited for. Clones wait for the same one, and are told in the order in which they
/// began to wait.
#[derive(Clone, Debug)]
pub(super) struct Landing<T>(Arc<Shared<T>>);

/// Who says what the outcome is. Dropped without a word, there is none.
#[derive(Debug)]
pub(super) struct Teller<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    told: OnceLock<Option<T>>,
    waiting: Notify,
}

/// An outcome that is to be told.
pub(super) fn landing<T>() -> (Teller<T>, Landing<T>) {
    let shared = Arc::new(Shared {
        told: OnceLock::new(),
        waiting: Notify::new(),
    });
    (Teller(Arc::clone(&shared)), Landing(shared))
}

impl<T: Clone> Landing<T> {
    /// The outcome, when it is told; `None` if there is none.
    pub(super) async fn outcome(&self) -> Option<T> {
        // Before it looks: what is told from here on wakes it.
        let woken = self.0.waiting.notified();
        if self.0.told.get().is_none() {
            woken.await;
        }
        self.0.told.get()?.clone()
    }
}

impl<T> Teller<T> {
    pub(super) fn tell(self, outcome: T) {
        // It can't have been told: this is the only one who does.
        let _ = self.0.told.set(Some(outcome));
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        // An error says that there is an outcome.
        let _ = self.0.told.set(None);
        self.0.waiting.notify_waiters();
    }
}
