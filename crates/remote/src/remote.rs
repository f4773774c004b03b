//! A server as a store.

use std::fmt;
use std::sync::Arc;

use larder_store::shape::Wait;
use larder_store::{
    Answer, Backend, Channels, Command, Error, Subscription, Value, refuse_batch, refuse_state,
};
use redis::{Cmd, Pipeline};

use crate::blocking::Blocking;
use crate::config::{Config, Topology};
use crate::convert;
use crate::link::{Link, Live};
use crate::open_error::OpenError;
use crate::subscription;
use crate::tries::Tries;

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
    /// If the URL is not one of a server, a setting would fail every call, or a certificate is none. Whether the server is there is
    /// not looked at.
    pub fn open(url: &str, config: Config) -> Result<Remote, OpenError> {
        config.check()?;
        let topology = Topology::parse(url)?;
        let client = topology.client(&config)?;
        Ok(Remote {
            link: Arc::new(Link::new(client, config)),
            blocking: Blocking::default(),
        })
    }

    /// Runs one command, again if it was certainly not executed and may be soon.
    async fn call_patiently(&self, command: &Command) -> Result<Value, Error> {
        let (cmd, wait) = (convert::command(command), command.waits());
        let config = self.link.config();
        let mut tries = Tries::within(config, config.response_timeout);
        loop {
            let answer = match wait {
                None => self.call_shared(&cmd).await,
                Some(wait) => self.call_waiting(&cmd, wait).await,
            };
            match answer {
                // A server that is busy or loads its data may take long to say so, each time.
                Err(error) if is_passing(&error) && tries.are_left() => tries.pause().await,
                answer => return answer,
            }
        }
    }

    async fn call_shared(&self, cmd: &Cmd) -> Result<Value, Error> {
        let mut live = self.link.get().await?;
        let answer = live.connection.send_packed_command(cmd).await;
        let answer = answer.map_err(|error| failed(&live, &error))?;
        convert::result(answer).inspect_err(|error| {
            // The server is a replica now: its address may lead to the new master.
            if error.is_refusal("READONLY") {
                live.lose();
            }
        })
    }

    async fn call_waiting(&self, cmd: &Cmd, wait: Wait) -> Result<Value, Error> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(cmd.clone());
        let mut answers = self.blocking.run(&self.link, &pipeline, wait).await?;
        match answers.pop() {
            Some(answer) => convert::result(answer),
            None => Err(Error::unanswered("the server gave no answer")),
        }
    }

    async fn call_all_once(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        commands.iter().for_each(|command| {
            pipeline.add_command(convert::command(command));
        });
        let answers = match Wait::of_all(commands) {
            Some(wait) => self.blocking.run(&self.link, &pipeline, wait).await?,
            None => {
                let mut live = self.link.get().await?;
                let answers = live
                    .connection
                    .send_packed_commands(&pipeline, 0, commands.len());
                answers.await.map_err(|error| failed(&live, &error))?
            }
        };
        Ok(answers.into_iter().map(convert::result).collect())
    }
}

/// What a failure means; a connection that is of no use any more is given up.
fn failed(live: &Live, error: &redis::RedisError) -> Error {
    // One that does not answer in time may be dead without a word: the next caller gets another.
    if error.is_unrecoverable_error() || error.is_connection_dropped() || error.is_timeout() {
        live.lose();
    }
    convert::sent_error(error)
}

/// Whether the server said that it did not execute the command, and may do so soon.
fn is_passing(error: &Error) -> bool {
    convert::PASSING.iter().any(|code| error.is_refusal(code))
}

impl Backend for Remote {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        match refuse_state(&command).or_else(|| refuse_lonely(&command)) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move { self.call_patiently(&command).await }),
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        match refuse_batch(&commands) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move { self.call_all_once(&commands).await }),
        }
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        Answer::later(subscription::subscribe(Arc::clone(&self.link), channels))
    }

    fn close(&self) -> Answer<'_, ()> {
        self.link.close();
        self.blocking.close();
        Answer::ready(Ok(()))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

fn is_named(command: &Command, name: &str) -> bool {
    command.name().eq_ignore_ascii_case(name.as_bytes())
}

/// Refuses a command that says nothing without those before it on its connection.
fn refuse_lonely(command: &Command) -> Option<Error> {
    let name = ["WAIT", "WAITAOF"]
        .into_iter()
        .find(|name| is_named(command, name))?;
    Some(Error::invalid(format_args!(
        "{name} waits for what its own connection has written; send it behind the writes, in one \
         batch with `call_all`"
    )))
}
