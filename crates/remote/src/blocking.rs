//! Commands that wait, and the connections that they wait on.
//!
//! A command that waits holds up all that is sent behind it on its connection, so each has a
//! connection to itself while it waits. If its caller loses interest the connection is closed,
//! which ends the wait on the server as well: no value is popped for nobody.

use std::time::{Duration, Instant};

use larder_store::Error;
use larder_store::shape::Wait;
use parking_lot::Mutex;
use redis::Pipeline;

use crate::convert;
use crate::link::{Link, Live};

/// A connection that has been idle no longer than this is used without a look at it.
const TRUSTED: Duration = Duration::from_secs(5);

/// The connections on which commands wait.
#[derive(Default)]
pub(crate) struct Blocking {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    live: Live,
    since: Instant,
}

impl Blocking {
    /// Runs commands, of which at least one waits, on a connection that they have to themselves.
    pub(crate) async fn run(
        &self,
        link: &Link,
        pipeline: &Pipeline,
        wait: Wait,
    ) -> Result<Vec<redis::Value>, Error> {
        link.refuse_if_unusable()?;
        let mut live = match self.take(link).await {
            Some(idle) => idle,
            None => link.connect_patiently().await?,
        };
        live.connection.set_response_timeout(match wait {
            Wait::Forever => Duration::from_secs(u64::from(u32::MAX)),
            Wait::For(wait) => wait.saturating_add(link.config().response_timeout),
        });
        // If this future is dropped here the connection is dropped with it, and so closed.
        let answers = live
            .connection
            .send_packed_commands(pipeline, 0, pipeline.len());
        let answers = tokio::select! {
            answers = answers => answers,
            () = link.closed() => return Err(Error::unanswered("the store was closed")),
        };
        let answers = answers.map_err(|error| convert::sent_error(&error))?;
        self.put_back(live, link);
        Ok(answers)
    }

    /// An idle connection that is alive.
    async fn take(&self, link: &Link) -> Option<Live> {
        loop {
            let mut idle = self.idle.lock().pop()?;
            if idle.live.is_lost() {
                continue;
            }
            // It may have been cut without anybody noticing: a look at it is cheaper than a wait
            // that nobody answers.
            let patience = link.config().response_timeout;
            if idle.since.elapsed() < TRUSTED || is_alive(&mut idle.live, patience).await {
                return Some(idle.live);
            }
        }
    }

    fn put_back(&self, live: Live, link: &Link) {
        let mut idle = self.idle.lock();
        if idle.len() < link.config().idle_max && link.refuse_if_closed().is_ok() {
            let since = Instant::now();
            idle.push(Idle { live, since });
        }
    }

    /// Closes the connections on which nobody waits.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }
}

async fn is_alive(live: &mut Live, patience: Duration) -> bool {
    live.connection.set_response_timeout(patience);
    let ping = redis::cmd("PING");
    live.connection.send_packed_command(&ping).await.is_ok()
}
