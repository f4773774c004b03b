//! A lock that is held.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::releaser::Releases;
use super::request::Lock;
use super::{Error, Extension, Locks};

/// A lock that this process holds, until it is released, dropped or lost.
///
/// Dropping it gives the lock back in the background, by a task that the [`Locks`] own and
/// [`Locks::close`] joins; if that fails, the lock is free when its time to live is over.
/// [`Guard::release`] does it now, and says how it went.
#[derive(Debug)]
#[must_use = "dropping a guard gives the lock back"]
pub struct Guard {
    lock: Lock,
    token: u64,
    lease: watch::Sender<Lease>,
    /// The task that extends the lock. It ends with the guard.
    keeper: Option<JoinHandle<()>>,
    releases: Releases,
    released: bool,
}

/// How a lock was lost while its holder wanted to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// It could not be extended in time. The store may have given it to somebody else by now.
    #[error("the lock was not extended in time")]
    Expired,
    /// The store says that this holder does not have it: it expired there, or was deleted.
    #[error("the store no longer knows this holder of the lock")]
    Taken,
}

/// What the holder knows of its lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) token: u64,
    /// When the holder must stop relying on the lock, by its own clock.
    until: Instant,
    /// Once it is lost it stays lost.
    lost: Option<Lost>,
}

impl Lease {
    /// A lease that was asked for at `sent`, and granted.
    pub(super) fn new(token: u64, sent: Instant, ttl: Duration) -> Lease {
        Lease {
            token,
            until: sent + reliable(ttl),
            lost: None,
        }
    }

    fn lost(&self) -> Option<Lost> {
        self.lost
            .or_else(|| (self.until <= Instant::now()).then_some(Lost::Expired))
    }

    /// Notes that the lock was extended by a request sent at `sent`. An answer that comes after
    /// the holder was told of its loss changes nothing.
    fn extend(&mut self, sent: Instant, ttl: Duration) {
        self.lost = self.lost();
        self.until = self.until.max(sent + reliable(ttl));
    }
}

/// How much of a time to live can be relied on: clocks run at different speeds.
fn reliable(ttl: Duration) -> Duration {
    ttl - ttl / 100 - Duration::from_millis(2)
}

impl Guard {
    pub(super) fn new(
        lock: Lock,
        lease: Lease,
        ttl: Duration,
        extension: Extension,
        releases: Releases,
    ) -> Guard {
        let token = lease.token;
        let lease = watch::Sender::new(lease);
        let keeper = match extension {
            Extension::Automatic => Some(tokio::spawn(keep(lock.clone(), ttl, lease.clone()))),
            Extension::ByHand => None,
        };
        Guard {
            lock,
            token,
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
    /// [`Error::Ttl`] as for [`Locks::try_lock`], and [`Error::Store`] if the store gave no answer;
    /// the lock may then live longer or not, and [`Guard::remaining`] says what can be relied on.
    pub async fn extend(&self, ttl: Duration) -> Result<bool, Error> {
        if !(Locks::TTL_MIN..=Locks::TTL_MAX).contains(&ttl) {
            return Err(Error::Ttl { ttl });
        }
        Ok(extend(&self.lock, ttl, &self.lease).await?)
    }

    /// Gives the lock back. `false` if it was lost before that.
    ///
    /// One round trip, and another if no answer came. If this is dropped before it is done, the
    /// lock is given back in the background.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer. The lock is then free by the end of its time
    /// to live.
    pub async fn release(mut self) -> Result<bool, Error> {
        self.stop_keeper().await;
        let held = match self.lock.release().await {
            Err(larder_store::Error::Unanswered { .. }) => {
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
            self.releases.push(self.lock.clone());
        }
    }
}

/// Asks the store for a longer life, and notes what it said.
async fn extend(
    lock: &Lock,
    ttl: Duration,
    lease: &watch::Sender<Lease>,
) -> Result<bool, larder_store::Error> {
    let sent = Instant::now();
    let held = lock.extend(ttl).await?;
    lease.send_modify(|lease| match held {
        true => lease.extend(sent, ttl),
        false => lease.lost = Some(lease.lost.unwrap_or(Lost::Taken)),
    });
    Ok(held && lease.borrow().lost.is_none())
}

/// Extends a lock whenever a third of its time is over, until it is lost.
async fn keep(lock: Lock, ttl: Duration, lease: watch::Sender<Lease>) {
    loop {
        let until = lease.borrow().until;
        let third_over = until.checked_sub(ttl * 2 / 3).unwrap_or(until);
        tokio::time::sleep_until(third_over).await;
        match tokio::time::timeout_at(until, extend(&lock, ttl, &lease)).await {
            Ok(Ok(true)) => {}
            Ok(Err(error)) => {
                tracing::warn!(lock = %lock.key, %error, "a lock was not extended");
                // Soon enough for several tries in the time that is left.
                tokio::time::sleep((ttl / 10).min(Duration::from_secs(1))).await;
            }
            Ok(Ok(false)) | Err(_) => return,
        }
    }
}
