//! Workers: they take entries of a group, hand them to a function, and finish them.
//!
//! A worker is one task (`run.rs`) that alone talks to the store; handlers are tasks of their own,
//! which it owns. Each step of it is a script, so that any number of workers agree.
//!
//! A store that is full can't note that an entry waits for a retry, or is a dead letter. The entry
//! then stays pending and is handled again when [`Builder::idle`] is over, as after a crash; entries
//! that were handled are finished all the same.

mod builder;
mod calls;
mod job;
mod metrics;
mod run;

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use metrics::Counters;

pub use builder::Builder;
pub use job::{Backoff, Failure, Job};
pub use metrics::Metrics;

/// A worker that is running. [`Worker::shutdown`] ends it well; dropping it ends it at once, and
/// what it had in hand is delivered again to another worker when [`Builder::idle`] is over.
#[must_use = "dropping a worker ends it"]
pub struct Worker {
    consumer: String,
    stop: CancellationToken,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Worker {
    /// The name by which the group knows this worker.
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// What the worker has done so far.
    pub fn metrics(&self) -> Metrics {
        self.counters.metrics()
    }

    /// Stops reading, waits for the handlers up to [`Builder::drain`], cancels those that are still
    /// at work, ends them if they are not done a second later, and says what the worker has done.
    ///
    /// Entries that it has not finished stay pending, and other workers may take them at once. The
    /// consumer is removed from the group unless it leaves entries behind. If this is dropped
    /// before it is done, the worker is ended at once.
    pub async fn shutdown(mut self) -> Metrics {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(consumer = self.consumer, %error, "a worker ended badly");
        }
        self.counters.metrics()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("consumer", &self.consumer)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
