//! The connection that all callers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::Error;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::convert::connect_error;

/// The connection that all callers share, made again when it is lost.
pub(crate) struct Link {
    client: Client,
    config: Config,
    current: Mutex<Option<Live>>,
    is_closed: AtomicBool,
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

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Link {
    pub(crate) fn new(client: Client, config: Config) -> Link {
        Link {
            client,
            config,
            current: Mutex::new(None),
            is_closed: AtomicBool::new(false),
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
    /// [`Error::NotSent`] if no connection could be made in as many tries as the configuration
    /// allows, or the store is closed.
    pub(crate) async fn get(&self) -> Result<Live, Error> {
        // Callers that find it lost wait here for the one who makes it again, so the server is
        // not stormed.
        let mut current = self.current.lock().await;
        if let Some(live) = current.as_ref().filter(|live| !live.is_lost()) {
            return Ok(live.clone());
        }
        let mut retry = 0;
        loop {
            self.refuse_if_closed()?;
            match self.connect().await {
                Ok(live) => {
                    *current = Some(live.clone());
                    return Ok(live);
                }
                Err(error) if retry >= self.config.retries => return Err(connect_error(&error)),
                Err(error) => {
                    tracing::debug!(%error, retry, "can't connect");
                    tokio::time::sleep(self.config.pause(retry)).await;
                    retry += 1;
                }
            }
        }
    }

    async fn connect(&self) -> redis::RedisResult<Live> {
        let lost = Arc::new(AtomicBool::new(false));
        // The connection tells when the server hangs up, so that the next command is not given to
        // a connection that is known to be dead.
        let notice = {
            let lost = Arc::clone(&lost);
            move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    lost.store(true, Ordering::Release);
                }
                Ok::<_, redis::aio::SendError>(())
            }
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
        match self.is_closed.load(Ordering::Acquire) {
            true => Err(Error::not_sent("the store is closed")),
            false => Ok(()),
        }
    }

    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        *self.current.lock().await = None;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}
