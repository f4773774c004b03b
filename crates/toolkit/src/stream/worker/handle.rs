//! Handling one delivery: from the bytes of an entry to how the delivery ends.
//!
//! Everything that is the caller's runs here, where it can harm nothing else: reading the value, the
//! handler, and telling why it failed, whatever they do.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::end::How;
use super::hands::{Begin, Delivery};
use super::job::{Failure, Job, Remedy};
use super::metrics::{Counters, add};
use super::settings::Settings;
use crate::Ttl;
use crate::stream::entry;

/// How long a handler has that is cancelled.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(1);

/// Handles a delivery. `None` if it did not come to an end.
pub(super) type Handle = Arc<dyn Fn(Begin) -> BoxFuture<'static, Option<How>> + Send + Sync>;

/// What all handlers of a worker share.
struct Shared<H> {
    settings: Settings,
    counters: Arc<Counters>,
    handler: H,
}

/// Makes a [`Handle`] of a caller's handler.
pub(super) fn handle<T, H, F>(settings: Settings, counters: Arc<Counters>, handler: H) -> Handle
where
    T: DeserializeOwned + Send + 'static,
    H: Fn(Job<T>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let shared = Arc::new(Shared {
        settings,
        counters,
        handler,
    });
    Arc::new(move |begin| {
        let shared = Arc::clone(&shared);
        Box::pin(async move { shared.handle(begin).await })
    })
}

impl<H> Shared<H> {
    async fn handle<T, F>(&self, begin: Begin) -> Option<How>
    where
        T: DeserializeOwned,
        H: Fn(Job<T>) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let Begin {
            delivery, cancel, ..
        } = begin;
        let deliveries = delivery.deliveries;
        if deliveries > self.settings.deliveries_max {
            // Whoever had it did not live to tell how it went.
            let error = "delivered too often without an end".to_owned();
            return Some(How::Dead { error });
        }
        let handled = async {
            let result = tokio::select! {
                biased;
                result = run(delivery, &cancel, &self.handler) => result,
                () = is_overdue(&cancel) => return None,
            };
            self.end(result, deliveries, &cancel)
        };
        let handled = AssertUnwindSafe(handled).catch_unwind().await;
        handled.unwrap_or_else(|panic| self.end(Err(panicked(&*panic)), deliveries, &cancel))
    }

    /// How a delivery ends whose handler answered this. `None` if it is left to others.
    fn end(
        &self,
        result: Result<(), Failure>,
        deliveries: u32,
        cancel: &CancellationToken,
    ) -> Option<How> {
        let Err(failure) = result else {
            return Some(How::Done);
        };
        // To tell what failed is the caller's too, and may panic: it is counted when that is over.
        let how = remedy(&failure, deliveries, cancel.is_cancelled(), &self.settings);
        tracing::debug!(deliveries, %failure, "an entry was not handled");
        add(&self.counters.failed, 1);
        how
    }
}

/// Reads the value and runs the handler on it.
async fn run<T, H, F>(
    delivery: Delivery,
    cancel: &CancellationToken,
    handler: &H,
) -> Result<(), Failure>
where
    T: DeserializeOwned,
    H: Fn(Job<T>) -> F,
    F: Future<Output = Result<(), Failure>>,
{
    let job = Job {
        id: delivery.id,
        body: entry::decode(delivery.body.as_ref()).map_err(Failure::dead)?,
        deliveries: delivery.deliveries,
        cancel: cancel.clone(),
    };
    handler(job).await
}

/// Ends when a handler that is cancelled should have ended.
async fn is_overdue(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(CLEAN_UP).await;
}

/// What is to become of an entry after a failure. `None` if it is left to others.
fn remedy(
    failure: &Failure,
    deliveries: u32,
    is_cancelled: bool,
    settings: &Settings,
) -> Option<How> {
    let error = || failure.to_string();
    match failure.remedy() {
        Remedy::Dead => Some(How::Dead { error: error() }),
        // That it was told to stop is no failure of the entry.
        Remedy::Retry(_) if is_cancelled => None,
        Remedy::Retry(_) if deliveries >= settings.deliveries_max => {
            Some(How::Dead { error: error() })
        }
        Remedy::Retry(after) => Some(How::Retry {
            after: after
                .unwrap_or_else(|| settings.backoff.after(deliveries))
                .min(Ttl::MAX),
        }),
    }
}

/// A failure for a handler that panicked.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Failure::retry(format!("it panicked: {}", text.unwrap_or("no text")))
}
