//! How long a worker has been in contact with the store.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a worker has been in contact with the store.
///
/// A worker that could not give its signs of life does not know whether the others could: the store
/// may have been away or full for all of them. So the silence of others says something only to one
/// who was heard himself all the time.
#[derive(Debug)]
pub(super) struct Contact {
    /// Between two signs of life, at most.
    gap_max: Duration,
    /// From the first to the last sign of those without a gap.
    signs: Mutex<Option<(Instant, Instant)>>,
}

impl Contact {
    pub(super) fn new(gap_max: Duration) -> Contact {
        Contact {
            gap_max,
            signs: Mutex::new(None),
        }
    }

    /// A sign of life that was given at this time was noted by the store, or was not.
    pub(super) fn sign(&self, given: Instant, is_noted: bool) {
        let mut signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        *signs = is_noted.then(|| match *signs {
            Some((first, last)) if given - last <= self.gap_max => (first, given),
            _ => (given, given),
        });
    }

    /// Whether there is contact, and has been for this time.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        let signs = *self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        signs.is_some_and(|(first, last)| last.elapsed() <= self.gap_max && first.elapsed() >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn contact_lasts_from_the_first_sign_after_a_gap() {
        let contact = Contact::new(SECOND);
        for _ in 0..3 {
            contact.sign(Instant::now(), true);
            tokio::time::advance(SECOND).await;
        }
        assert!(contact.lasts(SECOND * 3));

        contact.sign(Instant::now(), false);
        assert!(!contact.lasts(Duration::ZERO));

        contact.sign(Instant::now(), true);
        tokio::time::advance(SECOND * 2).await;
        assert!(!contact.lasts(Duration::ZERO), "there was a gap");
        contact.sign(Instant::now(), true);
        assert!(contact.lasts(Duration::ZERO) && !contact.lasts(SECOND));
    }
}
