//! A lock that is held.

use std::future::Future;
use std::time::Duration;

use larder_store::Error;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::calls::{Lock, TTL_MIN, check_ttl};
use super::lease::{Lease, Lost};
use super::releaser::Releases;

/// Who keeps a lock from expiring while its [`Guard`] lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extension {
    /// A task that the guard owns extends the lock whenever a third of its time to live is over.
    #[default]
    Automatic,
    /// Nobody but [`Guard::extend`]. The lock is lost when its time to live is over.
    ByHand,
}

/// For how long a lock is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) ttl: Duration,
    pub(super) extension: Extension,
    /// The longest that it is extended for, counted from the grant.
    pub(super) held_max: Option<Duration>,
}

/// A lock that this process holds, until it is released, dropped or lost.
///
/// Dropping it gives the lock back in the background, by a task that the
/// [`Locks`](super::Locks) own and [`Locks::close`](super::Locks::close) joins. If the store is away,
/// that task tries until it is back, or the time to live is over. [`Guard::release`] does it now, and
/// says how it went.
#[derive(Debug)]
#[must_use = "dropping a guard gives the lock back"]
pub struct Guard {
    lock: Lock,
    token: u64,
    ttl: Duration,
    lease: watch::Sender<Lease>,
    /// The task that extends the lock. It ends with the guard.
    keeper: Option<JoinHandle<()>>,
    releases: Releases,
    released: bool,
}

impl Guard {
    pub(super) fn new(lock: Lock, lease: Lease, terms: Terms, releases: Releases) -> Guard {
        let token = lease.token;
        let lease = watch::Sender::new(lease);
        let keeper = match terms.extension {
            Extension::Automatic => Some(tokio::spawn(keep(lock.clone(), terms, lease.clone()))),
            Extension::ByHand => None,
        };
        Guard {
            lock,
            token,
            ttl: terms.ttl,
            lease,
            keeper,
            releases,
            released: false,
        }
    }

    /// The fencing token: larger than that of every earlier holder of this lock.
    ///
    /// Send it along with what you write under the lock, and let the other side refuse a token that
    /// is smaller than the largest it has seen.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// How long the lock can be relied on if it is not extended; zero if it is lost.
    pub fn remaining(&self) -> Duration {
        let lease = *self.lease.borrow();
        match lease.lost() {
            Some(_) => Duration::ZERO,
            None => lease.until.saturating_duration_since(Instant::now()),
        }
    }

    /// Waits until the lock is lost. That it is released is no loss.
    pub async fn lost(&self) -> Lost {
        let mut lease = self.lease.subscribe();
        loop {
            let now = *lease.borrow_and_update();
            if let Some(lost) = now.lost() {
                return lost;
            }
            tokio::select! {
                biased;
                _ = lease.changed() => {}
                () = tokio::time::sleep_until(now.until) => {}
            }
        }
    }

    /// Does `work` while the lock is held, and drops it unfinished when the lock is lost.
    ///
    /// What `work` began elsewhere (a task, a request) is not undone.
    ///
    /// # Errors
    ///
    /// How the lock was lost.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            lost = self.lost() => Err(lost),
            done = work => Ok(done),
        }
    }

    /// Makes the lock live for `ttl` from now, or longer if it would have lived longer.
    ///
    /// `false` if the lock is lost, which [`Guard::lost`] then tells as well. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `ttl` is not within [`Locks::TTL_MIN`](super::Locks::TTL_MIN) and
    /// [`Locks::TTL_MAX`](super::Locks::TTL_MAX), and those of the store: the lock may then live
    /// longer or not, and [`Guard::remaining`] says what can be relied on.
    pub async fn extend(&self, ttl: Duration) -> Result<bool, Error> {
        check_ttl(ttl)?;
        extend(&self.lock, ttl, &self.lease).await
    }

    /// Gives the lock back. `false` if it was lost before that.
    ///
    /// One round trip, and another if no answer came. If this is dropped before it is done, the
    /// lock is given back in the background.
    ///
    /// # Errors
    ///
    /// Those of the store. The lock is then given back in the background as soon as the store is
    /// there, and is free by the end of its time to live at the latest.
    pub async fn release(mut self) -> Result<bool, Error> {
        self.stop_keeper().await;
        let held = match self.lock.release().await {
            Err(error) if error.is_in_doubt() => {
                let still_held = self.lock.release().await?;
                // Nobody else can have had the lock within its time: the first request gave it back.
                still_held || !self.remaining().is_zero()
            }
            answer => answer?,
        };
        self.released = true;
        Ok(held)
    }

    async fn stop_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.abort();
            // It was cancelled, which is what was wanted.
            let _ = keeper.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
        if !self.released {
            self.releases
                .push(self.lock.clone(), self.ttl.max(self.remaining()));
        }
    }
}

/// Asks the store for a longer life, and notes what it said.
async fn extend(lock: &Lock, ttl: Duration, lease: &watch::Sender<Lease>) -> Result<bool, Error> {
    let sent = Instant::now();
    let held = lock.extend(ttl).await?;
    lease.send_modify(|lease| match held {
        true => lease.extend(sent, ttl),
        false => lease.lose(Lost::Taken),
    });
    Ok(held && lease.borrow().lost().is_none())
}

/// Extends a lock whenever a third of its time is over, until it is lost or has been held for as long
/// as it may be.
async fn keep(lock: Lock, terms: Terms, lease: watch::Sender<Lease>) {
    let begun = Instant::now();
    let end = terms.held_max.and_then(|max| begun.checked_add(max));
    loop {
        let until = lease.borrow().until;
        let third_over = until.checked_sub(terms.ttl * 2 / 3).unwrap_or(until);
        tokio::time::sleep_until(third_over).await;
        let rest = end.map_or(terms.ttl, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if rest < TTL_MIN {
            return;
        }
        let ttl = terms.ttl.min(rest);
        match tokio::time::timeout_at(until, extend(&lock, ttl, &lease)).await {
            Ok(Ok(true)) if ttl == terms.ttl => {}
            Ok(Err(error)) => {
                tracing::warn!(lock = %lock.key, %error, "a lock was not extended");
                // Soon enough for several tries in the time that is left.
                tokio::time::sleep((terms.ttl / 10).min(Duration::from_secs(1))).await;
            }
            // It is lost, or was extended for the last time.
            Ok(Ok(_)) | Err(_) => return,
        }
    }
}
