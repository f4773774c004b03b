//! The connections that there are, as CLIENT LIST shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use parking_lot::Mutex;

use crate::command::Command;
use crate::engine::{Engine, Now};

/// What is known of a connection when it is made.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// The address of the other end, or the path of a Unix socket.
    pub address: String,
    /// The address of this end.
    pub local_address: String,
    /// When the connection was made, in Unix microseconds.
    pub since_us: u64,
}

/// A connection as others see it.
#[derive(Debug)]
pub struct Client {
    id: u64,
    info: ClientInfo,
    names: Mutex<Names>,
    db: AtomicUsize,
    last_seen_us: AtomicU64,
    last_command: Mutex<Option<&'static Command>>,
    is_killed: AtomicBool,
    killer: Mutex<Option<Waker>>,
}

/// What the client says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

impl Client {
    /// The number that `CLIENT ID` answers.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When the client last sent a request, in Unix microseconds.
    pub fn last_seen_us(&self) -> u64 {
        self.last_seen_us.load(Ordering::Relaxed)
    }

    /// Whether the connection is to be closed now: `CLIENT KILL`.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Acquire)
    }

    /// Has `waker` woken when the connection is killed.
    pub fn on_kill(&self, waker: &Waker) {
        *self.killer.lock() = Some(waker.clone());
    }

    /// Has the connection closed, after it has answered what it has read.
    pub fn kill(&self) {
        self.is_killed.store(true, Ordering::Release);
        if let Some(waker) = self.killer.lock().take() {
            waker.wake();
        }
    }

    pub(crate) fn info(&self) -> &ClientInfo {
        &self.info
    }

    pub(crate) fn names(&self) -> parking_lot::MutexGuard<'_, Names> {
        self.names.lock()
    }

    pub(super) fn note(&self, command: &'static Command, db: usize, now: Now) {
        self.db.store(db, Ordering::Relaxed);
        self.last_seen_us.store(now.unix_us(), Ordering::Relaxed);
        *self.last_command.lock() = Some(command);
    }

    /// The line of `CLIENT LIST`, as far as others can know it.
    pub(crate) fn line(&self, now: Now) -> String {
        let seconds_since = |us: u64| now.unix_us().saturating_sub(us) / 1_000_000;
        let names = self.names.lock();
        let last = self
            .last_command
            .lock()
            .map_or("NULL".into(), |command| command.full_name());
        let mut line = String::new();
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags=N db={} sub=0 psub=0 ssub=0 \
             multi=-1 watch=0 cmd={} user=default lib-name={} lib-ver={}",
            self.id,
            self.info.address,
            self.info.local_address,
            names.name,
            seconds_since(self.info.since_us),
            seconds_since(self.last_seen_us()),
            self.db.load(Ordering::Relaxed),
            last,
            names.library,
            names.library_version,
        );
        line
    }
}

/// A connection on the list of all connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    client: Arc<Client>,
    engine: Weak<Engine>,
}

impl Registered {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.clients.clients.lock().remove(&self.client.id);
        }
    }
}

/// All connections, by id.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    pub(super) fn add(&self, engine: &Arc<Engine>, info: ClientInfo) -> Registered {
        let client = Arc::new(Client {
            id: engine.fresh_id(),
            last_seen_us: AtomicU64::new(info.since_us),
            info,
            names: Mutex::default(),
            db: AtomicUsize::new(0),
            last_command: Mutex::new(None),
            is_killed: AtomicBool::new(false),
            killer: Mutex::new(None),
        });
        self.clients.lock().insert(client.id, Arc::clone(&client));
        Registered {
            client,
            engine: Arc::downgrade(engine),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }
}
