//! A store for one test.

use std::time::Duration;

use larder_embedded::{Clock, Config as EmbeddedConfig, Embedded, ManualClock};
use larder_remote::{Config as RemoteConfig, Remote};
use larder_store::Store;

use crate::server::{Server, ServerKind};
use crate::without_twins::WithoutTwins;

/// Which kind of store a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// `memory:`, on a clock that the test moves. Scripts run as their twins.
    Memory,
    /// The same, where all scripts run in Lua.
    Lua,
    /// A real `redis-server`.
    Redis,
}

/// A store for one test: empty, and nobody else's.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Memory(Embedded, ManualClock),
    Server(Server),
}

impl TestStore {
    /// A memory store on a clock that stands still until [`TestStore::pass`] moves it.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn memory() -> TestStore {
        let clock = Clock::manual();
        let config = EmbeddedConfig::default().clock(clock.clone());
        let embedded = Embedded::open(config).expect("the system gives a thread");
        TestStore {
            store: Store::new(embedded.clone()),
            home: Home::Memory(embedded, clock),
        }
    }

    /// The same, where all scripts run in Lua, also those that have a twin.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn lua() -> TestStore {
        let mut store = TestStore::memory();
        if let Home::Memory(embedded, _) = &store.home {
            store.store = Store::new(WithoutTwins(embedded.clone()));
        }
        store
    }

    /// A store on a real server of its own. `None` if this machine has none.
    ///
    /// # Panics
    ///
    /// If the server does not start, or there is none and `LARDER_TEST_REQUIRE=all`.
    pub fn server(kind: ServerKind) -> Option<TestStore> {
        let server = Server::start(kind)?;
        let remote = Remote::open(&server.url(), RemoteConfig::default());
        let store = Store::new(remote.expect("the URL of a server is one"));
        Some(TestStore {
            store,
            home: Home::Server(server),
        })
    }

    pub(crate) fn open(kind: StoreKind) -> Option<TestStore> {
        match kind {
            StoreKind::Memory => Some(TestStore::memory()),
            StoreKind::Lua => Some(TestStore::lua()),
            StoreKind::Redis => TestStore::server(ServerKind::Redis),
        }
    }

    /// Lets time pass: moves the clock of a memory store, and waits on a real server, a little
    /// longer, since its clock is not ours.
    pub async fn pass(&self, time: Duration) {
        match &self.home {
            Home::Memory(embedded, _) => embedded.pass(time),
            Home::Server(_) => tokio::time::sleep(time + Duration::from_millis(5)).await,
        }
    }

    /// Sets the clock of a memory store back. That of a server can't be set: then it does nothing and
    /// answers `false`.
    pub fn set_back(&self, time: Duration) -> bool {
        match &self.home {
            Home::Memory(_, clock) => clock.set_back(time),
            Home::Server(_) => return false,
        }
        true
    }

    /// The clock of a memory store, which can be set back as well; that of a server can't be moved.
    pub fn clock(&self) -> Option<&ManualClock> {
        match &self.home {
            Home::Memory(_, clock) => Some(clock),
            Home::Server(_) => None,
        }
    }

    /// The server that the store is on, if it is on one.
    pub fn server_mut(&mut self) -> Option<&mut Server> {
        match &mut self.home {
            Home::Memory(..) => None,
            Home::Server(server) => Some(server),
        }
    }

    /// The store inside the process, if it is one.
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.home {
            Home::Memory(embedded, _) => Some(embedded),
            Home::Server(_) => None,
        }
    }
}
