//! One name for all that a program keeps in a store.

use larder_store::Store;
#[cfg(feature = "session")]
use serde::{Serialize, de::DeserializeOwned};

#[cfg(any(feature = "cache", feature = "leaderboard"))]
use crate::Ttl;
#[cfg(feature = "cache")]
use crate::cache::Cache;
#[cfg(feature = "leaderboard")]
use crate::leaderboard::{Best, Leaderboard};
#[cfg(feature = "lock")]
use crate::lock::Locks;
#[cfg(feature = "pubsub")]
use crate::pubsub::PubSub;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::{Limit, Limiter};
#[cfg(feature = "session")]
use crate::session::Sessions;
#[cfg(feature = "stream")]
use crate::stream::{Stream, Trim};

/// The services of one namespace. What is in different ones shares nothing.
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use larder_toolkit::{StoreExt, Ttl, rate_limit::{Limit, Quota}};
///
/// let shop = store.namespace("shop");
/// let prices = shop.cache::<u32>("prices", Ttl::minutes(5));
/// let logins = shop.limiter("login", Limit::gcra(Quota::per_minute(5)));
/// let locks = shop.locks();
///
/// prices.set("book.42", &1999).await?;
/// assert!(logins.take_one("203.0.113.7").await?.is_allowed());
/// assert!(locks.try_lock("stock.42").await?.is_some());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Namespace {
    store: Store,
    name: String,
}

/// What this crate adds to a [`Store`].
pub trait StoreExt {
    /// The services of the namespace of this name.
    fn namespace(&self, name: &str) -> Namespace;
}

impl StoreExt for Store {
    fn namespace(&self, name: &str) -> Namespace {
        Namespace {
            store: self.clone(),
            name: part(name),
        }
    }
}

impl Namespace {
    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A namespace within this one, such as that of a tenant.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Namespace {
        Namespace {
            store: self.store.clone(),
            name: self.of(name),
        }
    }

    /// The cache of this name: see [`Cache::new`].
    #[cfg(feature = "cache")]
    pub fn cache<T>(&self, name: &str, ttl: Ttl) -> Cache<T> {
        Cache::new(&self.store, &self.of(name), ttl)
    }

    /// The sessions: see [`Sessions::new`].
    #[cfg(feature = "session")]
    pub fn sessions<T: Serialize + DeserializeOwned>(&self) -> Sessions<T> {
        Sessions::new(&self.store, &self.name)
    }

    /// The limiter of this name: see [`Limiter::new`].
    #[cfg(feature = "rate-limit")]
    pub fn limiter(&self, name: &str, limit: Limit) -> Limiter {
        Limiter::new(&self.store, &self.of(name), limit)
    }

    /// The channels: see [`PubSub::new`].
    #[cfg(feature = "pubsub")]
    pub fn messages(&self) -> PubSub {
        PubSub::new(&self.store, &self.name)
    }

    /// The stream of this name: see [`Stream::new`].
    #[cfg(feature = "stream")]
    pub fn stream<T>(&self, name: &str, trim: Trim) -> Stream<T> {
        Stream::new(&self.store, &self.name, name, trim)
    }

    /// The locks: see [`Locks::new`].
    #[cfg(feature = "lock")]
    pub fn locks(&self) -> Locks {
        Locks::new(&self.store, &self.name)
    }

    /// The leaderboard of this name: see [`Leaderboard::new`].
    #[cfg(feature = "leaderboard")]
    pub fn board(&self, name: &str, best: Best, ttl: Ttl) -> Leaderboard {
        Leaderboard::new(&self.store, &self.name, name, best, ttl)
    }

    /// The name of what is called so in this namespace.
    fn of(&self, name: &str) -> String {
        format!("{}/{}", self.name, part(name))
    }
}

/// A part of a name, in which nothing can be taken for its end.
fn part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_into_another_namespace() {
        let (outer, inner) = ("a", "b/c");
        assert_ne!(
            part(outer) + "/" + &part(inner),
            part("a/b") + "/" + &part("c")
        );
        assert_ne!(part("a~1b"), part("a/b"));
    }
}
