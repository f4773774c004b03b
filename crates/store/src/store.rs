//! A handle on a backend.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::answer::turn;
use crate::near::ReadNear;
use crate::observe::Observed;
use crate::within::Within;
use crate::{
    Answer, Backend, ByName, Capabilities, Channels, Command, ConnectionEvents, Direct, Error,
    FromValue, Native, NodeStatus, Observer, Part, Subscription, Value,
};

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

    /// Another handle on the same store, whose calls, batches and scripts all have this deadline, as
    /// [`Command::within`] gives it to one; a shorter one of a command itself holds. Whatever is made
    /// with it has that deadline without a line of its own: `Cache::new(&store.within(time), ..)`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(store: larder_store::Store) -> Result<(), larder_store::Error> {
    /// use std::time::Duration;
    ///
    /// let impatient = store.within(Duration::from_millis(50));
    /// let name = impatient.get("name").await?; // an error at the latest after 50 ms
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn within(&self, time: Duration) -> Store {
        Store::new(Within::new(Arc::clone(&self.backend), time))
    }

    /// Another handle on the same store, of whose calls `observer` is told, each once when it is over:
    /// what was asked, of which node, how often it was tried, what came of it and how long it took.
    /// Whatever is made with it is observed without a line of its own. Who uses the store by another
    /// handle is not observed, and pays nothing.
    ///
    /// On a store inside the process [`Store::get`] and its like go by commands then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use larder_store::{Call, Observer, Store};
    ///
    /// struct Slow;
    ///
    /// impl Observer for Slow {
    ///     fn done(&self, call: &Call<'_>) {
    ///         if call.elapsed > Duration::from_millis(10) {
    ///             eprintln!("{} took {:?}: {}", call.operation, call.elapsed, call.outcome.as_str());
    ///         }
    ///     }
    /// }
    ///
    /// # fn example(store: Store) -> Store {
    /// store.observed(Slow)
    /// # }
    /// ```
    #[must_use]
    pub fn observed(&self, observer: impl Observer) -> Store {
        Store::new(Observed::new(Arc::clone(&self.backend), observer))
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

    /// The string of a key; `None` if there is no such key. `GET`.
    ///
    /// This and the functions below are single commands of single keys, which a store inside the
    /// process does without a command: in half of the time, and with the same effects. On a server
    /// each is the command.
    ///
    /// # Errors
    ///
    /// Those of the store: [`Error::Refused`] with `WRONGTYPE` if the key holds something else.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(store: larder_store::Store) -> Result<(), larder_store::Error> {
    /// store.set("name", "Ada").await?;
    /// assert_eq!(store.get("name").await?.as_deref(), Some(&b"Ada"[..]));
    /// assert_eq!(store.incr("seen").await?, 1);
    /// assert!(store.del("name").await?);
    /// # Ok(()) }
    /// ```
    #[inline]
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        turn().await;
        let key = key.as_ref();
        match self.directly(|road| road.get(key)) {
            Ok(string) => Ok(string.map(Bytes::from)),
            Err(ByName) => self.by_name(Command::new("GET").arg(key)).await,
        }
    }

    /// Gives a key a string, whatever it held; it does not expire any more. `SET`.
    ///
    /// # Errors
    ///
    /// Those of the store: [`Error::Refused`] with `OOM` if it is full.
    #[inline]
    pub async fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        turn().await;
        let (key, value) = (key.as_ref(), value.as_ref());
        match self.directly(|road| road.set(key, value)) {
            Ok(()) => Ok(()),
            Err(ByName) => self.by_name(Command::new("SET").arg(key).arg(value)).await,
        }
    }

    /// Adds 1 to the integer of a key, which is 0 if there is no such key, and gives the sum. `INCR`.
    ///
    /// # Errors
    ///
    /// Those of the store: [`Error::Refused`] if the key holds no integer (`ERR`) or no string
    /// (`WRONGTYPE`), if the sum would be larger than an `i64`, or with `OOM` if the store is full.
    #[inline]
    pub async fn incr(&self, key: impl AsRef<[u8]>) -> Result<i64, Error> {
        turn().await;
        let key = key.as_ref();
        match self.directly(|road| road.incr(key)) {
            Ok(sum) => Ok(sum),
            Err(ByName) => self.by_name(Command::new("INCR").arg(key)).await,
        }
    }

    /// Removes a key, whatever it holds. `false` if there was none. `DEL`.
    ///
    /// # Errors
    ///
    /// Those of the store.
    #[inline]
    pub async fn del(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        turn().await;
        let key = key.as_ref();
        match self.directly(|road| road.del(key)) {
            Ok(is_removed) => Ok(is_removed),
            Err(ByName) => self.by_name(Command::new("DEL").arg(key)).await,
        }
    }

    /// Takes the short road, if there is one and it can be gone.
    #[inline]
    fn directly<T>(&self, go: impl FnOnce(&dyn Direct) -> Result<T, ByName>) -> Result<T, ByName> {
        self.backend.direct().map_or(Err(ByName), go)
    }

    /// Runs a command for which there was no short road. It is boxed, so that the futures of those who
    /// ask have no room for it: most often they don't come here.
    #[cold]
    #[inline(never)]
    fn by_name<T: FromValue + 'static>(&self, command: Command) -> Answer<'_, T> {
        Answer::later(async move { T::from_value(self.backend.call(command).await?) })
    }

    /// Whether the data lies in this process: what such a store can tell need not be remembered.
    pub fn is_in_process(&self) -> bool {
        self.native().is_some()
    }

    /// Whether somebody is told of each call.
    pub(crate) fn is_observed(&self) -> bool {
        self.backend.is_observed()
    }

    /// What runs the twins of scripts, if the store has it.
    #[inline]
    pub(crate) fn native(&self) -> Option<&dyn Native> {
        self.backend.native()
    }

    /// What answers near reads, if the backend has it.
    pub(crate) fn read_near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        self.backend.near(bytes)
    }

    /// Listens to channels and patterns until the subscription is dropped.
    pub fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.backend.subscribe(channels)
    }

    /// The parts that together hold all keys: the masters of a cluster, or one part that is all of the
    /// store. For what asks each about itself with [`Command::on`]; a walk over keys is
    /// [`Store::scan`].
    pub fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.backend.parts()
    }

    /// The servers of the store, as they are seen from here: their addresses and roles, their circuit
    /// breakers, and how much is open to them. Nobody is asked, so nothing waits; a cluster's servers, or
    /// those that Sentinels know, are not known before the first call. A store inside the process is one
    /// node without an address.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.backend.nodes()
    }

    /// What happens to the store's connections from now on, as a stream: which are made and lost, which
    /// circuit breakers open and close, who becomes master. A store inside the process has no
    /// connections, and its stream ends at once.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(store: larder_store::Store) {
    /// let mut events = store.connection_events();
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # }
    /// ```
    pub fn connection_events(&self) -> ConnectionEvents {
        self.backend.connection_events()
    }

    /// What the store can do that not every store can. Asking is cheap: it is remembered as long as
    /// the store's connections last.
    pub fn capabilities(&self) -> Answer<'_, Capabilities> {
        self.backend.capabilities()
    }

    /// Closes the store for everyone who holds it. Later calls answer [`Error::Closed`].
    pub fn close(&self) -> Answer<'_, ()> {
        self.backend.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
