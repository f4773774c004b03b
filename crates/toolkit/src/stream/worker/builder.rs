//! Describing a worker, and starting it.

use std::future::Future;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::metrics::Counters;
use super::run::Run;
use super::{Backoff, Failure, Job, Worker};
use crate::Ttl;
use crate::stream::{Error, Group};

/// The most entries that one read may ask for.
const BATCH_MAX: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("not zero");

/// A worker that is being described.
#[derive(Clone, Debug)]
#[must_use = "a worker does nothing until it is started"]
pub struct Builder<T> {
    group: Group<T>,
    settings: Settings,
}

/// How a worker works.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) consumer: String,
    pub(super) concurrency: NonZeroUsize,
    pub(super) batch: NonZeroUsize,
    pub(super) block: Duration,
    pub(super) idle: Duration,
    pub(super) deliveries_max: NonZeroU32,
    pub(super) backoff: Backoff,
    pub(super) dead_letters_max: NonZeroU64,
    pub(super) silence_max: Duration,
    pub(super) drain: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            consumer: format!("worker-{}", hex::encode(rand::random::<[u8; 8]>())),
            concurrency: const { NonZeroUsize::new(8).expect("not zero") },
            batch: const { NonZeroUsize::new(64).expect("not zero") },
            block: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            deliveries_max: const { NonZeroU32::new(10).expect("not zero") },
            backoff: Backoff::default(),
            dead_letters_max: const { NonZeroU64::new(10_000).expect("not zero") },
            silence_max: Duration::from_secs(60 * 60),
            drain: Duration::from_secs(20),
        }
    }
}

impl<T> Builder<T> {
    pub(in crate::stream) fn new(group: Group<T>) -> Builder<T> {
        Builder {
            group,
            settings: Settings::default(),
        }
    }

    /// The name by which the group knows this worker; else a random one.
    ///
    /// A worker that is started again under its name takes up at once what it had in hand when it
    /// crashed. Two workers that run at the same time must not share a name.
    pub fn consumer(mut self, name: impl Into<String>) -> Builder<T> {
        self.settings.consumer = name.into();
        self
    }

    /// How many entries are handled at the same time; 8 if it is not said.
    pub fn concurrency(mut self, handlers: NonZeroUsize) -> Builder<T> {
        self.settings.concurrency = handlers;
        self
    }

    /// How many entries are read at once at most, never more than there are handlers free nor than
    /// a million; 64 if it is not said.
    pub fn batch(mut self, entries: NonZeroUsize) -> Builder<T> {
        self.settings.batch = entries.min(BATCH_MAX);
        self
    }

    /// How long a read waits in the store for new entries; 5 s if it is not said. Entries are read
    /// when they come, whatever this is.
    pub fn block(mut self, time: Duration) -> Builder<T> {
        self.settings.block = time.min(Ttl::MAX);
        self
    }

    /// After how long without a sign of life from a worker its entries are taken over by others;
    /// 30 s if it is not said, at least 100 ms. Handlers may take longer: the worker gives the sign
    /// for them.
    pub fn idle(mut self, time: Duration) -> Builder<T> {
        self.settings.idle = time.min(Ttl::MAX);
        self
    }

    /// How often an entry is delivered before it is a dead letter; 10 if it is not said.
    ///
    /// When a process crashes, all that it had in hand was delivered once more, and not only the
    /// entry that made it crash: a small number here makes dead letters of the others as well.
    pub fn deliveries_max(mut self, deliveries: NonZeroU32) -> Builder<T> {
        self.settings.deliveries_max = deliveries;
        self
    }

    /// How long an entry waits for its retry.
    pub fn backoff(mut self, backoff: Backoff) -> Builder<T> {
        self.settings.backoff = backoff;
        self
    }

    /// About how many dead letters the group keeps, the latest; 10,000 if it is not said.
    pub fn dead_letters_max(mut self, letters: NonZeroU64) -> Builder<T> {
        self.settings.dead_letters_max = letters;
        self
    }

    /// After how long without a sign of life this worker removes other consumers that have nothing
    /// pending; an hour if it is not said.
    pub fn silence_max(mut self, time: Duration) -> Builder<T> {
        self.settings.silence_max = time.min(Ttl::MAX);
        self
    }

    /// How long [`Worker::shutdown`] waits for handlers; 20 s if it is not said.
    pub fn drain(mut self, time: Duration) -> Builder<T> {
        self.settings.drain = time.min(Ttl::MAX);
        self
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |setting, range| Err(Error::Setting { setting, range });
        if self.settings.idle < Duration::from_millis(100) {
            return wrong("idle", "100 ms or more");
        }
        if self.settings.block.is_zero() {
            return wrong("block", "any time but zero");
        }
        if self.settings.silence_max < self.settings.idle * 2 {
            return wrong("silence_max", "twice `idle` or more");
        }
        Ok(())
    }
}

impl<T: DeserializeOwned + Send + 'static> Builder<T> {
    /// Makes the group if there is none, and starts the worker.
    ///
    /// Each entry is handed to `handler` in a task of its own. `Ok` finishes it; a [`Failure`] says
    /// what is to become of it; a panic is a failure to be retried.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] and [`Error::Store`]; the worker was not started.
    pub async fn start<H, F>(self, handler: H) -> Result<Worker, Error>
    where
        H: Fn(Job<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.check()?;
        self.group.create().await?;
        let last_delivered = self.group.info().await?.last_delivered;

        let (stop, counters) = (CancellationToken::new(), Arc::<Counters>::default());
        let consumer = self.settings.consumer.clone();
        let run = Run::new(
            self.group,
            self.settings,
            handler,
            last_delivered,
            stop.clone(),
            counters.clone(),
        );
        Ok(Worker {
            consumer,
            stop,
            counters,
            task: tokio::spawn(run.run()),
        })
    }
}
