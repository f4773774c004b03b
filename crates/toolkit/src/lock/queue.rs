//! Those of one process who wait for the same lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use larder_store::Key;
use tokio::sync::OwnedMutexGuard;

/// Lets one of a process ask for a lock at a time, in the order in which they came: the others need
/// neither a subscription nor a round trip of their own.
#[derive(Debug, Default)]
pub(super) struct Queues {
    by_key: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

/// The right to ask for a lock, until it is dropped.
pub(super) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Queues {
    /// Waits until nobody of this process asks for the lock.
    pub(super) async fn turn(&self, key: &Key) -> Turn {
        let queue = self.queue(key);
        Turn {
            _guard: queue.lock_owned().await,
        }
    }

    fn queue(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut by_key = self.by_key();
        // Queues that nobody stands in any more go when their number has doubled, so that the cost
        // of looking for them is spread.
        if by_key.len() == by_key.capacity() {
            by_key.retain(|_, queue| queue.strong_count() > 0);
        }
        match by_key.entry(key.clone()) {
            Entry::Occupied(mut entry) => entry.get().upgrade().unwrap_or_else(|| {
                let queue = Arc::default();
                entry.insert(Arc::downgrade(&queue));
                queue
            }),
            Entry::Vacant(entry) => {
                let queue = Arc::default();
                entry.insert(Arc::downgrade(&queue));
                queue
            }
        }
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<Key, Weak<tokio::sync::Mutex<()>>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use larder_store::Keys;

    use super::*;

    #[tokio::test]
    async fn queues_that_nobody_stands_in_are_forgotten() {
        let (queues, keys) = (Queues::default(), Keys::new("shop", "lock"));
        for number in 0..10_000 {
            drop(queues.turn(&keys.of(&number.to_string())).await);
        }
        assert!(queues.by_key().len() < 100, "{}", queues.by_key().len());
    }
}
