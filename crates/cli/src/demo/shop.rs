//! The shop: everything that its visitors can do, on one store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder::cache::{self, Cache, Keep};
use larder::leaderboard::{self, Best, Leaderboard};
use larder::lock::{self, Locks};
use larder::pubsub::{self, PubSub};
use larder::rate_limit::{Decision, Limit, Limiter, Quota};
use larder::session::{Session, Sessions};
use larder::stream::{self, Group, Start, Stream, Trim};
use larder::{Command, Keys, Store, StoreExt, Ttl};
use serde::{Deserialize, Serialize};

use super::catalogue::{self, Product};
use super::order::Order;

/// The namespace of everything that the demo keeps in its store.
const NAMESPACE: &str = "larder-demo";

/// The channel on which the shop tells what happens.
pub(crate) const EVENTS: &str = "events";

/// How long it takes to make a product page. A real one asks a database.
const PAGE_TIME: Duration = Duration::from_millis(40);

/// How many of a product are put on the shelf when none is left.
const SHELF: i64 = 25;

/// How long a lock on a product's stock lasts if its holder does not extend it, and how long to
/// wait for one.
const LOCK_TTL: Duration = Duration::from_secs(5);
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// What a caller of the API gets back each second, and how many requests they have at once.
const API_QUOTA: Quota = Quota::per_second(2);
const API_BURST: u32 = 10;

/// What the shop knows of a visit besides who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Visit {
    /// How many orders were sent in it.
    pub(crate) orders: u32,
}

/// What went wrong in the shop.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the text of a variant says what it means")]
pub(crate) enum Error {
    #[error("there is no such product; their ids are 0 to {}", catalogue::LEN - 1)]
    NoSuchProduct,
    #[error("a name has 1 to 40 characters")]
    BadName,
    #[error("log in first")]
    NotLoggedIn,
    #[error("there may be 0 to {max} visitors")]
    TooManyVisitors { max: u32 },
    #[error("nobody has bought anything under this name yet")]
    NotOnTheBoard,
    #[error("the lock was lost: {0}")]
    LockLost(lock::Lost),
    #[error(transparent)]
    Store(#[from] larder::Error),
}

/// Counts of what the services have no count of their own for.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) logins: AtomicU64,
    pub(crate) allowed: AtomicU64,
    pub(crate) denied: AtomicU64,
}

/// The shop. Every visitor, real or simulated, goes through here.
pub(crate) struct Shop {
    store: Store,
    store_name: String,
    pages: Cache<Product>,
    sessions: Sessions<Visit>,
    api: Limiter,
    orders: Stream<Order>,
    locks: Locks,
    buyers: Leaderboard,
    messages: PubSub,
    stock: Keys,
    prices: Keys,
    pub(crate) counts: Counts,
}

impl Shop {
    /// Opens the shop on a store, with full shelves if they are not stocked yet.
    pub(crate) async fn open(store: &Store, store_name: String) -> Result<Shop, Error> {
        let demo = store.namespace(NAMESPACE);
        let api = Limit::gcra(API_QUOTA).burst(API_BURST);
        let shop = Shop {
            store: store.clone(),
            store_name,
            pages: demo.cache("pages", Ttl::minutes(5).jitter(10)),
            sessions: demo.sessions(),
            api: demo.limiter("api", api.named("requests")),
            orders: demo.stream("orders", Trim::Handled),
            locks: demo.locks().ttl(LOCK_TTL),
            buyers: demo.board("buyers", Best::Highest, Ttl::forever()),
            messages: demo.messages(),
            stock: Keys::new(NAMESPACE, "stock"),
            prices: Keys::new(NAMESPACE, "price"),
            counts: Counts::default(),
        };
        for product in catalogue::products() {
            let stock = Command::new("SETNX").arg(shop.stock.of(&product.id.to_string()));
            shop.store.run::<()>(stock.arg(SHELF)).await?;
        }
        Ok(shop)
    }

    /// The store, as it may be shown.
    pub(crate) fn store_name(&self) -> &str {
        &self.store_name
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    // --- sessions ----------------------------------------------------------------------------

    /// The sessions, for the layer of the web server.
    pub(crate) fn sessions(&self) -> Sessions<Visit> {
        self.sessions.clone()
    }

    /// The name of somebody who says that this is it.
    pub(crate) fn name(said: &str) -> Result<&str, Error> {
        let name = said.trim();
        match name.is_empty() || name.chars().count() > 40 {
            true => Err(Error::BadName),
            false => Ok(name),
        }
    }

    /// Tells of somebody who has logged in.
    pub(crate) async fn welcome(&self, name: &str) -> Result<(), Error> {
        self.counts.logins.fetch_add(1, Ordering::Relaxed);
        self.tell(&format!("{name} logged in")).await
    }

    /// Logs somebody in who has no browser.
    pub(crate) async fn login(&self, name: &str) -> Result<Session<Visit>, Error> {
        let session = self.sessions.create(name, Visit::default()).await?;
        self.welcome(name).await?;
        Ok(session)
    }

    /// The session with this token.
    pub(crate) async fn visitor(&self, token: &str) -> Result<Session<Visit>, Error> {
        let found = self.sessions.load(token).await?;
        found.ok_or(Error::NotLoggedIn)
    }

    /// How many sessions there are in all.
    pub(crate) async fn active_sessions(&self) -> Result<u64, Error> {
        Ok(self.sessions.count_all().await?)
    }

    pub(crate) async fn logout(&self, token: &str) -> Result<bool, Error> {
        Ok(self.sessions.destroy(token).await?)
    }

    // --- product pages -----------------------------------------------------------------------

    /// A product's page, and whether it came from the cache.
    pub(crate) async fn product(&self, id: u32) -> Result<(Product, bool), Error> {
        let first = catalogue::products()
            .nth(id as usize)
            .ok_or(Error::NoSuchProduct)?;
        let cached = AtomicBool::new(true);
        let make = async || {
            cached.store(false, Ordering::Relaxed);
            tokio::time::sleep(PAGE_TIME).await;
            let price = Command::new("GET").arg(self.prices.of(&id.to_string()));
            let cents: Option<i64> = self.store.run(price).await?;
            Ok(Product {
                cents: cents.unwrap_or(first.cents),
                ..first.clone()
            })
        };
        let keep = Keep::new().tags(["catalogue".to_owned(), tag_of(id)]);
        let product = self.pages.get_or_set_with(&page_of(id), keep, make).await?;
        Ok((product, cached.into_inner()))
    }

    /// Gives a product another price: its page is void from here on.
    pub(crate) async fn reprice(&self, id: u32) -> Result<i64, Error> {
        let product = catalogue::products()
            .nth(id as usize)
            .ok_or(Error::NoSuchProduct)?;
        let cents = product.cents * rand::random_range(70..=140) / 100;
        let price = self.prices.of(&id.to_string());
        self.store
            .run::<()>(Command::new("SET").arg(price).arg(cents))
            .await?;
        self.pages.invalidate_tags([tag_of(id)]).await?;
        self.tell(&format!("{} costs {} now", product.name, money(cents)))
            .await?;
        Ok(cents)
    }

    /// Makes every product page void.
    pub(crate) async fn clear_catalogue(&self) -> Result<(), Error> {
        self.pages.invalidate_tags(["catalogue"]).await?;
        self.tell("every product page is void").await
    }

    pub(crate) fn cache_stats(&self) -> cache::Stats {
        self.pages.stats()
    }

    // --- the limited API ---------------------------------------------------------------------

    /// How often a caller may ask the API.
    pub(crate) fn limiter(&self) -> Limiter {
        self.api.clone()
    }

    /// Takes one request of what a caller of the API may send.
    pub(crate) async fn limit(&self, caller: &str) -> Result<(), Error> {
        let decision = self.api.take_one(caller).await?;
        self.count_decision(&decision);
        Ok(())
    }

    pub(crate) fn count_decision(&self, decision: &Decision) {
        let count = match decision.is_allowed() {
            true => &self.counts.allowed,
            false => &self.counts.denied,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    // --- orders ------------------------------------------------------------------------------

    /// Puts an order into the stream.
    pub(crate) async fn order(&self, buyer: &str, product: u32) -> Result<stream::Id, Error> {
        if product >= catalogue::LEN {
            return Err(Error::NoSuchProduct);
        }
        Ok(self
            .orders
            .add(&Order {
                buyer: buyer.to_owned(),
                product,
            })
            .await?)
    }

    /// The group of workers that handle orders.
    pub(crate) fn shipping(&self) -> Group<Order> {
        self.orders.group("shipping", Start::Earliest)
    }

    /// Takes one of a product out of stock, and fills the shelf if it was the last. Answers how
    /// many are left.
    pub(crate) async fn take_from_stock(&self, product: u32) -> Result<i64, Error> {
        let guard = self.locks.lock(&lock_of(product), LOCK_WAIT).await?;
        // Read, think, write: what nobody may come between, which is what the lock is for.
        let left = guard
            .run(self.count_one_less(product))
            .await
            .map_err(Error::LockLost)?;
        guard.release().await?;
        left
    }

    async fn count_one_less(&self, product: u32) -> Result<i64, Error> {
        let key = self.stock.of(&product.to_string());
        let stock: Option<i64> = self.store.run(Command::new("GET").arg(&key)).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let left = match stock.unwrap_or(0) - 1 {
            left if left > 0 => left,
            _ => SHELF,
        };
        self.store
            .run::<()>(Command::new("SET").arg(&key).arg(left))
            .await?;
        Ok(left)
    }

    /// Books a sale, and tells of it.
    pub(crate) async fn book(&self, buyer: &str, product: u32, left: i64) -> Result<(), Error> {
        let (product, _) = self.product(product).await?;
        let placed = self.buyers.add(buyer, product.cents).await?;
        let rank = placed
            .rank
            .map_or(String::new(), |rank| format!(", rank {rank}"));
        let Product { name, cents, .. } = product;
        self.tell(&format!(
            "{buyer} bought {name} for {}{rank}; {left} left",
            money(cents)
        ))
        .await
    }

    /// Holds the lock on a product's stock for a time, as a slow stock-taking would. Answers the
    /// fencing token.
    pub(crate) async fn hold_stock(&self, product: u32, time: Duration) -> Result<u64, Error> {
        if product >= catalogue::LEN {
            return Err(Error::NoSuchProduct);
        }
        let guard = self.locks.lock(&lock_of(product), LOCK_WAIT).await?;
        let token = guard.token();
        guard
            .run(tokio::time::sleep(time))
            .await
            .map_err(Error::LockLost)?;
        guard.release().await?;
        Ok(token)
    }

    /// Who holds which product's lock now.
    pub(crate) async fn lock_holders(&self) -> Result<Vec<(String, lock::Holder)>, Error> {
        let mut holders = Vec::new();
        for product in catalogue::products() {
            if let Some(holder) = self.locks.holder(&lock_of(product.id)).await? {
                holders.push((product.name, holder));
            }
        }
        Ok(holders)
    }

    // --- the best buyers ---------------------------------------------------------------------

    pub(crate) async fn leaders(&self) -> Result<Vec<leaderboard::Entry>, Error> {
        Ok(self.buyers.top(8).await?)
    }

    /// A buyer with the two above and the two below.
    pub(crate) async fn around(&self, buyer: &str) -> Result<Vec<leaderboard::Entry>, Error> {
        let around = self.buyers.around(buyer, 2, 2).await?;
        match around.is_empty() {
            true => Err(Error::NotOnTheBoard),
            false => Ok(around),
        }
    }

    // --- messages ----------------------------------------------------------------------------

    /// Tells all pages what has happened.
    pub(crate) async fn tell(&self, event: &str) -> Result<(), Error> {
        self.messages.publish(EVENTS, event).await?;
        Ok(())
    }

    /// What is told from here on.
    pub(crate) async fn listen(&self) -> Result<pubsub::Subscription<String>, Error> {
        Ok(self.messages.subscribe(EVENTS).await?)
    }
}

fn page_of(product: u32) -> String {
    format!("product.{product}")
}

fn tag_of(product: u32) -> String {
    format!("product.{product}")
}

fn lock_of(product: u32) -> String {
    format!("stock.{product}")
}

/// Cents as people write them.
fn money(cents: i64) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}
