//! The locks of a namespace.

use std::sync::Arc;
use std::time::Duration;

use larder_store::{Awaited, Error, Keys, Store};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::attempt::{Attempt, Outcome};
use super::calls::{self, Lock, TTL_MAX, TTL_MIN, check_ttl};
use super::guard::{Extension, Guard, Terms};
use super::lease::Lease;
use super::queue::Queues;
use super::releaser::Releaser;

/// Who holds a lock, as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The fencing token of the grant.
    pub token: u64,
    /// How long the holder has it, unless it is extended or released.
    pub remaining: Duration,
}

/// The locks of a namespace. Cloning it is cheap and shares it.
#[derive(Clone, Debug)]
pub struct Locks {
    store: Store,
    keys: Keys,
    terms: Terms,
    releaser: Arc<Releaser>,
    queues: Arc<Queues>,
}

impl Locks {
    /// The shortest time to live of a lock: below it, a slow answer is as long as the lock.
    pub const TTL_MIN: Duration = TTL_MIN;

    /// The longest time to live of a lock. Longer work needs no longer lock, as locks are extended.
    pub const TTL_MAX: Duration = TTL_MAX;

    /// Locks in this namespace, which live for half a minute and are extended automatically.
    pub fn new(store: &Store, namespace: &str) -> Locks {
        Locks {
            store: store.clone(),
            keys: Keys::new(namespace, "lock"),
            terms: Terms {
                ttl: Duration::from_secs(30),
                extension: Extension::default(),
                held_max: None,
            },
            releaser: Arc::default(),
            queues: Arc::default(),
        }
    }

    /// The same locks; those taken from here on live for this long, from each time that they are
    /// extended. It is what others wait for when a holder has crashed.
    ///
    /// # Panics
    ///
    /// If `ttl` is not within [`Locks::TTL_MIN`] and [`Locks::TTL_MAX`].
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Locks {
        let checked = check_ttl(ttl);
        assert!(checked.is_ok(), "{checked:?}");
        self.terms.ttl = ttl;
        self
    }

    /// The same locks; those taken from here on are extended like this.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Locks {
        self.terms.extension = extension;
        self
    }

    /// The same locks; those taken from here on are not extended automatically beyond this time from
    /// the grant, and then lost: a holder that hangs does not hold its lock for ever. Without it
    /// they are extended for as long as the [`Guard`] lives.
    #[must_use]
    pub fn held_max(mut self, time: Duration) -> Locks {
        self.terms.held_max = Some(time);
        self
    }

    /// Takes the lock if it is free. `None` if it is held.
    ///
    /// One round trip. A request that got no answer is sent again, which is safe: the store knows
    /// it by a number that the request carries, and does not grant it twice. If this is dropped
    /// before it is done, what it may have taken is given back in the background.
    ///
    /// # Errors
    ///
    /// Those of the store. What was taken, if anything was, is then given back in the background as
    /// soon as the store is there.
    pub async fn try_lock(&self, name: &str) -> Result<Option<Guard>, Error> {
        let mut attempt = self.attempt(name);
        match attempt.send().await? {
            Outcome::Taken(lease) => Ok(Some(attempt.into_guard(lease))),
            Outcome::Held { .. } => Ok(None),
        }
    }

    /// Takes the lock, and waits up to `wait` for it to be free. However short that is, the answer to
    /// the first request is waited for.
    ///
    /// One round trip if the lock is free. If it is not: another to listen for its release, and one
    /// each time it was released or may have expired. Of the clones of one `Locks` only one waits
    /// like this at a time, and the others behind it in order; between processes there is no order.
    ///
    /// # Errors
    ///
    /// Those of [`Locks::try_lock`], and [`Error::TimedOut`] if the lock was not free in time.
    pub async fn lock(&self, name: &str, wait: Duration) -> Result<Guard, Error> {
        let mut attempt = self.attempt(name);
        let asked = Instant::now();
        // A lock that is free is taken, also by those who can't wait as long as a server takes to
        // say so.
        let lease = match attempt.send().await? {
            Outcome::Taken(lease) => lease,
            Outcome::Held { .. } => {
                let rest = wait.saturating_sub(asked.elapsed());
                let waited = timeout(rest, self.wait_in_turn(name, &mut attempt)).await;
                let timed_out = |_| Error::TimedOut {
                    what: Awaited::Lock,
                    waited: wait,
                };
                waited.map_err(timed_out)??
            }
        };
        Ok(attempt.into_guard(lease))
    }

    async fn wait_in_turn(&self, name: &str, attempt: &mut Attempt) -> Result<Lease, Error> {
        let _turn = self.queues.turn(&self.keys.of(name)).await;
        attempt.wait().await
    }

    /// Who holds the lock, or `None` if it is free. One round trip.
    ///
    /// It is for people to look at: by the time that the answer is read it may be wrong.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn holder(&self, name: &str) -> Result<Option<Holder>, Error> {
        let holder = calls::holder(&self.store, self.keys.of(name)).await?;
        Ok(holder.map(|(token, remaining_ms)| Holder {
            token,
            remaining: Duration::from_millis(remaining_ms.try_into().unwrap_or(0)),
        }))
    }

    /// Waits until the guards that were dropped have been released, and ends the task that does it.
    /// If the store is away they are tried once more, and left to expire.
    ///
    /// A lock that is held now should be released before: if its guard is dropped afterwards, it is
    /// left to expire. Locks may be taken again; the task then begins anew.
    pub async fn close(&self) {
        self.releaser.close().await;
    }

    pub(super) fn attempt(&self, name: &str) -> Attempt {
        let lock = Lock::wanted(self.store.clone(), self.keys.of(name));
        Attempt::new(lock, self.terms, self.releaser.releases())
    }
}
