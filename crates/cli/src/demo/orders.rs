//! The workers that take orders from the stream.

use std::sync::Arc;
use std::time::Duration;

use larder::stream::{Backoff, Failure, Info, Job, Metrics, Worker};

use super::order::Order;
use super::shop::{Error, Shop};

/// How many orders are handled at once.
const AT_ONCE: usize = 4;

/// The worker of the shop, until it is stopped.
pub(crate) struct Orders {
    shop: Arc<Shop>,
    worker: Worker,
}

impl Orders {
    /// Puts a worker to work. Orders that an earlier one has left are its first.
    pub(crate) async fn start(shop: &Arc<Shop>) -> Result<Orders, Error> {
        let at_work = Arc::clone(shop);
        let backoff = Backoff::between(Duration::from_millis(200), Duration::from_secs(2));
        let worker = shop
            .shipping()
            .worker()
            .concurrency(AT_ONCE)
            .batch(AT_ONCE)
            .idle(Duration::from_secs(10))
            .backoff(backoff)
            .drain(Duration::from_secs(2))
            .start(move |job: Job<Order>| {
                let shop = Arc::clone(&at_work);
                async move { handle(&shop, job).await }
            })
            .await?;
        Ok(Orders {
            shop: Arc::clone(shop),
            worker,
        })
    }

    /// Somebody who watches the worker.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher {
            shop: Arc::clone(&self.shop),
            worker: self.worker.clone(),
        }
    }

    /// Lets the worker finish what it has in hand.
    pub(crate) async fn stop(self) {
        self.worker.shutdown().await;
    }
}

/// Somebody who watches the worker.
pub(crate) struct Watcher {
    shop: Arc<Shop>,
    worker: Worker,
}

impl Watcher {
    /// What the worker has done.
    pub(crate) fn metrics(&self) -> Metrics {
        self.worker.metrics()
    }

    /// Where the worker's group stands.
    pub(crate) async fn info(&self) -> Result<Info, Error> {
        Ok(self.shop.shipping().info().await?)
    }
}

/// Handles an order: takes the product out of stock, under the product's lock, and books the sale.
async fn handle(shop: &Shop, job: Job<Order>) -> Result<(), Failure> {
    let Order { buyer, product } = &job.body;
    // Now and then a payment fails, as payments do, and works the next time.
    if job.deliveries == 1 && rand::random_ratio(1, 25) {
        return Err(Failure::retry("the payment failed"));
    }
    let left = shop.take_from_stock(*product).await?;
    shop.book(buyer, *product, left).await?;
    Ok(())
}
