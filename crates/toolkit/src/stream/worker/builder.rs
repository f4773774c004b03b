//! Describing a worker, and starting it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_store::Error;
use serde::de::DeserializeOwned;

use super::backoff::Backoff;
use super::calls::Calls;
use super::control::Control;
use super::handle::handle;
use super::job::{Failure, Job};
use super::metrics::Counters;
use super::run::Run;
use super::running::Worker;
use super::settings::Settings;
use crate::Ttl;
use crate::stream::{Group, keys};

/// The most entries that one read may ask for.
const BATCH_MAX: usize = 1_000_000;

/// A worker that is being described.
#[derive(Clone, Debug)]
#[must_use = "a worker does nothing until it is started"]
pub struct Builder<T> {
    group: Group<T>,
    settings: Settings,
}

impl<T: DeserializeOwned> Group<T> {
    /// Begins to describe a worker of this group.
    pub fn worker(&self) -> Builder<T> {
        Builder {
            group: self.clone(),
            settings: Settings::default(),
        }
    }
}

impl<T> Builder<T> {
    /// The name by which the group knows this worker; else a random one.
    ///
    /// A worker that is started again under its name takes up at once what it had in hand when it
    /// crashed. Two workers that run at the same time must not share a name.
    ///
    /// # Panics
    ///
    /// If the name begins with `larder:`, as those of our own do.
    pub fn consumer(mut self, name: impl Into<String>) -> Builder<T> {
        self.settings.consumer = name.into();
        assert!(
            !self.settings.consumer.starts_with(keys::OURS),
            "the name of a consumer does not begin with {}",
            keys::OURS
        );
        self
    }

    /// How many entries are handled at the same time; 8 if it is not said.
    ///
    /// # Panics
    ///
    /// If it is zero.
    pub fn concurrency(mut self, handlers: usize) -> Builder<T> {
        assert!(handlers > 0, "a worker handles one entry at a time or more");
        self.settings.concurrency = handlers;
        self
    }

    /// How many entries are read at once at most, never more than there are handlers free nor than
    /// a million; 64 if it is not said.
    ///
    /// # Panics
    ///
    /// If it is zero.
    pub fn batch(mut self, entries: usize) -> Builder<T> {
        assert!(entries > 0, "a worker reads one entry at a time or more");
        self.settings.batch = entries.min(BATCH_MAX);
        self
    }

    /// How long a read waits in the store for new entries; 5 s if it is not said. Entries are read
    /// when they come, whatever this is.
    ///
    /// # Panics
    ///
    /// If it is zero.
    pub fn block(mut self, time: Duration) -> Builder<T> {
        assert!(!time.is_zero(), "a read waits for some time");
        self.settings.block = time.min(Ttl::MAX);
        self
    }

    /// After how long without a sign of life from a worker its entries are taken over by others;
    /// 30 s if it is not said, at least 100 ms. Handlers may take longer: the worker gives the sign
    /// for them. A worker takes over only when it has been in contact with the store itself for this
    /// long, so after an outage everybody has time to be heard.
    ///
    /// # Panics
    ///
    /// If it is less than 100 ms.
    pub fn idle(mut self, time: Duration) -> Builder<T> {
        assert!(
            time >= Duration::from_millis(100),
            "a worker is given 100 ms or more for a sign of life"
        );
        self.settings.idle = time.min(Ttl::MAX);
        self
    }

    /// How often an entry is delivered before it is a dead letter; 10 if it is not said.
    ///
    /// When a process crashes, all that it had in hand was delivered once more, and not only the
    /// entry that made it crash: a small number here makes dead letters of the others as well. A
    /// delivery that was given back by [`Worker::shutdown`] does not count.
    ///
    /// # Panics
    ///
    /// If it is zero.
    pub fn deliveries_max(mut self, deliveries: u32) -> Builder<T> {
        assert!(deliveries > 0, "an entry is delivered once or more");
        self.settings.deliveries_max = deliveries;
        self
    }

    /// How long an entry waits for its retry.
    pub fn backoff(mut self, backoff: Backoff) -> Builder<T> {
        self.settings.backoff = backoff;
        self
    }

    /// About how many dead letters the group keeps, the latest; 10,000 if it is not said.
    ///
    /// # Panics
    ///
    /// If it is zero.
    pub fn dead_letters_max(mut self, letters: u64) -> Builder<T> {
        assert!(letters > 0, "a group keeps one dead letter or more");
        self.settings.dead_letters_max = letters;
        self
    }

    /// After how long without a sign of life this worker removes other consumers that have nothing
    /// pending; an hour if it is not said, and never less than twice [`Builder::idle`].
    pub fn silence_max(mut self, time: Duration) -> Builder<T> {
        self.settings.silence_max = time.min(Ttl::MAX);
        self
    }

    /// How long [`Worker::shutdown`] waits for handlers; 20 s if it is not said.
    pub fn drain(mut self, time: Duration) -> Builder<T> {
        self.settings.drain = time.min(Ttl::MAX);
        self
    }
}

impl<T: DeserializeOwned + Send + 'static> Builder<T> {
    /// Makes the group if there is none, and starts the worker.
    ///
    /// Each entry is handed to `handler` in a task of its own; on a runtime of one thread, handlers that
    /// end without a wait need none. `Ok` finishes the entry; a [`Failure`] says what is to become of
    /// it; a panic is a failure to be retried.
    ///
    /// ```
    /// # larder_testkit::doctest(async |store| {
    /// # use larder_toolkit::stream::{Failure, Job, Start, Stream, Trim};
    /// # let orders = Stream::<String>::new(&store, "shop", "orders", Trim::Handled);
    /// let worker = orders
    ///     .group("shipping", Start::Earliest)
    ///     .worker()
    ///     .concurrency(4)
    ///     .start(async |job: Job<String>| {
    ///         let amount: u32 = job.body.parse()?;
    ///         println!("sending {amount}");
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # worker.shutdown().await;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the store; the worker was not started.
    pub async fn start<H, F>(self, handler: H) -> Result<Worker, Error>
    where
        H: Fn(Job<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let counters = Arc::<Counters>::default();
        let control = Control::new(&self.settings, Arc::clone(&counters));
        let handle = handle(self.settings.clone(), counters, handler);
        let calls = Calls {
            group: self.group.untyped(),
            settings: self.settings,
        };
        self.group.create().await?;
        // Others are to know that it is alive before it has anything in hand.
        calls.beat(std::iter::empty()).await?;

        let control = Arc::new(control);
        let run = Run::new(Arc::new(calls), Arc::clone(&control), handle);
        Ok(Worker::start(control, run))
    }
}
