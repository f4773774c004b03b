//! Commands that wait, and the connections that they wait on.
//!
//! A command that waits holds up all that is sent behind it on its connection, so each has a
//! connection to itself while it waits. If its caller loses interest the connection is closed,
//! which ends the wait on the server as well: no value is popped for nobody.

use std::time::Duration;

use larder_store::{Command, Error, Value};
use parking_lot::Mutex;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use crate::convert;
use crate::link::Link;

/// How long a command waits by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    /// Until something comes.
    Forever,
    /// At most so long.
    For(Duration),
}

/// How long this command waits, if it is one that waits.
pub(crate) fn wait_of(command: &Command) -> Option<Wait> {
    let arguments = command.arguments();
    let number = |at: usize| {
        std::str::from_utf8(arguments.get(at)?)
            .ok()?
            .parse::<f64>()
            .ok()
    };
    let last = arguments.len().checked_sub(1)?;
    let (at, unit_s) = match command.name().to_ascii_uppercase().as_slice() {
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BZPOPMIN" | b"BZPOPMAX" => (last, 1.0),
        b"BLMPOP" | b"BZMPOP" => (1, 1.0),
        b"WAIT" | b"WAITAOF" => (last, 0.001),
        b"XREAD" | b"XREADGROUP" => {
            let is_block = |word: &[u8]| word.eq_ignore_ascii_case(b"BLOCK");
            (arguments.iter().position(is_block)? + 1, 0.001)
        }
        _ => return None,
    };
    // What is no number is refused by the server, at once.
    let seconds = number(at).unwrap_or(1.0) * unit_s;
    match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) => Some(Wait::Forever),
        Ok(wait) => Some(Wait::For(wait)),
        Err(_) => Some(Wait::For(Duration::from_secs(1))),
    }
}

/// The connections on which commands wait.
#[derive(Default)]
pub(crate) struct Blocking {
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl Blocking {
    /// Runs a command that waits.
    pub(crate) async fn call(
        &self,
        link: &Link,
        command: &Command,
        wait: Wait,
    ) -> Result<Value, Error> {
        let margin = link.config().response_timeout;
        let cmd = convert::command(command);
        let mut is_fresh = false;
        let mut retry = 0;
        loop {
            link.refuse_if_closed()?;
            let mut connection = match self.take().filter(|_| !is_fresh) {
                Some(idle) => idle,
                None => match connect(link).await {
                    Ok(connection) => connection,
                    Err(error) if retry >= link.config().retries => {
                        return Err(convert::connect_error(&error));
                    }
                    Err(_) => {
                        tokio::time::sleep(link.config().pause(retry)).await;
                        retry += 1;
                        continue;
                    }
                },
            };
            // An idle connection may have been cut without anybody noticing: a look at it is
            // cheaper than a wait that nobody answers.
            if !is_fresh && !is_alive(&mut connection, margin).await {
                is_fresh = true;
                continue;
            }
            connection.set_response_timeout(match wait {
                Wait::Forever => Duration::from_secs(u64::from(u32::MAX)),
                Wait::For(wait) => wait.saturating_add(margin),
            });
            // Dropped here, the connection is dropped with the future, and so closed.
            let answer = connection.send_packed_command(&cmd).await;
            return match answer {
                Ok(answer) => {
                    self.put_back(connection, link.config().idle_max);
                    convert::result(answer)
                }
                Err(error) => {
                    let error = convert::sent_error(&error);
                    if matches!(error, Error::Refused(_)) {
                        self.put_back(connection, link.config().idle_max);
                    }
                    Err(error)
                }
            };
        }
    }

    fn take(&self) -> Option<MultiplexedConnection> {
        self.idle.lock().pop()
    }

    fn put_back(&self, connection: MultiplexedConnection, idle_max: usize) {
        let mut idle = self.idle.lock();
        if idle.len() < idle_max {
            idle.push(connection);
        }
    }

    /// Closes the connections on which nobody waits.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }
}

async fn connect(link: &Link) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(link.config().connect_timeout))
        .set_response_timeout(Some(link.config().response_timeout));
    link.client()
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

async fn is_alive(connection: &mut MultiplexedConnection, patience: Duration) -> bool {
    connection.set_response_timeout(patience);
    connection
        .send_packed_command(&redis::cmd("PING"))
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_wait_are_known() {
        let wait = |line: &str| {
            let mut words = line.split(' ');
            wait_of(&Command::new(words.next().unwrap()).args(words))
        };
        let seconds = |seconds| Some(Wait::For(Duration::from_secs_f64(seconds)));
        assert_eq!(wait("blpop a b 1.5"), seconds(1.5));
        assert_eq!(wait("BRPOP a 0"), Some(Wait::Forever));
        assert_eq!(wait("BLMPOP 2 1 a LEFT"), seconds(2.0));
        assert_eq!(wait("XREAD COUNT 1 BLOCK 250 STREAMS a $"), seconds(0.25));
        assert_eq!(
            wait("XREADGROUP GROUP g c BLOCK 0 STREAMS a >"),
            Some(Wait::Forever)
        );
        assert_eq!(wait("XREAD COUNT 1 STREAMS a $"), None);
        assert_eq!(wait("GET a"), None);
    }
}
