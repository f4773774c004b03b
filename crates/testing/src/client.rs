//! A client of a store that misbehaves.

use std::sync::Arc;

use larder_store::near::ReadNear;
use larder_store::{
    Answer, Backend, Capabilities, Channels, Command, Error, Part, Store, Subscription, Value,
    refuse_batch, refuse_state,
};
use tokio_util::sync::CancellationToken;

use crate::asking::Answers;
use crate::fault::away;
use crate::listen;
use crate::near::Reads;
use crate::shared::Shared;

/// The store as one client sees it.
pub(crate) struct Client {
    shared: Arc<Shared>,
    name: Arc<str>,
    closed: CancellationToken,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Client {
        Client {
            shared,
            name: name.into(),
            closed: CancellationToken::new(),
        }
    }

    fn ask(&self, commands: Vec<Command>) -> impl Future<Output = Answers> + Send + use<> {
        let (shared, name) = (Arc::clone(&self.shared), Arc::clone(&self.name));
        let closed = self.closed.clone();
        async move {
            if closed.is_cancelled() {
                return Err(Error::Closed);
            }
            tokio::select! {
                biased;
                () = closed.cancelled() => Err(Error::unanswered("the store was closed")),
                answers = shared.exchange(&name, commands) => answers,
            }
        }
    }
}

impl Client {
    /// The store behind the faults, if it can be reached: for what is asked about it, and not of it.
    fn reached(&self) -> Result<Store, Error> {
        if self.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        match self.shared.line.connection(&self.name) {
            Some(_) => Ok(self.shared.site.store()),
            None => Err(away()),
        }
    }
}

impl Backend for Client {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some(error) = refuse_state(&command) {
            return Answer::ready(Err(error));
        }
        let answers = self.ask(vec![command]);
        Answer::later(async move { answers.await?.pop().unwrap_or(Ok(Value::Null)) })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        match refuse_batch(&commands) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(self.ask(commands)),
        }
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        if self.closed.is_cancelled() {
            return Answer::ready(Err(Error::Closed));
        }
        let (shared, name) = (Arc::clone(&self.shared), Arc::clone(&self.name));
        Answer::later(listen::subscribe(
            shared,
            name,
            self.closed.clone(),
            channels,
        ))
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        let reads = Reads::new(&self.shared, &self.name, &self.closed, bytes);
        Some(Arc::new(reads))
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        Answer::later(async move {
            let store = self.reached()?;
            match self.shared.parts.all() {
                Some(parts) => Ok(parts),
                None => store.parts().await,
            }
        })
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        Answer::later(async move { self.reached()?.capabilities().await })
    }

    fn close(&self) -> Answer<'_, ()> {
        self.closed.cancel();
        Answer::ready(Ok(()))
    }
}
