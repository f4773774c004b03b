//! Simulated visitors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::catalogue;
use super::shop::{Error, Shop};

/// How long a visitor thinks between two actions.
const THINK_MS: std::ops::Range<u64> = 100..900;

/// How many actions a visit has.
const VISIT: std::ops::Range<u32> = 5..40;

/// How long a visitor stays away after an error.
const REST: Duration = Duration::from_secs(1);

/// How many requests an impatient program sends at once.
const STORM: u32 = 15;

const NAMES: [&str; 20] = [
    "Ada", "Bo", "Cleo", "Dara", "Edo", "Fay", "Gus", "Hana", "Ivo", "Juno", "Kit", "Lena", "Mio",
    "Nia", "Otto", "Pia", "Quin", "Rosa", "Sol", "Tove",
];

/// A crowd of visitors, so many at a time.
pub(crate) struct Crowd {
    wanted: watch::Sender<u32>,
    actions: Arc<AtomicU64>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Crowd {
    /// The largest crowd.
    pub(crate) const VISITORS_MAX: u32 = 200;

    /// An empty crowd.
    pub(crate) fn start(shop: &Arc<Shop>) -> Crowd {
        let (wanted, changes) = watch::channel(0);
        let actions = Arc::new(AtomicU64::new(0));
        let keeper = tokio::spawn(keep(Arc::clone(shop), Arc::clone(&actions), changes));
        Crowd {
            wanted,
            actions,
            keeper: Mutex::new(Some(keeper)),
        }
    }

    /// Has so many visitors come, or go.
    pub(crate) fn set_visitors(&self, visitors: u32) {
        self.wanted.send_replace(visitors.min(Crowd::VISITORS_MAX));
    }

    pub(crate) fn visitors(&self) -> u32 {
        *self.wanted.borrow()
    }

    /// How many things the crowd has done.
    pub(crate) fn actions(&self) -> u64 {
        self.actions.load(Ordering::Relaxed)
    }

    /// Sends everybody home, and waits until they have left.
    pub(crate) async fn stop(&self) {
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            keeper.abort();
            // It was aborted, and with it all visitors.
            let _ = keeper.await;
        }
    }
}

/// Keeps as many visitors as are wanted.
async fn keep(shop: Arc<Shop>, actions: Arc<AtomicU64>, mut wanted: watch::Receiver<u32>) {
    let mut visitors = JoinSet::new();
    loop {
        let target = *wanted.borrow_and_update() as usize;
        while visitors.len() < target {
            visitors.spawn(come_again(Arc::clone(&shop), Arc::clone(&actions)));
        }
        if visitors.len() > target {
            visitors.shutdown().await;
            continue;
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Visits the shop again and again.
async fn come_again(shop: Arc<Shop>, actions: Arc<AtomicU64>) {
    loop {
        if let Err(error) = visit(&shop, &actions).await {
            tracing::debug!(%error, "a visit went wrong");
            tokio::time::sleep(REST).await;
        }
    }
}

/// A visit: log in, look around, order something, log out.
async fn visit(shop: &Shop, actions: &AtomicU64) -> Result<(), Error> {
    let name = NAMES[rand::random_range(0..NAMES.len())];
    let session = shop.login(name).await?;
    for _ in 0..rand::random_range(VISIT) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(THINK_MS))).await;
        act(shop, session.token(), name).await?;
        actions.fetch_add(1, Ordering::Relaxed);
    }
    shop.logout(session.token()).await?;
    Ok(())
}

/// Does one thing, as visitors do: mostly they look.
async fn act(shop: &Shop, token: &str, name: &str) -> Result<(), Error> {
    // A few products are looked at by nearly everybody.
    let product = rand::random_range(0..catalogue::LEN).min(rand::random_range(0..catalogue::LEN));
    match rand::random_range(0..100) {
        0..64 => drop(shop.product(product).await?),
        64..84 => shop.limit(&format!("visitor.{name}")).await?,
        // Somebody whose program calls the API in a loop.
        84..86 => {
            for _ in 0..STORM {
                shop.limit(&format!("visitor.{name}")).await?;
            }
        }
        86..98 => {
            shop.visitor(token).await?;
            shop.order(name, product).await?;
        }
        _ => drop(shop.reprice(product).await?),
    }
    Ok(())
}
