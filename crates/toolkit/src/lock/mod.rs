//! Locks by name, held by one process at a time.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use std::time::Duration;
//! use larder_toolkit::lock::Locks;
//!
//! let locks = Locks::new(&store, "shop");
//! let ttl = Duration::from_secs(10);
//! let guard = locks.lock("stock.42", ttl, Duration::from_secs(2)).await?;
//!
//! let sold = guard.run(async { "one less in stock" }).await;
//! assert_eq!(sold, Ok("one less in stock"));
//! assert!(guard.release().await?);
//! # Ok(()) });
//! ```
//!
//! A lock has three keys, in one hash slot:
//!
//! ```text
//! {ns:lock:NAME}          hash: owner (a random number for each request), token; with a TTL
//! {ns:lock:NAME}:fence    the last fencing token, remembered for a day longer
//! {ns:lock:NAME}:free     a channel: the lock was released
//! ```
//!
//! # What a lock promises, and what it does not
//!
//! The store gives a lock to one request at a time, and takes it back when its time to live is
//! over: a holder that crashed blocks nobody for longer than that. So a holder can lose the lock
//! while it works, if its process is paused or the store can't be reached for as long. Then:
//!
//! - the holder is told: [`Guard::lost`] is ready and [`Guard::run`] drops the work. Both go by the
//!   monotonic clock of this process, counted from before the request was sent, so they come before
//!   the store gives the lock to somebody else;
//! - a holder that is paused can't be told. Whatever the lock protects should therefore refuse a
//!   [`Guard::token`] smaller than the largest that it has seen. Tokens grow with each grant, also
//!   over a failover that lost the last one, as long as the servers' clocks agree to within the
//!   time that a failover takes.
//!
//! A server that fails over to a replica may forget a grant, and grant the lock again: the tokens
//! of the two grants differ.
//!
//! Waiters are woken by the release and compete; there is no queue among them.
//!
//! Sources: M. Kleppmann, "How to do distributed locking" (fencing tokens); Redis documentation,
//! "Distributed Locks with Redis" (the drift that is taken off the local deadline).

mod guard;
mod releaser;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use larder_store::{Channels, Key, Keys, Script, Store, Subscription};
use tokio::time::Instant;

use guard::Lease;
use releaser::{Releaser, Releases};

pub use guard::{Guard, Lost};

static ACQUIRE: Script = Script::new(include_str!("acquire.lua"));
static EXTEND: Script = Script::new(include_str!("extend.lua"));
static RELEASE: Script = Script::new(include_str!("release.lua"));
static HOLDER: Script = Script::new(include_str!("holder.lua"));

/// How long the last fencing token is remembered after the lock has expired: the largest step back
/// of a server's clock that tokens survive.
const TOKEN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a request is sent that gets no answer.
const TRIES: u32 = 3;

/// The longest that a waiter relies on being woken.
const POLL_MAX: Duration = Duration::from_secs(1);

/// How often a waiter asks that can't be woken.
const POLL: Duration = Duration::from_millis(50);

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
    ///
    /// One round trip if the lock is free. If it is not: another to listen for its release, and one
    /// each time it was released or may have expired. Waiters are not served in order.
    ///
    /// # Errors
    ///
    /// Those of [`Locks::try_lock`], and [`Error::TimedOut`] if the lock was not free in time.
    pub async fn lock(&self, name: &str, ttl: Duration, wait: Duration) -> Result<Guard, Error> {
        let mut attempt = self.attempt(name, ttl)?;
        let lease = match tokio::time::timeout(wait, attempt.wait()).await {
            Ok(lease) => lease?,
            Err(_) => return Err(Error::TimedOut { wait }),
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

    fn attempt(&self, name: &str, ttl: Duration) -> Result<Attempt, Error> {
        if !(Locks::TTL_MIN..=Locks::TTL_MAX).contains(&ttl) {
            return Err(Error::Ttl { ttl });
        }
        Ok(Attempt {
            lock: Lock {
                store: self.store.clone(),
                key: self.keys.of(name),
                owner: hex::encode(rand::random::<[u8; 16]>()),
            },
            ttl,
            extension: self.extension,
            releases: self.releaser.releases(),
            in_doubt: false,
        })
    }
}

/// A lock that a request wants or has.
#[derive(Clone, Debug)]
struct Lock {
    store: Store,
    key: Key,
    /// The number of the request.
    owner: String,
}

impl Lock {
    /// Where the release is told.
    fn channel(&self) -> String {
        self.key.part("free").to_string()
    }

    async fn extend(&self, ttl: Duration) -> Result<bool, larder_store::Error> {
        EXTEND
            .on(&self.store)
            .key(self.key.clone())
            .arg(&self.owner)
            .arg(ttl)
            .run()
            .await
    }

    async fn release(&self) -> Result<bool, larder_store::Error> {
        RELEASE
            .on(&self.store)
            .key(self.key.clone())
            .arg(&self.owner)
            .arg(self.channel())
            .run()
            .await
    }
}

/// A request for a lock. If it is dropped while nobody knows whether it was granted, the lock is
/// given back in the background.
struct Attempt {
    lock: Lock,
    ttl: Duration,
    extension: Extension,
    releases: Releases,
    /// A request is on its way, or was sent and not answered.
    in_doubt: bool,
}

enum Answer {
    Taken(Lease),
    Held { remaining: Duration },
}

impl Attempt {
    /// Asks for the lock, again if no answer comes.
    async fn send(&mut self) -> Result<Answer, Error> {
        let mut tries = 1;
        loop {
            match self.send_once().await {
                Err(larder_store::Error::Unanswered { .. }) if tries < TRIES => tries += 1,
                answer => return Ok(answer?),
            }
        }
    }

    async fn send_once(&mut self) -> Result<Answer, larder_store::Error> {
        // The deadline counts from before the request is sent: the store's clock starts later.
        let sent = Instant::now();
        self.in_doubt = true;
        let answer = ACQUIRE
            .on(&self.lock.store)
            .key(self.lock.key.clone())
            .key(self.lock.key.part("fence"))
            .arg(&self.lock.owner)
            .arg(self.ttl)
            .arg(self.ttl + TOKEN_KEPT)
            .run()
            .await;
        let (taken, token, remaining_ms): (bool, u64, u64) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.in_doubt = matches!(error, larder_store::Error::Unanswered { .. });
                return Err(error);
            }
        };
        self.in_doubt = taken;
        Ok(match taken {
            true => Answer::Taken(Lease::new(token, sent, self.ttl)),
            false => Answer::Held {
                remaining: Duration::from_millis(remaining_ms),
            },
        })
    }

    /// Asks for the lock whenever it may be free, until it is granted.
    async fn wait(&mut self) -> Result<Lease, Error> {
        if let Answer::Taken(lease) = self.send().await? {
            return Ok(lease);
        }
        let channels = Channels::default().channel(self.lock.channel());
        let store = self.lock.store.clone();
        // A waiter that can't be woken asks more often.
        let mut wakes = store.subscribe(channels).await.ok();
        loop {
            // Only after listening, or a release in between would be missed.
            match self.send().await? {
                Answer::Taken(lease) => return Ok(lease),
                Answer::Held { remaining } => sleep_until_free(remaining, &mut wakes).await,
            }
        }
    }

    fn into_guard(mut self, lease: Lease) -> Guard {
        // From here on it is the guard that gives the lock back.
        self.in_doubt = false;
        Guard::new(
            self.lock.clone(),
            lease,
            self.ttl,
            self.extension,
            self.releases.clone(),
        )
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.in_doubt {
            self.releases.push(self.lock.clone());
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
        event = woken => if event.is_none() { *wakes = None },
        () = tokio::time::sleep(pause) => {}
    }
}

fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::random())
}
