//! A request for a lock.

use std::time::Duration;

use larder_store::{Error, Subscription, jitter};
use tokio::time::Instant;

use super::calls::{Answer, Lock};
use super::guard::{Guard, Terms};
use super::lease::Lease;
use super::releaser::Releases;

/// How often a request is sent that gets no answer.
const TRIES: u32 = 3;

/// The longest that a waiter relies on being woken.
const POLL_MAX: Duration = Duration::from_secs(1);

/// How often a waiter asks that can't be woken.
const POLL: Duration = Duration::from_millis(50);

/// A request for a lock. If it is dropped while nobody knows whether it was granted, the lock is
/// given back in the background.
pub(super) struct Attempt {
    lock: Lock,
    terms: Terms,
    releases: Releases,
    /// A request is on its way, or one was sent and none was answered.
    in_doubt: bool,
}

/// What came of a request.
pub(super) enum Outcome {
    Taken(Lease),
    Held { remaining: Duration },
}

impl Attempt {
    pub(super) fn new(lock: Lock, terms: Terms, releases: Releases) -> Attempt {
        Attempt {
            lock,
            terms,
            releases,
            in_doubt: false,
        }
    }

    /// Asks for the lock, again if no answer comes.
    pub(super) async fn send(&mut self) -> Result<Outcome, Error> {
        let mut tries = 1;
        loop {
            match self.send_once().await {
                Err(error) if error.is_in_doubt() && tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    async fn send_once(&mut self) -> Result<Outcome, Error> {
        // The deadline counts from before the request is sent: the store's clock starts later.
        let sent = Instant::now();
        let was_in_doubt = std::mem::replace(&mut self.in_doubt, true);
        let answer = self.lock.acquire(self.terms.ttl).await;
        // Only an answer tells what an earlier request has done. One that was refused, or never left,
        // says of itself alone that it did nothing.
        self.in_doubt = match &answer {
            Ok(Answer::Taken { .. }) => true,
            Ok(Answer::Held { .. }) => false,
            Err(error) => was_in_doubt || error.is_in_doubt(),
        };
        self.lock.may_come_late |= answer.as_ref().is_err_and(Error::is_in_doubt);
        Ok(match answer? {
            Answer::Taken { token } => Outcome::Taken(Lease::new(token, sent, self.terms.ttl)),
            Answer::Held { remaining } => Outcome::Held { remaining },
        })
    }

    /// Asks for a lock that was held, whenever it may be free, until it is granted.
    pub(super) async fn wait(&mut self) -> Result<Lease, Error> {
        let channels = self.lock.wakes().await;
        let store = self.lock.store.clone();
        // A waiter that can't be woken asks more often.
        let mut wakes = store.subscribe(channels).await.ok();
        loop {
            // Only after listening, or a release in between would be missed.
            match self.send().await? {
                Outcome::Taken(lease) => return Ok(lease),
                Outcome::Held { remaining } => sleep_until_free(remaining, &mut wakes).await,
            }
        }
    }

    pub(super) fn into_guard(mut self, lease: Lease) -> Guard {
        let lock = self.lock.clone();
        // From here on it is the guard that gives the lock back.
        (self.in_doubt, self.lock.may_come_late) = (false, false);
        Guard::new(lock, lease, self.terms, self.releases.clone())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.in_doubt || self.lock.may_come_late {
            self.lock.may_come_late = true;
            self.releases.push(self.lock.clone(), self.terms.ttl);
        }
    }
}

/// Waits for a release, or for the lock to expire, or until it is time to look again.
async fn sleep_until_free(remaining: Duration, wakes: &mut Option<Subscription>) {
    let poll = if wakes.is_some() { POLL_MAX } else { POLL };
    // The jitter keeps waiters apart that wait for the same lock to expire.
    let pause = remaining.min(poll).max(Duration::from_millis(1)) + jitter(POLL);
    let woken = async {
        match wakes {
            Some(subscription) => subscription.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        event = woken => if event.is_none() { *wakes = None },
        () = tokio::time::sleep(pause) => {}
    }
}
