//! Commands that wait, and the connections that they wait on.
//!
//! A command that waits holds up all that is sent behind it on its connection, so each has a
//! connection to itself while it waits. If its caller loses interest the connection is closed,
//! which ends the wait on the server as well: no value is popped for nobody.

use std::time::{Duration, Instant};

use larder_store::{Command, Error};
use parking_lot::Mutex;
use redis::Pipeline;

use crate::convert;
use crate::link::{Link, Live};

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

/// How long commands wait that are sent together.
pub(crate) fn wait_of_all(commands: &[Command]) -> Option<Wait> {
    commands
        .iter()
        .filter_map(wait_of)
        .reduce(|one, other| match (one, other) {
            (Wait::For(one), Wait::For(other)) => Wait::For(one.saturating_add(other)),
            _ => Wait::Forever,
        })
}

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

    #[test]
    fn commands_that_are_sent_together_wait_one_after_the_other() {
        let pop = |seconds: u32| Command::new("BLPOP").arg("a").arg(seconds);
        let both = [pop(1), Command::new("GET").arg("a"), pop(2)];
        let wanted = Some(Wait::For(Duration::from_secs(3)));
        assert_eq!(wait_of_all(&both), wanted);
        assert_eq!(wait_of_all(&[pop(1), pop(0)]), Some(Wait::Forever));
        assert_eq!(wait_of_all(&both[1..2]), None);
    }
}
