//! A server as a store.

use std::fmt;
use std::sync::Arc;

use larder_store::{Answer, Backend, Channels, Command, Error, Subscription, Value};
use redis::{Client, Pipeline};

use crate::blocking::{Blocking, wait_of};
use crate::config::{Config, OpenError, Topology};
use crate::convert;
use crate::link::{Link, Live};
use crate::subscription;

/// Refusals after which nothing was executed, and which may be over soon.
const PASSING: [&str; 4] = ["LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN"];

/// A Redis or Valkey server as a store.
///
/// Opening it makes no connection: the first command does. It must be used within a tokio runtime.
pub struct Remote {
    link: Arc<Link>,
    blocking: Blocking,
}

impl Remote {
    /// A store on the server that the URL names.
    ///
    /// # Errors
    ///
    /// If the URL is not one of a server. Whether the server is there is not looked at.
    pub fn open(url: &str, config: Config) -> Result<Remote, OpenError> {
        let Topology::Single(info) = Topology::parse(url)?;
        let failed = |error: redis::RedisError| OpenError::Url {
            url: url.split('@').next_back().unwrap_or_default().to_owned(),
            reason: error.to_string(),
        };
        let client = Client::open(info).map_err(failed)?;
        Ok(Remote {
            link: Arc::new(Link::new(client, config)),
            blocking: Blocking::default(),
        })
    }

    async fn call_shared(&self, command: &Command) -> Result<Value, Error> {
        let cmd = convert::command(command);
        let mut retry = 0;
        loop {
            let mut live = self.link.get().await?;
            let error = match live.connection.send_packed_command(&cmd).await {
                Ok(answer) => match convert::result(answer) {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                Err(error) => self.failed(&live, &error),
            };
            if retry >= self.link.config().retries || !self.may_send_again(&live, &error) {
                return Err(error);
            }
            tokio::time::sleep(self.link.config().pause(retry)).await;
            retry += 1;
        }
    }

    /// What a failure means; a connection that is of no use any more is given up.
    fn failed(&self, live: &Live, error: &redis::RedisError) -> Error {
        if error.is_unrecoverable_error() || error.is_connection_dropped() {
            live.lose();
        }
        convert::sent_error(error)
    }

    /// Whether a command was certainly not executed and may be soon.
    fn may_send_again(&self, live: &Live, error: &Error) -> bool {
        match error {
            Error::NotSent { .. } => true,
            // The server is a replica now: its address may lead to the new master.
            Error::Refused(refusal) if refusal.code() == "READONLY" => {
                live.lose();
                true
            }
            Error::Refused(refusal) => PASSING.contains(&refusal.code()),
            _ => false,
        }
    }

    async fn call_all_shared(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        commands.iter().for_each(|command| {
            pipeline.add_command(convert::command(command));
        });
        let mut live = self.link.get().await?;
        match live
            .connection
            .send_packed_commands(&pipeline, 0, commands.len())
            .await
        {
            Ok(answers) => Ok(answers.into_iter().map(convert::result).collect()),
            Err(error) => Err(self.failed(&live, &error)),
        }
    }
}

impl Backend for Remote {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some(error) = refuse_state(&command) {
            return Answer::ready(Err(error));
        }
        match wait_of(&command) {
            Some(wait) => {
                Answer::later(async move { self.blocking.call(&self.link, &command, wait).await })
            }
            None => Answer::later(async move { self.call_shared(&command).await }),
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        if let Some(error) = refuse_batch(&commands) {
            return Answer::ready(Err(error));
        }
        Answer::later(async move { self.call_all_shared(&commands).await })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        Answer::later(subscription::subscribe(Arc::clone(&self.link), channels))
    }

    fn close(&self) -> Answer<'_, ()> {
        Answer::later(async move {
            self.link.close().await;
            self.blocking.close();
            Ok(())
        })
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// Commands that change the state of a connection, which is shared here.
const STATEFUL: [&str; 14] = [
    "WATCH",
    "UNWATCH",
    "MULTI",
    "EXEC",
    "DISCARD",
    "SELECT",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "MONITOR",
    "HELLO",
    "AUTH",
    "RESET",
    "QUIT",
];

fn is_named(command: &Command, name: &str) -> bool {
    command.name().eq_ignore_ascii_case(name.as_bytes())
}

/// Refuses a command that would change the shared connection for everybody.
fn refuse_state(command: &Command) -> Option<Error> {
    let name = STATEFUL
        .iter()
        .find(|name| is_named(command, name))
        .copied()
        .or_else(|| {
            let is_reply = |word: &[u8]| word.eq_ignore_ascii_case(b"REPLY");
            let changes_replies =
                is_named(command, "CLIENT") && command.arguments().get(1).is_some_and(is_reply);
            changes_replies.then_some("CLIENT REPLY")
        })?;
    Some(Error::not_sent(format_args!(
        "{name} changes the state of a connection, and this one is shared; send MULTI ... EXEC as \
         one batch with `call_all`, and listen with `subscribe`"
    )))
}

/// Refuses a batch that would leave the shared connection in another state, or that waits.
fn refuse_batch(commands: &[Command]) -> Option<Error> {
    let mut is_open = false;
    for command in commands {
        if is_named(command, "MULTI") && !is_open {
            is_open = true;
        } else if is_open && (is_named(command, "EXEC") || is_named(command, "DISCARD")) {
            is_open = false;
        } else if let Some(error) = refuse_state(command) {
            return Some(error);
        } else if !is_open && wait_of(command).is_some() {
            let name = String::from_utf8_lossy(command.name()).to_ascii_uppercase();
            return Some(Error::not_sent(format_args!(
                "{name} would hold up everybody on the shared connection; send it with `call`"
            )));
        }
    }
    is_open.then(|| Error::not_sent("the batch has a MULTI without an EXEC"))
}
