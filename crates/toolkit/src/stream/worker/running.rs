//! A worker that is running.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use larder_store::Error;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::control::Control;
use super::handle::panicked;
use super::metrics::Metrics;
use super::run::Run;

/// A worker that is running. Cloning it is cheap and shares it.
///
/// [`Worker::shutdown`] ends it well. When the last clone is dropped it ends at once, and what it
/// had in hand is delivered again to another worker when [`Builder::idle`](super::Builder::idle) is
/// over.
#[derive(Clone)]
#[must_use = "dropping a worker ends it"]
pub struct Worker {
    control: Arc<Control>,
    ended: watch::Receiver<Option<Result<(), Error>>>,
    /// Ends the task with the last clone.
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Worker {
    pub(super) fn start(control: Arc<Control>, run: Run) -> Worker {
        let (tell, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let worked = AssertUnwindSafe(run.run()).catch_unwind().await;
            let worked = worked.unwrap_or_else(|panic| {
                let error = Error::load(panicked(&*panic).to_string());
                tracing::error!(%error, "a worker has ended");
                Err(error)
            });
            tell.send_replace(Some(worked));
        });
        Worker {
            control,
            ended,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// The name by which the group knows this worker.
    pub fn consumer(&self) -> &str {
        &self.control.consumer
    }

    /// What the worker has done so far.
    pub fn metrics(&self) -> Metrics {
        self.control.metrics()
    }

    /// Takes no more entries, until [`Worker::resume`]. What it has in hand, and what a read under
    /// way brings, is handled. Other workers of the group go on.
    ///
    /// Answers when no read is under way any more, which may take as long as
    /// [`Builder::block`](super::Builder::block): from then on nothing comes into its hands. If this is
    /// dropped before, the worker is paused all the same.
    pub async fn pause(&self) {
        self.control.set_paused(true);
        tokio::select! {
            () = self.control.rests() => {}
            _ = self.closed() => {}
        }
    }

    /// Takes entries again after [`Worker::pause`].
    pub fn resume(&self) {
        self.control.set_paused(false);
    }

    /// Takes no more entries, waits for the handlers up to [`Builder::drain`](super::Builder::drain),
    /// cancels those that are still at work, drops them if they are not done a second later, and
    /// says what the worker has done.
    ///
    /// Entries that it has not finished stay pending, other workers may take them at once, and the
    /// delivery does not count: a job that is interrupted again and again does not become a dead
    /// letter by that. The consumer is removed from the group unless it leaves entries behind.
    ///
    /// If this is dropped before it is done, the worker goes on with ending. Asking twice is
    /// harmless.
    pub async fn shutdown(&self) -> Metrics {
        self.control.stop.cancel();
        // How it ended is what `closed` tells.
        let _ = self.closed().await;
        self.metrics()
    }

    /// Waits until the worker has ended, and says how: `Ok` after [`Worker::shutdown`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the store was closed, and [`Error::Load`] if something in the worker
    /// panicked. It does not work any more, and what it had in hand is delivered to other workers.
    pub async fn closed(&self) -> Result<(), Error> {
        let mut ended = self.ended.clone();
        let result = match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone(),
            // The runtime has ended, and the task with it.
            Err(_) => None,
        };
        result.unwrap_or(Err(Error::Closed))
    }

    /// Whether the worker has ended, and how, as [`Worker::closed`] says; `None` while it works.
    pub fn ended(&self) -> Option<Result<(), Error>> {
        self.ended.borrow().clone()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("consumer", &self.consumer())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
