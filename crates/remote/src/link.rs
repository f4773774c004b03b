//! The connection that all callers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use larder_store::Error;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::Config;
use crate::failure::{connect_error, may_pass};
use crate::tries::Tries;

/// The connection that all callers share, made again when it is lost.
pub(crate) struct Link {
    client: Client,
    config: Config,
    current: Mutex<Option<Live>>,
    /// Held by the caller who makes the connection again. It holds why the last try failed.
    connecting: tokio::sync::Mutex<Option<Error>>,
    /// How many tries have failed.
    failures: AtomicU64,
    /// How many callers wait for the connection.
    waiting: AtomicUsize,
    closed: watch::Sender<bool>,
}

/// A connection, and whether it is known to be lost.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    lost: Arc<AtomicBool>,
}

impl Live {
    /// Says that the connection is of no use any more.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// Notes that a connection is lost, at the latest when the task ends that drives it: that of a
/// runtime that is gone is dropped without a word.
struct End(Arc<AtomicBool>);

impl End {
    fn note(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.note();
    }
}

impl Link {
    pub(crate) fn new(client: Client, config: Config) -> Link {
        Link {
            client,
            config,
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            failures: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            closed: watch::Sender::new(false),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The connection, made if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if no connection could be made in as many tries as the configuration allows, or
    /// too many callers wait for one already; [`Error::Closed`].
    pub(crate) async fn get(&self) -> Result<Live, Error> {
        self.refuse_if_unusable()?;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let _waiting = Waiting::enter(self)?;
        // Callers that find it lost wait here for the one who makes it again, so the server is
        // not stormed.
        let mut failure = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        // Whoever came while another was trying shares his failure: were each to try in turn, the
        // last of many would learn very late that there is no server.
        if let Some(error) = failure.as_ref()
            && self.failures.load(Ordering::Acquire) > failures
        {
            return Err(error.clone());
        }
        match self.connect_patiently().await {
            Ok(live) => {
                *failure = None;
                *self.current.lock() = Some(live.clone());
                // Whoever closes the store after this look finds the connection there.
                self.refuse_if_closed()
                    .inspect_err(|_| *self.current.lock() = None)?;
                Ok(live)
            }
            Err(error) => {
                *failure = Some(error.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    fn live(&self) -> Option<Live> {
        let current = self.current.lock();
        current.as_ref().filter(|live| !live.is_lost()).cloned()
    }

    /// A connection of its own, in as many tries as the configuration allows.
    pub(crate) async fn connect_patiently(&self) -> Result<Live, Error> {
        let mut tries = self.tries();
        loop {
            self.refuse_if_closed()?;
            match self.connect().await {
                Ok(live) => return Ok(live),
                Err(error) if tries.are_left() && may_pass(&error) => {
                    tracing::debug!(%error, retry = tries.retries(), "can't connect");
                    tries.pause().await;
                }
                Err(error) => return Err(self.connect_error(&error)),
            }
        }
    }

    /// The tries of a caller who waits for a connection.
    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries::within(&self.config, self.config.connect_timeout)
    }

    /// What a failed connection means to the caller of a command.
    pub(crate) fn connect_error(&self, error: &RedisError) -> Error {
        connect_error(error, self.client.get_connection_info().addr())
    }

    async fn connect(&self) -> redis::RedisResult<Live> {
        let lost = Arc::new(AtomicBool::new(false));
        // The connection tells when the server hangs up, so that the next command is not given to
        // a connection that is known to be dead.
        let end = End(Arc::clone(&lost));
        let notice = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                end.note();
            }
            Ok::<_, redis::aio::SendError>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.response_timeout))
            .set_concurrency_limit(self.config.in_flight_max)
            .set_pipeline_buffer_size(1024)
            .set_push_sender(notice);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Live { connection, lost })
    }

    pub(crate) fn refuse_if_closed(&self) -> Result<(), Error> {
        match *self.closed.borrow() {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Refuses a call if the store is closed, or if nothing is there that could make it.
    pub(crate) fn refuse_if_unusable(&self) -> Result<(), Error> {
        match Handle::try_current() {
            Ok(_) => self.refuse_if_closed(),
            Err(_) => Err(Error::invalid(
                "a store on a server has to be used within a tokio runtime",
            )),
        }
    }

    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        *self.current.lock() = None;
    }

    /// Waits until the store is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as this does, so waiting does not fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// One of the callers that wait for the connection.
struct Waiting<'a> {
    link: &'a Link,
}

impl Waiting<'_> {
    fn enter(link: &Link) -> Result<Waiting<'_>, Error> {
        let waiting = Waiting { link };
        let others = link.waiting.fetch_add(1, Ordering::AcqRel);
        match others < link.config.waiting_max {
            true => Ok(waiting),
            false => Err(Error::away(format_args!(
                "the server is away, and {others} callers wait for it already"
            ))),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.link.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
