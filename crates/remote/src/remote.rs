//! Servers as a store.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use larder_store::near::ReadNear;
use larder_store::{
    Answer, Backend, Capabilities, Channels, Command, ConnectionEvents, Error, Event, Listen,
    NodeStatus, Part, Subscription, Value, refuse_batch, refuse_state, slot, slot_of,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::batch::Batch;
use crate::config::Config;
use crate::events::Events;
use crate::near::{Nears, Reads};
use crate::node::{Listener, Node, Queue};
use crate::open_error::OpenError;
use crate::probe;
use crate::topology::{Route, Suspicion, Topology};
use crate::tries::{Budget, Tries};
use crate::verdict::Verdict;
use crate::wire::{Answered, Failure};

/// How often a command follows redirections: a cluster whose nodes disagree could send it in circles.
pub(crate) const REDIRECTIONS_MAX: u32 = 16;

/// Redis or Valkey as a store: one server, the master that Sentinels know, or a cluster.
///
/// Opening it makes no connection: the first command does. It must be used within a tokio runtime.
pub struct Remote {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) topology: Topology,
    pub(crate) config: Config,
    pub(crate) budget: Budget,
    /// What is kept of what was read near.
    pub(crate) nears: Arc<Nears>,
    events: Events,
    is_closed: AtomicBool,
    /// How many callers may still wait while a breaker is open.
    room: Semaphore,
}

impl Remote {
    /// A store on the servers that the URL names.
    ///
    /// # Errors
    ///
    /// If the URL is none of servers, a setting would fail every call, or a certificate is none. Whether
    /// a server is there is not looked at.
    pub fn open(url: &str, config: Config) -> Result<Remote, OpenError> {
        let events = Events::default();
        Ok(Remote {
            inner: Arc::new(Inner {
                topology: Topology::open(url, config.clone(), &events)?,
                room: Semaphore::new(match config.wait_while_away {
                    true => config.waiting_max.min(Semaphore::MAX_PERMITS),
                    false => 0,
                }),
                config,
                budget: Budget::default(),
                nears: Arc::default(),
                events,
                is_closed: AtomicBool::new(false),
            }),
        })
    }
}

impl Inner {
    /// Refuses a call if the store is closed, or if nothing is there that could make it.
    pub(crate) fn refuse_if_unusable(&self) -> Result<(), Error> {
        match Handle::try_current() {
            Ok(_) if self.is_closed.load(Ordering::Acquire) => Err(Error::Closed),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::invalid(
                "a store on a server has to be used within a tokio runtime",
            )),
        }
    }

    /// Waits until it is worth asking again, if the breaker has refused a caller and there is room for those
    /// who wait. Answers whether he may.
    pub(crate) async fn wait_out(&self, error: &Error, until: Instant) -> bool {
        let Some(after) = error.retry_after() else {
            return false;
        };
        let Ok(_place) = self.room.try_acquire() else {
            return false;
        };
        let again = Instant::now() + after;
        sleep_until(again.min(until)).await;
        again < until && !self.is_closed.load(Ordering::Acquire)
    }

    /// Where a command goes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if its keys are in different slots of a cluster, or it is about one server
    /// and does not say which.
    pub(crate) fn route(&self, command: &Command) -> Result<Route, Error> {
        let part = command.delivery().part.as_ref();
        if let Some(route) = part.and_then(|part| self.topology.route_to(part)) {
            return Ok(route);
        }
        if !self.topology.is_cluster() {
            return Ok(Route::Any);
        }
        let slot = slot_of(command)?.or_else(|| home_of_messages(command));
        Ok(slot.map_or(Route::Any, Route::Slot))
    }

    /// Runs one command, again if it was certainly not executed and may be soon, or if it is harmless
    /// that it happens twice.
    pub(crate) async fn call(&self, command: &Command) -> Result<Value, Error> {
        self.refuse_if_unusable()?;
        let mut trip = Trip::begin(self, command)?;
        loop {
            let outcome = trip.go().await?;
            match trip.next(Verdict::of(&outcome)).await? {
                Next::Again => {}
                Next::Done => return given(outcome),
            }
        }
    }

    /// What the servers of the store can do.
    async fn capabilities(&self) -> Result<Capabilities, Error> {
        self.refuse_if_unusable()?;
        let node = self.topology.node(&Route::Any, false, None).await?;
        probe::capabilities(&node).await
    }

    async fn subscribe(self: &Arc<Inner>, channels: Channels) -> Result<Subscription, Error> {
        self.refuse_if_unusable()?;
        let len_max = channels.buffer.unwrap_or(Channels::BUFFER).max(1);
        let listener = Listener::new(Arc::new(Queue::new(len_max)));
        // Should this future be dropped, the listener leaves.
        let listening = Listening {
            store: Arc::clone(self),
            listener: listener.clone(),
        };
        let confirmed = self.topology.listen(&channels, &listener);
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

/// The answer that a caller gets.
pub(crate) fn given(outcome: Answered) -> Result<Value, Error> {
    match outcome {
        Ok(Value::Error(refusal)) => Err(Error::Refused(refusal)),
        Ok(value) => Ok(value),
        Err(failure) => Err(failure.into()),
    }
}

/// The way of one command.
struct Trip<'a> {
    store: &'a Inner,
    command: &'a Command,
    route: Route,
    from_replica: bool,
    tries: Tries<'a>,
    /// Until when the caller waits, if he has said so.
    own: Option<Instant>,
    /// Until when he waits at the latest, however often it is tried.
    last: Instant,
    /// The node that was asked last.
    node: Option<Arc<Node>>,
    /// The node that has to be asked next, this once.
    ask: Option<Arc<Node>>,
    redirections: u32,
}

/// What follows from what came.
enum Next {
    Done,
    Again,
}

impl<'a> Trip<'a> {
    fn begin(store: &'a Inner, command: &'a Command) -> Result<Trip<'a>, Error> {
        store.budget.call();
        let delivery = command.delivery();
        let begun = Instant::now();
        let own = delivery.within.map(|within| begun + within);
        let usual = begun + store.config.response_timeout;
        Ok(Trip {
            route: store.route(command)?,
            from_replica: delivery.from_replica && command.is_read_only(),
            tries: Tries::of_call(&store.config, &store.budget, own.unwrap_or(usual)),
            own,
            last: own.unwrap_or(usual + store.config.connect_timeout),
            node: None,
            ask: None,
            redirections: 0,
            store,
            command,
        })
    }

    /// Sends the command to the node that is the right one now.
    async fn go(&mut self) -> Result<Answered, Error> {
        loop {
            let asked = self.ask.take();
            let first = asked.as_ref().map(|_| &["ASKING"][..]);
            let node = match asked {
                Some(node) => node,
                None => self.find_node().await?,
            };
            if let Some(trail) = &self.command.delivery().trail {
                trail.asked(&node.target().address, node.target().db);
            }
            let sent = match self.command.waits() {
                None => node.call(first, self.command, self.until()).await,
                Some(wait) => {
                    let asking = first.map(|_| Command::new("ASKING"));
                    let commands: Vec<_> =
                        asking.into_iter().chain([self.command.clone()]).collect();
                    let answers = node.call_waiting(&commands, wait, self.own).await;
                    answers.map(|mut answers| answers.pop().unwrap_or_else(no_answer))
                }
            };
            self.node = Some(Arc::clone(&node));
            match sent {
                Ok(answered) => return Ok(answered),
                Err(error) => self.bear(&node, error).await?,
            }
        }
    }

    /// Until when the next answer is waited for: as long as any may take, but what is tried again ends with
    /// the caller's time.
    fn until(&self) -> Option<Instant> {
        let is_first = self.tries.retries() == 0 && self.redirections == 0;
        match is_first {
            true => self.own,
            false => Some(self.last),
        }
    }

    /// The node that is the right one now. Who does not find it in the time that making a connection may
    /// take looks no longer: nobody would be there to tell.
    async fn find_node(&mut self) -> Result<Arc<Node>, Error> {
        let until = Instant::now() + self.store.config.connect_timeout;
        loop {
            let found = self
                .store
                .topology
                .node(&self.route, self.from_replica, self.own);
            match found.await {
                Err(error @ Error::Away(_)) => {
                    let may = self.store.topology.has_others()
                        && Instant::now() < until
                        && self.tries.again();
                    if !may || !self.tries.pause().await {
                        return Err(error);
                    }
                }
                found => return found,
            }
        }
    }

    /// A node could not be asked. Another may be by now, if there are others.
    async fn bear(&mut self, node: &Arc<Node>, error: Error) -> Result<(), Error> {
        let topology = &self.store.topology;
        if self.store.is_closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if !error.is_away() {
            return Err(error);
        }
        topology.suspect(node, Suspicion::Away);
        if self.store.wait_out(&error, self.tries.until()).await {
            return Ok(());
        }
        // Who is refused by the breaker is refused at once: that is what it is for.
        if error.retry_after().is_some() || !topology.has_others() || !self.tries.again() {
            return Err(error);
        }
        match self.tries.pause().await {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// What follows from what came.
    async fn next(&mut self, verdict: Verdict) -> Result<Next, Error> {
        let Some(node) = self.node.clone() else {
            return Ok(Next::Done);
        };
        let topology = &self.store.topology;
        match verdict {
            Verdict::Final => return Ok(Next::Done),
            Verdict::Moved(..) | Verdict::Ask(_) if self.redirections >= REDIRECTIONS_MAX => {
                return Ok(Next::Done);
            }
            Verdict::Moved(slot, to) => {
                self.redirections += 1;
                let is_known = topology.moved(&node, slot, &to);
                let may = is_known && self.tries.pause_on_the_way(self.redirections).await;
                return Ok(if may { Next::Again } else { Next::Done });
            }
            Verdict::Ask(to) => {
                self.redirections += 1;
                self.ask = topology.asked(&node, &to)?;
                let may =
                    self.ask.is_some() && self.tries.pause_on_the_way(self.redirections).await;
                return Ok(if may { Next::Again } else { Next::Done });
            }
            Verdict::Split => {
                let may = self.tries.pause_for_keys().await;
                return Ok(if may { Next::Again } else { Next::Done });
            }
            Verdict::Elsewhere => topology.suspect(&node, Suspicion::NotMaster),
            Verdict::Stranger => node.greet_again(),
            Verdict::NotSent => topology.suspect(&node, Suspicion::Away),
            Verdict::Unknown => {
                topology.suspect(&node, Suspicion::Away);
                if !self.command.may_repeat() {
                    return Ok(Next::Done);
                }
            }
            Verdict::Later => {}
        }
        let may = self.tries.again() && self.tries.pause().await;
        Ok(if may { Next::Again } else { Next::Done })
    }
}

fn no_answer() -> Answered {
    Err(Failure::Unanswered(crate::wire::Loss::GivenUp(
        "the server gave no answer",
    )))
}

impl Backend for Remote {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        match refuse_state(&command).or_else(|| refuse_lonely(&command)) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move {
                let _changes = self.inner.nears.changes(slice::from_ref(&command));
                self.inner.call(&command).await
            }),
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        match refuse_batch(&commands) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(async move {
                self.inner.refuse_if_unusable()?;
                let _changes = self.inner.nears.changes(&commands);
                Batch::of(&self.inner, &commands).run().await
            }),
        }
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        Answer::later(async move { self.inner.subscribe(channels).await })
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        Some(Arc::new(Reads::open(&self.inner, bytes)))
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        Answer::later(async move {
            self.inner.refuse_if_unusable()?;
            self.inner.topology.parts().await
        })
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        Answer::later(async move { self.inner.capabilities().await })
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        self.inner.topology.nodes()
    }

    fn connection_events(&self) -> ConnectionEvents {
        self.inner.events.listen()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.inner.is_closed.store(true, Ordering::Release);
        self.inner.topology.close();
        self.inner.events.close();
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
    store: Arc<Inner>,
    listener: Listener,
}

impl Listen for Listening {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.listener.queue.poll(context)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.store.topology.leave(self.listener.id);
    }
}

/// The slot whose owner a message is given to. Any node would take it and tell the others, but by two
/// nodes the messages of a channel would come out of their order.
fn home_of_messages(command: &Command) -> Option<u16> {
    let is_message = command.name().eq_ignore_ascii_case(b"PUBLISH");
    let channel = command.arguments().get(1).filter(|_| is_message)?;
    Some(slot(channel))
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
