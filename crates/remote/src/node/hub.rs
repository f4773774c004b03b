//! Subscriptions: one connection for all who listen at a place.
//!
//! Names are what is listened to, and each has its listeners. A task keeps the connection, tells the
//! server which names have come and which are of no interest any more, and does so anew on the next
//! connection when one is lost. Messages go from the connection's driver straight to the listeners'
//! queues.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Channels, Command, Error, Event, Message, Refusal, Value};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::{GivenUp, Node, Queue};
use crate::config::Config;
use crate::tries::{Tries, pause};
use crate::verdict::Verdict;
use crate::why_not::{away, may_pass};
use crate::wire::{Connection, Failure, Loss, Until};

/// How long a connection is kept that nobody listens on.
const IDLE: Duration = Duration::from_secs(10);

/// Where the server is that a hub listens to.
pub(crate) trait Place: Send + Sync + 'static {
    /// The server as it is now.
    fn node(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Node>, Error>> + Send + '_>>;

    /// A server could not be reached, or is lost: another may have taken its place.
    fn suspect(&self, node: &Arc<Node>);

    /// Whether this is the place for a name.
    fn has(&self, _: &Name) -> bool {
        true
    }

    /// A channel belongs to another server now: its listeners have to go there.
    fn moved(&self, _: Name, _: Vec<Listener>) {}
}

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Channel(Bytes),
    Pattern(Bytes),
    /// A channel that belongs to the shard of its slot.
    Shard(Bytes),
}

impl Name {
    /// All that is to be listened to.
    pub(crate) fn all(channels: &Channels) -> Vec<Name> {
        let names = channels.names.iter().cloned().map(Name::Channel);
        let patterns = channels.patterns.iter().cloned().map(Name::Pattern);
        let shards = channels.shards.iter().cloned().map(Name::Shard);
        names.chain(patterns).chain(shards).collect()
    }

    fn listen(&self) -> Command {
        match self {
            Name::Channel(name) => Command::new("SUBSCRIBE").arg(name),
            Name::Pattern(name) => Command::new("PSUBSCRIBE").arg(name),
            Name::Shard(name) => Command::new("SSUBSCRIBE").arg(name),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Name::Channel(name) | Name::Pattern(name) | Name::Shard(name) => name,
        }
    }

    fn leave(&self) -> Command {
        match self {
            Name::Channel(name) => Command::new("UNSUBSCRIBE").arg(name),
            Name::Pattern(name) => Command::new("PUNSUBSCRIBE").arg(name),
            Name::Shard(name) => Command::new("SUNSUBSCRIBE").arg(name),
        }
    }
}

/// Somebody who listens.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) id: u64,
    pub(crate) queue: Arc<Queue>,
}

impl Listener {
    pub(crate) fn new(queue: Arc<Queue>) -> Listener {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Listener {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            queue,
        }
    }
}

/// All who listen at a place. Cloning it shares it.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    place: Box<dyn Place>,
    config: Arc<Config>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    names: HashMap<Name, Listened>,
    /// Names to which nobody listens any more, and of which the server has not been told.
    leaving: Vec<Name>,
    /// Names that the server has sent away.
    moved: Vec<Name>,
    /// Those who wait until the server has heard of all names that there are now.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    is_running: bool,
    is_closed: bool,
}

#[derive(Default)]
struct Listened {
    listeners: Vec<Listener>,
    /// Whether the server has confirmed it on the connection that there is.
    is_live: bool,
    /// Whether it ever has: then its listeners have to be told of a gap.
    was_live: bool,
}

impl Hub {
    pub(crate) fn new(place: impl Place, config: &Arc<Config>) -> Hub {
        Hub {
            inner: Arc::new(Inner {
                place: Box::new(place),
                config: Arc::clone(config),
                state: Arc::default(),
                changed: Arc::default(),
            }),
        }
    }

    /// Adds a listener to names, and waits until the server has confirmed them.
    ///
    /// If this fails or is dropped, the listener is still there: it has to [`leave`](Hub::leave).
    pub(crate) async fn listen(&self, names: &[Name], listener: &Listener) -> Result<(), Error> {
        let (to, confirmed) = oneshot::channel();
        {
            let mut state = self.inner.state.lock();
            if state.is_closed {
                return Err(Error::Closed);
            }
            for name in names {
                let listened = state.names.entry(name.clone()).or_default();
                listened.listeners.push(listener.clone());
                state.leaving.retain(|leaving| leaving != name);
            }
            if names.iter().all(|name| state.names[name].is_live) {
                return Ok(());
            }
            state.waiting.push(to);
            if !state.is_running {
                state.is_running = true;
                tokio::spawn(run(Arc::clone(&self.inner)));
            }
        }
        self.inner.changed.notify_one();
        confirmed.await.unwrap_or(Err(Error::Closed))
    }

    /// Takes a listener away.
    pub(crate) fn leave(&self, id: u64) {
        let mut state = self.inner.state.lock();
        let mut left = Vec::new();
        state.names.retain(|name, listened| {
            listened.listeners.retain(|listener| listener.id != id);
            let is_wanted = !listened.listeners.is_empty();
            if !is_wanted && listened.is_live {
                left.push(name.clone());
            }
            is_wanted
        });
        if !left.is_empty() {
            state.leaving.append(&mut left);
            self.inner.changed.notify_one();
        }
    }

    /// Ends all subscriptions, and refuses further ones.
    pub(crate) fn close(&self) {
        let mut state = self.inner.state.lock();
        state.is_closed = true;
        state.end(&Error::Closed);
        self.inner.changed.notify_one();
    }
}

impl State {
    /// Nobody will hear anything more.
    fn end(&mut self, error: &Error) {
        for (_, listened) in self.names.drain() {
            for listener in listened.listeners {
                listener.queue.close();
            }
        }
        self.leaving.clear();
        self.refuse(error);
    }

    /// Tells those who wait that it came to nothing.
    fn refuse(&mut self, error: &Error) {
        for waiting in self.waiting.drain(..) {
            // Whoever has lost interest does not hear of it.
            let _ = waiting.send(Err(error.clone()));
        }
    }

    /// Gives a message, or a word about a name, to whom it concerns. Answers whether the task has something
    /// to do now.
    fn hear(&mut self, parts: Vec<Value>) -> bool {
        let mut bytes = parts.into_iter().map(|part| match part {
            Value::Bytes(bytes) => bytes,
            Value::Status(text) => Bytes::from(text.into_owned()),
            _ => Bytes::new(),
        });
        let mut next = || bytes.next().unwrap_or_default();
        let (kind, first) = (next(), next());
        match &kind[..] {
            b"message" => self.pass_on(&Name::Channel(first.clone()), first, None, next()),
            b"smessage" => self.pass_on(&Name::Shard(first.clone()), first, None, next()),
            b"pmessage" => {
                let channel = next();
                self.pass_on(&Name::Pattern(first.clone()), channel, Some(first), next());
            }
            b"subscribe" => return self.confirm(Name::Channel(first)),
            b"psubscribe" => return self.confirm(Name::Pattern(first)),
            b"ssubscribe" => return self.confirm(Name::Shard(first)),
            b"sunsubscribe" => {
                let name = Name::Shard(first);
                // Nobody has asked for it: the channel's slot has gone to another server.
                if let Some(listened) = self.names.get_mut(&name)
                    && listened.is_live
                {
                    listened.is_live = false;
                    self.moved.push(name);
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    fn pass_on(&self, name: &Name, channel: Bytes, pattern: Option<Bytes>, payload: Bytes) {
        let Some(listened) = self.names.get(name) else {
            return;
        };
        let message = Message {
            channel,
            pattern,
            payload,
        };
        for listener in &listened.listeners {
            listener.queue.put(Event::Message(message.clone()));
        }
    }

    /// The server has confirmed a name. Answers whether it has to be told that nobody listens any more.
    fn confirm(&mut self, name: Name) -> bool {
        match self.names.get_mut(&name) {
            Some(listened) => listened.is_live = true,
            None => self.leaving.push(name),
        }
        !self.leaving.is_empty()
    }
}

/// Ends the subscriptions with the task that serves them: the runtime may end in which it runs.
struct Running {
    inner: Arc<Inner>,
    /// The task has ended by itself. Another may run by now.
    is_over: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.inner.state.lock();
            state.is_running = false;
            state.end(&Error::Closed);
        }
    }
}

/// Keeps the names listened to until nobody listens any more.
async fn run(inner: Arc<Inner>) {
    let mut running = Running {
        inner: Arc::clone(&inner),
        is_over: false,
    };
    let mut tries = 0;
    while inner.is_wanted() {
        let Err(Unserved { error, is_enough }) = inner.attend(tries).await else {
            tries = 0;
            continue;
        };
        tracing::debug!(%error, tries, "can't subscribe");
        if is_enough {
            inner.fail(&error);
        }
        tokio::time::sleep(pause(&inner.config, tries)).await;
        tries = tries.saturating_add(1);
    }
    running.is_over = true;
}

/// Why nothing could be listened to.
struct Unserved {
    error: Error,
    /// Whether it was tried often enough: those who wait are told.
    is_enough: bool,
}

/// How a connection has ended.
enum Served {
    /// The server never confirmed a name on it.
    Never(Failure),
    Lost,
    /// Nobody listened any more.
    Idle,
}

impl Inner {
    /// Whether anybody listens. If not, the task ends, and the next who comes begins another.
    fn is_wanted(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_closed {
            state.end(&Error::Closed);
        }
        state.is_running = !state.is_closed && !state.names.is_empty();
        state.is_running
    }

    /// Connects, and serves the names until the connection has ended. So often it has come to nothing before.
    async fn attend(self: &Arc<Inner>, tries: u32) -> Result<(), Unserved> {
        // It was tried patiently.
        let patiently = |error| Unserved {
            error,
            is_enough: true,
        };
        let (node, connection) = self.connect().await.map_err(patiently)?;
        let served = self.serve(&node, &connection).await;
        self.interrupt();
        if !matches!(served, Served::Idle) {
            self.place.suspect(&node);
        }
        // That it was made says little, as long as nothing is listened to on it.
        let Served::Never(failure) = served else {
            return Ok(());
        };
        let is_hopeless = matches!(failure.loss(), Loss::Late);
        Err(Unserved {
            error: failure.into(),
            is_enough: is_hopeless || tries >= self.config.retries,
        })
    }

    /// A connection to the server as it is now.
    async fn connect(self: &Arc<Inner>) -> Result<(Arc<Node>, Connection), Error> {
        let until = self.config.connect_by(None);
        let mut tries = Tries::to_connect(&self.config, until);
        loop {
            let node = self.place.node().await?;
            let (state, changed) = (Arc::clone(&self.state), Arc::clone(&self.changed));
            let pushes = Box::new(move |parts| {
                let has_work = state.lock().hear(parts);
                if has_work {
                    changed.notify_one();
                }
            });
            match node
                .connect(self.config.patience(), Some(pushes), until)
                .await
            {
                Ok(connection) => return Ok((node, connection)),
                Err(error) if may_pass(&error) && tries.again() && tries.pause().await => {}
                Err(error) => {
                    self.place.suspect(&node);
                    return Err(away(&error, node.target()));
                }
            }
        }
    }

    /// There is no connection. Those who listen already learn of it when there is one again.
    fn fail(&self, error: &Error) {
        let mut state = self.state.lock();
        state.names.retain(|_, listened| listened.was_live);
        state.refuse(error);
        let strays = state.names.keys().filter(|name| !self.place.has(name));
        let strays: Vec<Name> = strays.cloned().collect();
        state.moved.extend(strays);
        self.send_away(&mut state);
    }

    /// Serves the names over a connection, until it is lost or nobody listens.
    async fn serve(&self, node: &Node, connection: &Connection) -> Served {
        let mut was_of_use = false;
        loop {
            match self.tell(connection).await {
                Ok(()) => was_of_use = true,
                Err(_) if was_of_use => return Served::Lost,
                Err(failure) => return Served::Never(failure),
            }
            tokio::select! {
                biased;
                () = connection.ended() => return Served::Lost,
                () = node.given_up() => {
                    if node.gone() == Some(GivenUp::Closed) {
                        self.state.lock().is_closed = true;
                    }
                    return Served::Lost;
                }
                is_idle = self.idle() => if is_idle { return Served::Idle },
            }
        }
    }

    /// Waits until the names have changed, or nobody has listened for long: then it answers `true`.
    async fn idle(&self) -> bool {
        let changed = self.changed.notified();
        if self.state.lock().names.is_empty() {
            return timeout(IDLE, changed).await.is_err();
        }
        changed.await;
        false
    }

    /// Tells the server which names have come and gone.
    async fn tell(&self, connection: &Connection) -> Result<(), Failure> {
        let (mut commands, new, waiting) = {
            let mut state = self.state.lock();
            self.send_away(&mut state);
            let commands: Vec<Command> = state.leaving.drain(..).map(|name| name.leave()).collect();
            let new = state.names.iter().filter(|(_, listened)| !listened.is_live);
            let new: Vec<Name> = new.map(|(name, _)| name.clone()).collect();
            (commands, new, std::mem::take(&mut state.waiting))
        };
        commands.extend(new.iter().map(Name::listen));
        if !commands.is_empty() {
            let until = Until::Own(Instant::now() + self.config.response_timeout);
            let refusals = connection.call_silent(&commands, until).await;
            match refusals {
                Ok(refusals) => self.settle(&new, refusals, waiting),
                Err(failure) => {
                    // They are told of again on the next connection.
                    connection.cut("a subscription was not confirmed");
                    self.state.lock().waiting.extend(waiting);
                    return Err(failure);
                }
            }
        } else {
            self.settle(&[], Vec::new(), waiting);
        }
        Ok(())
    }

    /// Hands over the listeners of names that have gone to another server.
    fn send_away(&self, state: &mut State) {
        for name in std::mem::take(&mut state.moved) {
            if let Some(listened) = state.names.remove(&name) {
                self.place.moved(name, listened.listeners);
            }
        }
    }

    /// The server has heard of all names. Those that it has not confirmed it has refused, in order.
    fn settle(
        &self,
        new: &[Name],
        refusals: Vec<Refusal>,
        waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    ) {
        let mut state = self.state.lock();
        let mut refusals = refusals.into_iter();
        let mut refused = None;
        for name in new {
            let Some(listened) = state.names.get_mut(name) else {
                continue;
            };
            if listened.is_live {
                if std::mem::replace(&mut listened.was_live, true) {
                    let listeners = listened.listeners.iter();
                    listeners.for_each(|listener| listener.queue.put(Event::Gap));
                }
                continue;
            }
            let Some(refusal) = refusals.next() else {
                continue;
            };
            let Some(listened) = state.names.remove(name) else {
                continue;
            };
            let is_moved = matches!(Verdict::of_refusal(&refusal), Verdict::Moved(..));
            match is_moved && listened.was_live {
                true => self.place.moved(name.clone(), listened.listeners),
                // Whoever waits for it learns so, and goes elsewhere.
                false => refused = Some(Error::Refused(refusal)),
            }
        }
        for waiting in waiting {
            // Whoever has lost interest does not hear of it.
            let _ = waiting.send(refused.clone().map_or(Ok(()), Err));
        }
    }

    /// The connection is lost: every name has to be told of anew.
    fn interrupt(&self) {
        let mut state = self.state.lock();
        state.leaving.clear();
        for listened in state.names.values_mut() {
            listened.is_live = false;
        }
        if !state.names.is_empty() {
            tracing::warn!(names = state.names.len(), "subscriptions are interrupted");
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}
