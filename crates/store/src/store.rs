//! A handle on a backend.

use std::fmt;
use std::sync::Arc;

use crate::{Answer, Backend, Channels, Command, Error, FromValue, Subscription, Value};

/// A store: an engine inside the process, or a server. Cloning it is cheap and shares it.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// A store on this backend.
    pub fn new(backend: impl Backend) -> Store {
        Store {
            backend: Arc::new(backend),
        }
    }

    /// A store on a backend that somebody else holds as well.
    pub fn from_arc(backend: Arc<dyn Backend>) -> Store {
        Store { backend }
    }

    /// Runs one command and gives its answer as it came.
    pub fn call(&self, command: Command) -> Answer<'_, Value> {
        self.backend.call(command)
    }

    /// Runs commands in order, in one round trip where there are round trips. Not a transaction.
    ///
    /// An empty list is answered at once, with an empty list.
    pub fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        if commands.is_empty() {
            return Answer::ready(Ok(Vec::new()));
        }
        self.backend.call_all(commands)
    }

    /// Runs one command and reads its answer as a `T`.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::Unexpected`] if the answer is not a `T`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(store: larder_store::Store) -> Result<(), larder_store::Error> {
    /// use larder_store::Command;
    ///
    /// let seen: i64 = store.run(Command::new("INCR").arg("seen")).await?;
    /// let name: Option<String> = store.run(Command::new("GET").arg("name")).await?;
    /// # Ok(()) }
    /// ```
    pub async fn run<T: FromValue>(&self, command: Command) -> Result<T, Error> {
        T::from_value(self.backend.call(command).await?)
    }

    /// Listens to channels and patterns until the subscription is dropped.
    pub fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.backend.subscribe(channels)
    }

    /// Closes the store for everyone who holds it. Later calls answer [`Error::NotSent`].
    pub fn close(&self) -> Answer<'_, ()> {
        self.backend.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
