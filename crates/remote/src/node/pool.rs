//! The connections on which commands wait.
//!
//! A command that waits holds up all that is sent behind it on its connection, so each has a
//! connection to itself while it waits. If its caller loses interest the connection is closed,
//! which ends the wait on the server as well: no value is popped for nobody.

use std::time::Duration;

use larder_store::shape::Wait;
use larder_store::span::LONGEST;
use larder_store::{Command, Error};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::breaker::Admission;
use super::{GivenUp, Node};
use crate::config::Config;
use crate::verdict::Verdict;
use crate::wire::{Answered, Connection, Failure, Loss, Patience, Until};

/// A connection that has been idle no longer than this is used without a look at it.
const TRUSTED: Duration = Duration::from_secs(5);

const CLOSED: Loss = Loss::GivenUp("the store was closed");
const REPLACED: Loss =
    Loss::GivenUp("another server has taken the place of the one that was asked");

/// The connections of a node on which commands wait.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
    idle_max: usize,
    waiting_max: usize,
    /// One for each command that may still wait.
    turns: Semaphore,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Pool {
        let waiting_max = config.blocking_max.min(Semaphore::MAX_PERMITS);
        Pool {
            idle: Mutex::default(),
            idle_max: config.idle_max,
            waiting_max,
            turns: Semaphore::new(waiting_max),
        }
    }

    /// How many connections are kept on which nobody waits.
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// How many commands wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting_max - self.turns.available_permits()
    }

    /// Closes the connections on which nobody waits.
    pub(crate) fn clear(&self) {
        self.idle.lock().clear();
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            let since = Instant::now();
            idle.push(Idle { connection, since });
        }
    }
}

impl Node {
    /// Sends commands, of which at least one waits, on a connection that they have to themselves.
    ///
    /// `own` is when the caller's own time is over; for answers it is longer by as long as the commands wait
    /// by themselves.
    pub(crate) async fn call_waiting(
        &self,
        commands: &[Command],
        wait: Wait,
        own: Option<Instant>,
    ) -> Result<Vec<Answered>, Error> {
        let connect_until = own.unwrap_or_else(|| Instant::now() + self.config.connect_timeout);
        let _turn = match timeout_at(connect_until, self.pool.turns.acquire()).await {
            Ok(Ok(turn)) => turn,
            // The turns are never closed.
            Ok(Err(_)) | Err(_) => {
                return Err(Error::away(
                    "as many commands wait on the server as may (`blocking_max`)",
                ));
            }
        };
        let admission = self.breaker.admit()?;
        let must_answer = admission.is_probe();
        let connection = match self.idle_connection(must_answer, connect_until).await {
            Some(idle) => idle,
            None => self.connect_for_waiting(connect_until).await?,
        };
        // Whoever was let through to try has found out, and may wait for long now.
        if admission.is_probe() {
            self.is_there(&admission);
        }
        drop(admission);
        let until = own.unwrap_or_else(|| Instant::now() + self.config.response_timeout)
            + match wait {
                Wait::Forever => LONGEST,
                Wait::For(wait) => wait.min(LONGEST),
            };
        // If this future is dropped here the connection is dropped with it, and so closed.
        let answers = tokio::select! {
            biased;
            answers = connection.call_all(commands.iter(), Until::Own(until)) => answers,
            () = self.given_up() => {
                vec![Err(Failure::Unanswered(self.why_given_up())); commands.len()]
            }
        };
        self.heard_all(&connection, &answers, &Admission::none(), true);
        if answers.iter().all(is_from_a_master) && self.gone().is_none() {
            self.pool.put_back(connection);
        }
        Ok(answers)
    }

    fn why_given_up(&self) -> Loss {
        match self.gone() {
            Some(GivenUp::Closed) => CLOSED,
            _ => REPLACED,
        }
    }

    async fn connect_for_waiting(&self, until: Instant) -> Result<Connection, Error> {
        let patience = Patience {
            ping_after: None,
            ..self.config.patience()
        };
        self.connect_patiently(patience, None, until).await
    }

    /// An idle connection that is alive; certainly so, if it `must_answer`.
    async fn idle_connection(&self, must_answer: bool, until: Instant) -> Option<Connection> {
        loop {
            let Idle { connection, since } = self.pool.idle.lock().pop()?;
            if connection.is_retired() {
                continue;
            }
            // It may have been cut without anybody noticing: a look at it is cheaper than a wait
            // that nobody answers.
            let is_trusted = since.elapsed() < TRUSTED && !must_answer;
            if is_trusted || self.is_alive(&connection, until).await {
                return Some(connection);
            }
        }
    }

    async fn is_alive(&self, connection: &Connection, until: Instant) -> bool {
        let usual = Instant::now() + self.config.response_timeout;
        let until = Until::Own(until.min(usual));
        connection.call(&Command::new("PING"), until).await.is_ok()
    }
}

/// Whether an answer came, and none that says that the server is of no use any more: the next who waits
/// would meet it again.
fn is_from_a_master(answer: &Answered) -> bool {
    !matches!(
        Verdict::of(answer),
        Verdict::Elsewhere | Verdict::Stranger | Verdict::NotSent | Verdict::Unknown
    )
}
