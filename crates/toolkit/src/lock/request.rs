//! A request for a lock, and what is asked of the store for it.

use std::time::Duration;

use larder_store::{Channels, Key, Script, Store, Subscription};
use tokio::time::Instant;

use super::guard::Lease;
use super::releaser::Releases;
use super::{Error, Extension, Guard};

static ACQUIRE: Script = Script::new(include_str!("acquire.lua"));
static EXTEND: Script = Script::new(include_str!("extend.lua"));
static RELEASE: Script = Script::new(include_str!("release.lua"));

/// How long the last fencing token is remembered after the lock has expired: the largest step back
/// of a server's clock that tokens survive.
const TOKEN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a request is sent that gets no answer.
const TRIES: u32 = 3;

/// The longest that a waiter relies on being woken.
const POLL_MAX: Duration = Duration::from_secs(1);

/// How often a waiter asks that can't be woken.
const POLL: Duration = Duration::from_millis(50);

/// A lock that a request wants or has.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    store: Store,
    pub(super) key: Key,
    /// The number of the request.
    owner: String,
}

impl Lock {
    /// A lock that a new request wants.
    pub(super) fn wanted(store: Store, key: Key) -> Lock {
        let owner = hex::encode(rand::random::<[u8; 16]>());
        Lock { store, key, owner }
    }

    /// Where the release is told.
    fn channel(&self) -> String {
        self.key.part("free").to_string()
    }

    pub(super) async fn extend(&self, ttl: Duration) -> Result<bool, larder_store::Error> {
        EXTEND
            .on(&self.store)
            .key(self.key.clone())
            .arg(&self.owner)
            .arg(ttl)
            .run()
            .await
    }

    pub(super) async fn release(&self) -> Result<bool, larder_store::Error> {
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
pub(super) struct Attempt {
    lock: Lock,
    ttl: Duration,
    extension: Extension,
    releases: Releases,
    /// A request is on its way, or was sent and not answered.
    in_doubt: bool,
}

pub(super) enum Answer {
    Taken(Lease),
    Held { remaining: Duration },
}

impl Attempt {
    pub(super) fn new(
        lock: Lock,
        ttl: Duration,
        extension: Extension,
        releases: Releases,
    ) -> Attempt {
        Attempt {
            lock,
            ttl,
            extension,
            releases,
            in_doubt: false,
        }
    }

    /// Asks for the lock, again if no answer comes.
    pub(super) async fn send(&mut self) -> Result<Answer, Error> {
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

    /// Asks for a lock that was held, whenever it may be free, until it is granted.
    pub(super) async fn wait(&mut self) -> Result<Lease, Error> {
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

    pub(super) fn into_guard(mut self, lease: Lease) -> Guard {
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
