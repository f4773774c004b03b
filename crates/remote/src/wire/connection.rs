//! A connection that many callers share.
//!
//! ```text
//! callers ── encode ──> outbox ── taken as a whole ──> driver ── written ──> server
//!         <── answers, in the order of the requests ── driver <── read ────
//! ```
//!
//! A task drives it. What callers ask while the driver writes is sent together when it has written, so
//! requests of many travel in few packets. A request that still lies in the outbox when the connection
//! ends was certainly not sent, and its caller learns so; of one that was taken out nobody knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_store::{Arguments, Command, Refusal, Value};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::driver::{Driver, Pushes};
use super::expected::{Answered, Reply, Until};
use super::loss::{Failure, GIVEN_UP, Loss};
use super::outbox::{Patience, Shared};
use super::stream::Stream;

/// A handle on a connection. When the last one is dropped the connection is closed, and a command that
/// waits on it is given up.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl Connection {
    /// A connection over a stream, driven by a task of its own. Messages that are no answers go to
    /// `pushes`.
    pub(crate) fn new(stream: Stream, patience: Patience, pushes: Option<Pushes>) -> Connection {
        let shared = Arc::new(Shared::new(patience));
        let driver = Driver::new(stream, Arc::clone(&shared), patience, pushes);
        tokio::spawn(driver);
        Connection {
            handle: Arc::new(Handle { shared }),
        }
    }

    /// Sends a command and waits for its answer. A refusal is an answer.
    pub(crate) async fn call(&self, command: &Command, until: Until) -> Result<Value, Failure> {
        let (to, answer) = oneshot::channel();
        let request = |out: &mut Vec<u8>| write(out, command.arguments());
        let until = self
            .handle
            .shared
            .send(request, Reply::One(to), (1, 0), until)
            .await?;
        wait(answer, until).await
    }

    /// The same, with another command right before it, whose answer is of no interest.
    pub(crate) async fn call_after(
        &self,
        first: &[&str],
        command: &Command,
        until: Until,
    ) -> Result<Value, Failure> {
        let (to, answer) = oneshot::channel();
        let request = |out: &mut Vec<u8>| {
            larder_resp::write_request(out, first);
            write(out, command.arguments());
        };
        let until = self
            .handle
            .shared
            .send(request, Reply::One(to), (2, 1), until)
            .await?;
        wait(answer, until).await
    }

    /// Sends commands together and waits for what comes of each.
    pub(crate) async fn call_all<'c>(
        &self,
        commands: impl ExactSizeIterator<Item = &'c Command>,
        until: Until,
    ) -> Vec<Answered> {
        let (to, mut answers) = oneshot::channel();
        let len = commands.len();
        let request =
            |out: &mut Vec<u8>| commands.for_each(|command| write(out, command.arguments()));
        let reply = Reply::All(Vec::with_capacity(len), to);
        let outcome = match self
            .handle
            .shared
            .send(request, reply, (len, 0), until)
            .await
        {
            Ok(Until::Own(at)) => match timeout_at(at, &mut answers).await {
                Ok(outcome) => outcome.unwrap_or_else(given_up),
                // Some may have come, and the driver has them.
                Err(_) => {
                    self.handle.shared.tell_overdue();
                    answers.await.unwrap_or_else(given_up)
                }
            },
            Ok(Until::Usual(_)) => answers.await.unwrap_or_else(given_up),
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|failure| vec![Err(failure); len])
    }

    /// Sends commands that have no answer if they go well, such as SUBSCRIBE, and waits until the server is
    /// behind them. The answer has what was refused.
    pub(crate) async fn call_silent(
        &self,
        commands: &[Command],
        until: Until,
    ) -> Result<Vec<Refusal>, Failure> {
        let (to, refused) = oneshot::channel();
        let request = |out: &mut Vec<u8>| {
            commands
                .iter()
                .for_each(|command| write(out, command.arguments()));
            larder_resp::write_request(out, &["PING"]);
        };
        let reply = Reply::Fence(Vec::new(), to);
        let until = self
            .handle
            .shared
            .send(request, reply, (1, 0), until)
            .await?;
        wait(refused, until).await
    }

    /// Sends nothing more on this connection; what is under way may still be answered.
    pub(crate) fn retire(&self) {
        self.handle.shared.is_retired.store(true, Ordering::Release);
    }

    /// Whether it is of no use any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.handle.shared.is_retired.load(Ordering::Acquire)
    }

    /// Whether nobody has told yet that it was lost. From now on somebody has.
    pub(crate) fn is_first_to_tell(&self) -> bool {
        !self.handle.shared.is_told.swap(true, Ordering::Relaxed)
    }

    /// How many requests are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.handle.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Ends the connection at once, with whatever is under way.
    pub(crate) fn cut(&self, reason: &'static str) {
        self.handle.shared.over(&Loss::GivenUp(reason));
        self.handle.shared.leave();
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as the handle does, so waiting does not fail.
        let mut ended = self.handle.shared.ended.subscribe();
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Waits for an answer.
async fn wait<T>(
    answer: oneshot::Receiver<Result<T, Failure>>,
    until: Until,
) -> Result<T, Failure> {
    match until {
        Until::Usual(_) => answer.await.unwrap_or_else(given_up),
        Until::Own(at) => match timeout_at(at, answer).await {
            Ok(answer) => answer.unwrap_or_else(given_up),
            Err(_) => Err(Failure::Unanswered(Loss::Late)),
        },
    }
}

/// What a caller is told whose request was taken, and given back by nobody.
fn given_up<T>(_: oneshot::error::RecvError) -> Result<T, Failure> {
    Err(Failure::Unanswered(GIVEN_UP))
}

fn write(out: &mut Vec<u8>, arguments: Arguments<'_>) {
    larder_resp::array(out, arguments.len());
    arguments
        .iter()
        .for_each(|word| larder_resp::bulk(out, word));
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;

    /// The driver was told of it when it had not taken their requests, and looked at those that it had: they
    /// waited for as long as an answer may take.
    #[tokio::test(start_paused = true)]
    async fn those_whose_time_is_over_as_they_ask_do_not_wait() -> std::io::Result<()> {
        let (stream, _silent) = UnixStream::pair()?;
        let patience = Patience {
            in_flight_max: 10,
            ping_after: None,
            response_timeout: Duration::from_secs(20),
        };
        let connection = Connection::new(Stream::Unix(stream), patience, None);
        let begun = Instant::now();
        tokio::time::advance(Duration::from_millis(10)).await;
        let commands = ["GET", "PING"].map(Command::new);
        let answers = connection.call_all(commands.iter(), Until::Own(begun));
        for answer in answers.await {
            let is_late = matches!(answer, Err(Failure::Unanswered(Loss::Late)));
            assert!(is_late, "{answer:?}");
        }
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(1), "{waited:?}");
        Ok(())
    }
}
