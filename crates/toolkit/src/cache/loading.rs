//! What a load knows and decides.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::Ttl;

use super::keep::Keep;
use super::read::value_of;

/// A load that is under way: how its value will be kept is decided here, by what is loaded, and what
/// there was before can be had.
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use larder_toolkit::{Ttl, cache::Cache};
///
/// let prices = Cache::new(&store, "prices", Ttl::minutes(5));
/// let price: u32 = prices.get_or_load("book.42", |loading| async move {
///     let (price, category) = (1999, 7); // asks a database
///     loading.tag(format!("category.{category}"));
///     if price < 2000 {
///         loading.ttl(Ttl::hours(1));
///     }
///     Ok(price)
/// }).await?;
///
/// prices.invalidate_tags(["category.7"]).await?;
/// assert_eq!(prices.get("book.42").await?, None);
/// # assert_eq!(price, 1999);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Loading<T> {
    keep: Arc<Mutex<Keep>>,
    /// The entry that there was, if its value is stale and not void.
    stale: Option<Bytes>,
    value: PhantomData<fn() -> T>,
}

impl<T> Loading<T> {
    pub(super) fn new(keep: Keep, stale: Option<Bytes>) -> Loading<T> {
        Loading {
            keep: Arc::new(Mutex::new(keep)),
            stale,
            value: PhantomData,
        }
    }

    /// Keeps the value for this time, rather than for that of the cache.
    pub fn ttl(&self, ttl: Ttl) {
        self.lock().ttl = Some(ttl);
    }

    /// Keeps the value with this tag too.
    ///
    /// A tag that is named here was not known when the load began. If it may have been invalidated
    /// since then, the value is given out and not kept. Tags that are known before are better given
    /// in a [`Keep`].
    pub fn tag(&self, tag: impl Into<String>) {
        self.lock().tags.push(tag.into());
    }

    /// The value that there was, past its time, if the cache keeps such values: for a load that asks
    /// whether it has changed. What was deleted or invalidated is gone.
    pub fn stale(&self) -> Option<T>
    where
        T: DeserializeOwned,
    {
        value_of(self.stale.as_ref()?)
    }

    /// Another handle on the same load.
    pub(super) fn share(&self) -> Loading<T> {
        Loading {
            keep: self.keep.clone(),
            stale: self.stale.clone(),
            value: PhantomData,
        }
    }

    /// How the value is to be kept.
    pub(super) fn keep(&self) -> Keep {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Keep> {
        // Nothing in here panics between two changes that belong together.
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
