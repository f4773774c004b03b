//! What the engine knows of one connection.

mod caller;
pub(crate) mod capabilities;
pub(crate) mod client;
pub(crate) mod client_commands;
pub(crate) mod commands;
mod filters;
pub(crate) mod pause;
mod rights;
pub(crate) mod tracking;
pub(crate) mod transaction;

use std::sync::{Arc, Weak};

use larder_resp::Arguments;
use larder_store::Command as Request;

use crate::command::Row;
use crate::engine::{Engine, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::Manner;
use crate::keyspace::tracking::{Settings, Tracker};
use crate::keyspace::waiting::Waiter;
use crate::keyspace::watch::Watch;
use crate::observe::monitor::Monitor;
use crate::pubsub::{Gathering, Mailbox, Subscriber};

pub(crate) use caller::Caller;
pub(crate) use client::ClientKind;
use client::Registered;
pub use client::{Buffers, Client, ClientInfo};
use tracking::ClientTracking;
use transaction::{Transaction, Watching};

/// What the engine knows of one connection: its database, its protocol, its transaction.
///
/// Whoever has a socket, or calls in process, owns one and passes it to every
/// [`Engine::execute`]. Dropping it ends its subscriptions and what it watches.
#[derive(Debug)]
pub struct Session {
    pub(crate) db: usize,
    pub(crate) resp3: bool,
    closing: bool,
    replies: Replies,
    is_in_script: bool,
    caller: Caller,
    /// Messages that it has published and nobody has received.
    pub(crate) gathering: Option<Box<Gathering>>,
    /// What calls from inside the process seldom have: so it costs them nothing.
    state: Option<Box<ConnectionState>>,
}

/// A transaction and a connection.
#[derive(Debug, Default)]
struct ConnectionState {
    transaction: Option<Transaction>,
    watching: Option<Box<Watching>>,
    /// Of a script: the text with which the last of its commands that was refused was.
    refusal: Option<String>,
    /// None for calls from inside the process.
    connection: Option<Connection>,
}

/// What only a session with a connection has.
#[derive(Debug)]
struct Connection {
    subscriber: Option<Subscriber>,
    tracking: Option<ClientTracking>,
    monitor: Option<Monitor>,
    _registered: Registered,
    mailbox: Arc<Mailbox>,
}

/// Whether answers are wanted: `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    On,
    Off,
    /// Not for the next request.
    Skip,
    /// Not for the request that is being run.
    Skipping,
}

impl Session {
    /// A session for calls from inside the process. It is authenticated and on no list.
    pub fn local() -> Session {
        Session {
            db: 0,
            resp3: true,
            closing: false,
            replies: Replies::On,
            is_in_script: false,
            caller: Caller::default(),
            gathering: None,
            state: None,
        }
    }

    /// A session for calls from inside the process, in this database.
    pub fn local_in(db: usize) -> Session {
        Session {
            db,
            ..Session::local()
        }
    }

    /// A session of a near cache: what it reads is remembered for that.
    pub(crate) fn tracking(db: usize, tracker: &Arc<Tracker>) -> Session {
        Session {
            caller: Caller::near(tracker),
            ..Session::local_in(db)
        }
    }

    /// The database that commands are run in.
    pub fn db(&self) -> usize {
        self.db
    }

    /// A session for a connection. Messages that it subscribes to arrive in `mailbox`.
    pub fn connected(engine: &Arc<Engine>, info: ClientInfo, mailbox: Arc<Mailbox>) -> Session {
        let registered = engine.clients.add(engine, info, &mailbox);
        let caller = Caller::of(registered.client());
        let connection = Connection {
            subscriber: None,
            tracking: None,
            monitor: None,
            _registered: registered,
            mailbox,
        };
        let state = ConnectionState {
            connection: Some(connection),
            ..ConnectionState::default()
        };
        Session {
            resp3: false,
            caller,
            state: Some(Box::new(state)),
            ..Session::local()
        }
    }

    /// The session in which the request of a waiter is run for it.
    pub(crate) fn waiting(waiter: &Waiter) -> Session {
        Session {
            db: waiter.db,
            resp3: waiter.resp3,
            caller: waiter.caller.clone(),
            ..Session::local()
        }
    }

    /// The session in which the commands of a script run, on behalf of whoever runs it.
    pub(crate) fn in_script(session: &Session) -> Session {
        Session {
            db: session.db,
            resp3: false,
            is_in_script: true,
            caller: session.caller.clone(),
            ..Session::local()
        }
    }

    /// Whether answers have the types of RESP3.
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// Whether messages may come for the connection: it has subscriptions, it hears of changes of what
    /// it has read, or of what another has, or it is shown the commands of all.
    pub fn is_listening(&self) -> bool {
        self.is_monitor()
            || self.is_subscribed()
            || self.tracker().is_some()
            || self.client().is_some_and(|client| client.is_listener())
    }

    /// Whether the connection has any subscription.
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions() > 0
    }

    /// What others see of this connection; none for calls from inside the process.
    #[inline]
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.caller.client()
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    #[inline]
    fn connection(&self) -> Option<&Connection> {
        self.state.as_ref()?.connection.as_ref()
    }

    fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.state.as_mut()?.connection.as_mut()
    }

    fn state_mut(&mut self) -> &mut ConnectionState {
        self.state.get_or_insert_default()
    }

    pub(crate) fn id(&self) -> u64 {
        self.client().map_or(0, |client| client.id())
    }

    /// The subscriptions of this connection, begun if there were none.
    pub(crate) fn subscriber(&mut self, engine: &Arc<Engine>) -> Option<&mut Subscriber> {
        let connection = self.connection_mut()?;
        let begin = || Subscriber::new(engine, Arc::clone(&connection.mailbox));
        Some(connection.subscriber.get_or_insert_with(begin))
    }

    /// The subscriptions of this connection, if it has had any.
    pub(crate) fn subscribed(&self) -> Option<&Subscriber> {
        self.connection()?.subscriber.as_ref()
    }

    /// How many channels and patterns the connection is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.subscribed().map_or(0, Subscriber::count)
    }

    /// Shows the connection each command that runs, from here on.
    ///
    /// # Errors
    ///
    /// [`Error::NoMailbox`] for calls from inside the process.
    pub(crate) fn monitor(&mut self, engine: &Arc<Engine>) -> Result<()> {
        let connection = self.connection_mut().ok_or(Error::NoMailbox)?;
        let mailbox = &connection.mailbox;
        let begin = || Monitor::begin(engine, mailbox);
        connection.monitor.get_or_insert_with(begin);
        Ok(())
    }

    /// Whether the connection is shown each command that runs.
    pub fn is_monitor(&self) -> bool {
        let connection = self.connection();
        connection.is_some_and(|connection| connection.monitor.is_some())
    }

    /// Whether it is that of a script's commands.
    pub(crate) fn is_in_script(&self) -> bool {
        self.is_in_script
    }

    /// Notes that a command of a script was refused.
    #[cold]
    pub(crate) fn note_refusal(&mut self, error: &Error) {
        self.state_mut().refusal = Some(error.to_string());
    }

    /// Whether an error of a script is that of its last command that was refused.
    pub(crate) fn passes_on(&self, error: &Error) -> bool {
        let refusal = self.state.as_ref().and_then(|state| state.refusal.as_ref());
        refusal.is_some_and(|refusal| error.to_string().starts_with(refusal))
    }

    /// Whether only the few commands of a subscriber are allowed now: a RESP2 connection can't
    /// tell messages from answers.
    pub(crate) fn is_subscriber_only(&self) -> bool {
        !self.resp3 && self.is_subscribed()
    }

    /// Whether the connection has authenticated, or need not.
    pub fn is_authenticated(&self) -> bool {
        self.client()
            .is_none_or(|client| !client.login().is_locked_out())
    }

    /// How the connection looks at keys.
    #[inline]
    pub(crate) fn manner(&self) -> Manner {
        self.caller.manner()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Has the connection closed after the answer. Nothing is told to it from here on: who has the answer
    /// does not read what comes behind it.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        if let Some(client) = self.client() {
            client.go();
        }
    }

    /// Notes a request for `CLIENT LIST`: its command, if it names one.
    #[inline]
    pub(crate) fn note(&self, command: Option<&'static Row>) {
        if let Some(client) = self.client() {
            client.note(command);
        }
    }

    /// Notes that requests have come by now. [`Engine::execute`] does it by itself.
    #[inline]
    pub fn seen(&self, clock: &dyn TimeSource) {
        if let Some(client) = self.client() {
            client.seen(clock.now());
        }
    }

    /// Makes the session as if it were new.
    pub(crate) fn reset(&mut self, engine: &Engine) {
        self.unwatch();
        self.end_transaction();
        if let Some(connection) = self.connection_mut() {
            connection.subscriber = None;
            connection.monitor = None;
        }
        self.stop_tracking();
        if let Some(client) = self.client() {
            client.reset();
            engine.log_out(client);
        }
        self.db = 0;
        self.resp3 = false;
        self.replies = Replies::On;
    }

    // --- what it remembers of what it has read ------------------------------------------------

    /// How the caller hears of changes of what it has read, if it does.
    #[inline]
    pub(crate) fn tracker(&self) -> Option<&Arc<Tracker>> {
        self.caller.tracker()
    }

    /// Has the connection hear of changes of what it reads: CLIENT TRACKING ON.
    ///
    /// # Errors
    ///
    /// If the caller is no connection: there is no mailbox for what it would hear.
    pub(crate) fn track(&mut self, engine: &Arc<Engine>, settings: Settings) -> Result<()> {
        let client = self.client().ok_or(Error::NoMailbox)?;
        let tracker = match self.tracker() {
            Some(tracker) => Arc::clone(tracker),
            None => Arc::new(Tracker::client(client)),
        };
        client.show_tracker(&tracker);
        engine.shards.track(&tracker, settings);
        if let Some(connection) = self.connection_mut() {
            let begin = || ClientTracking::new(engine, &tracker);
            connection.tracking.get_or_insert_with(begin);
        }
        self.caller.set_tracker(Some(tracker));
        Ok(())
    }

    /// Forgets what the connection has read: CLIENT TRACKING OFF.
    pub(crate) fn stop_tracking(&mut self) {
        if let Some(connection) = self.connection_mut()
            && connection.tracking.take().is_some()
        {
            self.caller.set_tracker(None);
        }
    }

    /// A request is over, whether it ran or was refused: what CLIENT CACHING said of it is, unless it
    /// stands in a transaction, or was a subcommand of CLIENT itself. Without a row it was no command.
    pub(crate) fn end_caching(&self, command: Option<&'static Row>) {
        if let Some(tracker) = self.tracker()
            && !self.is_queueing()
            && command.and_then(Row::container) != Some("CLIENT")
        {
            tracker.set_caching(false);
        }
    }

    // --- answers that are not wanted ----------------------------------------------------------

    pub(crate) fn replies(&self) -> Replies {
        self.replies
    }

    pub(crate) fn set_replies(&mut self, replies: Replies) {
        self.replies = replies;
    }

    /// A request is about to be run whose answer is not wanted.
    pub(crate) fn begin_unanswered(&mut self) {
        if self.replies == Replies::Skip {
            self.replies = Replies::Skipping;
        }
    }

    /// The request has not been run after all.
    pub(crate) fn not_yet_unanswered(&mut self) {
        if self.replies == Replies::Skipping {
            self.replies = Replies::Skip;
        }
    }

    /// A request has been run whose answer was not wanted.
    pub(crate) fn end_unanswered(&mut self) {
        if self.replies == Replies::Skipping {
            self.replies = Replies::On;
        }
    }

    // --- transactions ------------------------------------------------------------------------

    /// Whether requests are queued until EXEC.
    #[inline]
    pub(crate) fn is_queueing(&self) -> bool {
        self.transaction().is_some()
    }

    #[inline]
    fn transaction(&self) -> Option<&Transaction> {
        self.state.as_ref()?.transaction.as_ref()
    }

    fn transaction_mut(&mut self) -> Option<&mut Transaction> {
        self.state.as_mut()?.transaction.as_mut()
    }

    fn begin_transaction(&mut self) {
        self.state_mut().transaction = Some(Transaction::default());
    }

    /// Takes the transaction out, if there is one.
    fn end_transaction(&mut self) -> Option<Transaction> {
        self.state.as_mut()?.transaction.take()
    }

    #[inline(never)]
    pub(crate) fn queue(&mut self, command: &'static Row, arguments: Arguments<'_>) {
        if let Some(transaction) = self.transaction_mut() {
            transaction.bytes += arguments.iter().map(<[u8]>::len).sum::<usize>();
            transaction.queue.push((command, Request::from(arguments)));
            self.publish();
        }
    }

    /// A request was refused before it ran: a transaction that it belongs to is void.
    pub(crate) fn refused(&mut self) {
        if let Some(transaction) = self.transaction_mut() {
            transaction.is_void = true;
        }
    }

    /// Ends a transaction without running it.
    pub(crate) fn abandon_transaction(&mut self) {
        self.end_transaction();
        self.unwatch();
        self.publish();
    }

    pub(crate) fn queued(&self) -> impl Iterator<Item = &(&'static Row, Request)> {
        self.transaction()
            .into_iter()
            .flat_map(|transaction| &transaction.queue)
    }

    /// Watches no key any more.
    pub(crate) fn unwatch(&mut self) {
        self.end_watching();
    }

    /// Takes out what it watches, if it does. Dropping that ends it.
    fn end_watching(&mut self) -> Option<Box<Watching>> {
        self.state.as_mut()?.watching.take()
    }

    /// Whether a key that it watches has changed, for others to see.
    fn watch(&self) -> Weak<Watch> {
        self.watching().map_or_else(Weak::new, Watching::watch)
    }

    /// How many bytes it takes what the connection watches, listens to and tracks.
    fn interest_bytes(&self) -> usize {
        let watched = self.watching().map_or(0, Watching::bytes);
        let subscribed = self.subscribed().map_or(0, Subscriber::bytes);
        let tracked = self.tracker().map_or(0, |tracker| tracker.prefix_bytes());
        watched + subscribed + tracked
    }

    fn watching(&self) -> Option<&Watching> {
        self.state.as_ref()?.watching.as_deref()
    }

    /// Shows others what the connection is in the middle of. To be called where that may have
    /// changed.
    pub(crate) fn publish(&self) {
        if let Some(client) = self.client() {
            client.show(self);
        }
    }

    pub(crate) fn watched_keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.watching().into_iter().flat_map(Watching::keys)
    }
}
