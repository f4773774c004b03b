//! A cache and its settings.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use larder_store::{Key, Keys, Store};
use tokio::sync::Semaphore;

use crate::Ttl;

use super::era::Era;
use super::flight::Flights;
use super::policy::WithoutStore;
use super::stats::{Counters, Stats};
use super::tasks::Tasks;

/// Values of one type that can be had again, kept for a time in a namespace. Cloning it is cheap; clones
/// share what they load and count.
pub struct Cache<T> {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Settings,
    /// The loads that may run at once without a lease.
    pub(super) permits: Arc<Semaphore>,
    value: PhantomData<fn() -> T>,
}

/// What the clones of a cache share, whatever their settings.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) namespace: Box<str>,
    pub(super) keys: Keys,
    pub(super) tag_keys: Keys,
    pub(super) era_key: Key,
    pub(super) era: Era,
    pub(super) flights: Flights,
    pub(super) counters: Counters,
    /// The loads that nobody need wait for.
    pub(super) background: Tasks,
}

/// What can be set. The setters say what each is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) ttl: Ttl,
    pub(super) negative_ttl: Option<Ttl>,
    pub(super) grace: Duration,
    pub(super) ahead_percent: u8,
    pub(super) lease: Duration,
    pub(super) wait: Duration,
    pub(super) soft_timeout: Duration,
    pub(super) hard_timeout: Option<Duration>,
    pub(super) max_len: usize,
    pub(super) without_store: WithoutStore,
}

impl<T> Cache<T> {
    /// The size of a value above which it is not kept, unless [`Cache::max_len`] says otherwise:
    /// a large value holds up everyone who shares the store.
    pub const MAX_LEN: usize = 100 * 1024;

    /// A cache in this namespace, whose entries are kept for `ttl` where nothing else is said.
    pub fn new(store: &Store, namespace: &str, ttl: Ttl) -> Cache<T> {
        let keys = Keys::new(namespace, "cache");
        let without_store = WithoutStore::default();
        Cache {
            shared: Arc::new(Shared {
                store: store.clone(),
                namespace: namespace.into(),
                era_key: keys.only(),
                keys,
                tag_keys: Keys::new(namespace, "cache-tag"),
                era: Era::default(),
                flights: Flights::default(),
                counters: Counters::default(),
                background: Tasks::default(),
            }),
            settings: Settings {
                ttl,
                negative_ttl: None,
                grace: Duration::ZERO,
                ahead_percent: 0,
                lease: Duration::from_secs(3),
                wait: Duration::from_secs(30),
                soft_timeout: Duration::ZERO,
                hard_timeout: None,
                max_len: Self::MAX_LEN,
                without_store,
            },
            permits: Arc::new(without_store.permits()),
            value: PhantomData,
        }
    }

    /// Keeps a cached nothing, a `None` or a `()`, for this time and no other: what is not there now may
    /// soon be. As long as everything else by default.
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Ttl) -> Cache<T> {
        self.settings.negative_ttl = Some(ttl);
        self
    }

    /// Keeps values for this long past their time. [`Cache::get_or_set`] gives such a stale value
    /// to everyone but the one who loads a new one, and to that one too if it can't be loaded; the
    /// next attempt is made a lease later. [`Cache::get`] does not see it. None by default.
    ///
    /// Deleted and invalidated values are gone, and never given out as stale.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Cache<T> {
        self.settings.grace = grace.min(Ttl::MAX);
        self
    }

    /// Loads a value anew when no more than this part of its time is left, while the old one is given out:
    /// see [`Cache::get_or_set_in_background`], which alone does so. 0 by default, for when it is over.
    ///
    /// # Panics
    ///
    /// If that is more than 99.
    #[must_use]
    pub fn refresh_ahead(mut self, percent: u8) -> Cache<T> {
        assert!(
            percent <= 99,
            "a value is refreshed at most 99 percent ahead"
        );
        self.settings.ahead_percent = percent;
        self
    }

    /// How long other processes take a loader for alive that is not heard of, 3 seconds by default.
    /// Loading may take longer: the lease is extended meanwhile.
    ///
    /// # Panics
    ///
    /// If that is less than 10 milliseconds or more than an hour.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Cache<T> {
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(3600));
        assert!(
            least <= lease && lease <= most,
            "a lease has 10 milliseconds to an hour"
        );
        self.settings.lease = lease;
        self
    }

    /// How long a caller waits before its own load begins, or for a load in the background: 30 seconds by
    /// default, and at most a hundred years. After that it gets a stale value, or else
    /// [`Error::TimedOut`](larder_store::Error::TimedOut): a database that hangs is not asked by all at
    /// once.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Cache<T> {
        // More than can be added to an instant would be a panic.
        self.settings.wait = wait.min(Ttl::MAX);
        self
    }

    /// How long [`Cache::get_or_set_in_background`] waits for a new value while there is a stale one. Not
    /// at all by default.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Cache<T> {
        self.settings.soft_timeout = timeout.min(Ttl::MAX);
        self
    }

    /// How long a load may take. After that it is dropped, and has failed with
    /// [`Error::TimedOut`](larder_store::Error::TimedOut). As long as it does by default.
    #[must_use]
    pub fn hard_timeout(mut self, timeout: Duration) -> Cache<T> {
        self.settings.hard_timeout = Some(timeout.min(Ttl::MAX));
        self
    }

    /// The largest value that is kept, in bytes as encoded: [`Cache::MAX_LEN`] by default. A value
    /// that was loaded and is larger is given to those who wait for it, and counted.
    #[must_use]
    pub fn max_len(mut self, bytes: usize) -> Cache<T> {
        self.settings.max_len = bytes;
        self
    }

    /// What [`Cache::get_or_set`] does while the store gives no answers: load by default. How many loads
    /// run at once is shared with clones that are made after this.
    ///
    /// # Panics
    ///
    /// If the policy is to load none at once.
    #[must_use]
    pub fn without_store(mut self, policy: WithoutStore) -> Cache<T> {
        assert_ne!(
            policy,
            WithoutStore::Load { at_once: 0 },
            "at least one value is loaded at once"
        );
        self.settings.without_store = policy;
        self.permits = Arc::new(policy.permits());
        self
    }

    /// What this cache and its clones have done.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Cache<T> {
        Cache {
            shared: self.shared.clone(),
            settings: self.settings,
            permits: self.permits.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.shared.namespace)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
