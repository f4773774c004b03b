//! The locks of a namespace.

use std::sync::Arc;
use std::time::Duration;

use larder_store::{Keys, Script, Store};
use tokio::time::Instant;

use super::Guard;
use super::releaser::Releaser;
use super::request::{Answer, Attempt, Lock};

static HOLDER: Script = Script::new(include_str!("holder.lua"));

/// Why there is no lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The time to live is too short or too long. Nothing was asked.
    #[error(
        "a lock lives from {:?} to {:?}, not {ttl:?}",
        Locks::TTL_MIN,
        Locks::TTL_MAX
    )]
    Ttl {
        /// What was wanted.
        ttl: Duration,
    },

    /// Somebody else held the lock for as long as the caller was ready to wait.
    #[error("the lock was not free within {wait:?}")]
    TimedOut {
        /// How long the caller waited.
        wait: Duration,
    },

    /// The store gave no answer. What was asked of it may have happened; if it was to take a lock,
    /// the lock is given back in the background.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// Who keeps a lock from expiring while its [`Guard`] lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// A task that the guard owns extends the lock whenever a third of its time to live is over.
    #[default]
    Automatic,
    /// Nobody but [`Guard::extend`]. The lock is lost when its time to live is over.
    ByHand,
}

/// Who holds a lock, as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    extension: Extension,
    releaser: Arc<Releaser>,
}

impl Locks {
    /// The shortest time to live of a lock: below it, a slow answer is as long as the lock.
    pub const TTL_MIN: Duration = Duration::from_millis(10);

    /// The longest time to live of a lock. Longer work needs no longer lock, as locks are extended.
    pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// Locks in this namespace, which are extended automatically.
    pub fn new(store: &Store, namespace: &str) -> Locks {
        Locks {
            store: store.clone(),
            keys: Keys::new(namespace, "lock"),
            extension: Extension::default(),
            releaser: Arc::default(),
        }
    }

    /// The same locks; those taken from here on are extended like this.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Locks {
        self.extension = extension;
        self
    }

    /// Takes the lock if it is free, for `ttl` or until it is released. `None` if it is held.
    ///
    /// One round trip. A request that got no answer is sent again, which is safe: the store knows
    /// it by a number that the request carries, and does not grant it twice. If this is dropped
    /// before it is done, what it may have taken is given back in the background.
    ///
    /// # Errors
    ///
    /// [`Error::Ttl`] if `ttl` is not within [`Locks::TTL_MIN`] and [`Locks::TTL_MAX`], and
    /// [`Error::Store`] if the store gave no answer.
    pub async fn try_lock(&self, name: &str, ttl: Duration) -> Result<Option<Guard>, Error> {
        let mut attempt = self.attempt(name, ttl)?;
        match attempt.send().await? {
            Answer::Taken(lease) => Ok(Some(attempt.into_guard(lease))),
            Answer::Held { .. } => Ok(None),
        }
    }

    /// Takes the lock, for `ttl` or until it is released, and waits up to `wait` for it to be free.
    /// However short that is, the answer to the first request is waited for.
    ///
    /// One round trip if the lock is free. If it is not: another to listen for its release, and one
    /// each time it was released or may have expired. Waiters are not served in order.
    ///
    /// # Errors
    ///
    /// Those of [`Locks::try_lock`], and [`Error::TimedOut`] if the lock was not free in time.
    pub async fn lock(&self, name: &str, ttl: Duration, wait: Duration) -> Result<Guard, Error> {
        let mut attempt = self.attempt(name, ttl)?;
        let asked = Instant::now();
        // A lock that is free is taken, also by those who can't wait as long as a server takes to
        // say so.
        let lease = match attempt.send().await? {
            Answer::Taken(lease) => lease,
            Answer::Held { .. } => {
                let rest = wait.saturating_sub(asked.elapsed());
                match tokio::time::timeout(rest, attempt.wait()).await {
                    Ok(lease) => lease?,
                    Err(_) => return Err(Error::TimedOut { wait }),
                }
            }
        };
        Ok(attempt.into_guard(lease))
    }

    /// Who holds the lock, or `None` if it is free. One round trip.
    ///
    /// It is for people to look at: by the time that the answer is read it may be wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer.
    pub async fn holder(&self, name: &str) -> Result<Option<Holder>, Error> {
        let holder: Option<(u64, u64)> =
            HOLDER.on(&self.store).key(self.keys.of(name)).run().await?;
        Ok(holder.map(|(token, remaining_ms)| Holder {
            token,
            remaining: Duration::from_millis(remaining_ms),
        }))
    }

    /// Waits until the guards that were dropped have been released, and ends the task that does it.
    ///
    /// A lock that is held now should be released before: if its guard is dropped afterwards, it is
    /// left to expire. Locks may be taken again; the task then begins anew.
    pub async fn close(&self) {
        self.releaser.close().await;
    }

    pub(super) fn attempt(&self, name: &str, ttl: Duration) -> Result<Attempt, Error> {
        if !(Locks::TTL_MIN..=Locks::TTL_MAX).contains(&ttl) {
            return Err(Error::Ttl { ttl });
        }
        let lock = Lock::wanted(self.store.clone(), self.keys.of(name));
        Ok(Attempt::new(
            lock,
            ttl,
            self.extension,
            self.releaser.releases(),
        ))
    }
}
