//! Dispatch as a store.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll};

use larder_store::near::ReadNear;
use larder_store::{
    Answer, Backend, Capabilities, Channels, Command, ConnectionEvents, Error, Event, Listen,
    NodeStatus, Part, Subscription, Value, refuse_batch, refuse_state,
};
use tokio::time::timeout;

use crate::batch::Batch;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::near::Reads;
use crate::node::{Listener, Queue};
use crate::open_error::OpenError;
use crate::trip::Trip;

/// Redis or Valkey as a store: one server, the master that Sentinels know, or a cluster.
///
/// Opening it makes no connection: the first command does. It must be used within a tokio runtime.
pub struct Remote {
    dispatch: Arc<Dispatch>,
}

impl Remote {
    /// A store on the servers that the URL names.
    ///
    /// # Errors
    ///
    /// If the URL is none of servers, a setting would fail every call, or a certificate is none. Whether
    /// a server is there is not looked at.
    pub fn open(url: &str, config: Config) -> Result<Remote, OpenError> {
        let dispatch = Arc::new(Dispatch::open(url, config)?);
        Ok(Remote { dispatch })
    }

    async fn listen(&self, channels: Channels) -> Result<Subscription, Error> {
        self.dispatch.refuse_if_unusable()?;
        let len_max = channels.buffer.unwrap_or(Channels::BUFFER).max(1);
        let listener = Listener::new(Arc::new(Queue::new(len_max)));
        // Should this future be dropped, the listener leaves.
        let listening = Listening {
            dispatch: Arc::clone(&self.dispatch),
            listener: listener.clone(),
        };
        let confirmed = self.dispatch.topology.listen(&channels, &listener);
        match channels.within {
            None => confirmed.await?,
            Some(time) => {
                let late = |_| Error::unanswered("the channels were not confirmed in time");
                timeout(time, confirmed).await.map_err(late)??;
            }
        }
        Ok(Subscription::new(listening))
    }
}

impl Backend for Remote {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        match refuse_state(&command).or_else(|| refuse_lonely(&command)) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move {
                let _changes = self.dispatch.nears.changes(slice::from_ref(&command));
                Trip::of(&self.dispatch, &command)?.run().await
            }),
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        match refuse_batch(&commands) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move {
                self.dispatch.refuse_if_unusable()?;
                let _changes = self.dispatch.nears.changes(&commands);
                Batch::of(&self.dispatch, &commands).run().await
            }),
        }
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        Answer::later(async move { self.listen(channels).await })
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        Some(Arc::new(Reads::open(&self.dispatch, bytes)))
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        Answer::later(async move {
            self.dispatch.refuse_if_unusable()?;
            self.dispatch.topology.parts().await
        })
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        Answer::later(async move { self.dispatch.capabilities().await })
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        self.dispatch.topology.nodes()
    }

    fn connection_events(&self) -> ConnectionEvents {
        self.dispatch.events.listen()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.dispatch.close();
        Answer::ready(Ok(()))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// A subscription. Dropping it ends it.
struct Listening {
    dispatch: Arc<Dispatch>,
    listener: Listener,
}

impl Listen for Listening {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.listener.queue.poll(context)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.dispatch.topology.leave(self.listener.id);
    }
}

/// Refuses a command that says nothing without those before it on its connection.
fn refuse_lonely(command: &Command) -> Option<Error> {
    let is_named = |name: &&str| command.name().eq_ignore_ascii_case(name.as_bytes());
    let name = ["WAIT", "WAITAOF"].into_iter().find(is_named)?;
    Some(Error::invalid(format_args!(
        "{name} waits for what its own connection has written; send it behind the writes, in one \
         batch with `call_all`"
    )))
}
