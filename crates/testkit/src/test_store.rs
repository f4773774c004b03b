//! A store for one test.

use std::time::Duration;

use larder_embedded::{Clock, Config as EmbeddedConfig, Embedded, ManualClock};
use larder_remote::{Config as RemoteConfig, Remote};
use larder_store::Store;

use crate::server::{Server, ServerKind};
use crate::topology::{Cluster, Hold, Lease, Sentinels, lend};
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
    /// A real `valkey-server`.
    Valkey,
    /// A master and two replicas, watched by three Sentinels, lent for the test.
    Sentinel,
    /// A cluster of three masters and three replicas, lent for the test.
    Cluster,
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
    Sentinel(Lease<Sentinels>),
    Cluster(OnCluster),
}

/// A cluster for one test, which fails at its end if a node was given a command whose keys stand in
/// several slots: that is the store's mistake, wherever its refusal has gone.
#[derive(Debug)]
struct OnCluster(Lease<Cluster>);

impl Drop for OnCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let refused = self.0.topology.crossslots();
            assert_eq!(refused, 0, "commands were refused with CROSSSLOT");
        }
    }
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
        Some(TestStore::on(&server.url(), Home::Server(server)))
    }

    /// A store on a master that Sentinels watch. `None` if this machine has none.
    ///
    /// # Panics
    ///
    /// If none comes free or starts, or if there is no such server and `LARDER_TEST_REQUIRE=all`.
    pub fn sentinel() -> Option<TestStore> {
        let lease = lend::<Sentinels>(ServerKind::Redis)?;
        Some(TestStore::on(&lease.topology.url(), Home::Sentinel(lease)))
    }

    /// A store on a cluster. `None` if this machine has none.
    ///
    /// # Panics
    ///
    /// As [`TestStore::sentinel`].
    pub fn cluster() -> Option<TestStore> {
        let lease = lend::<Cluster>(ServerKind::Redis)?;
        Some(TestStore::on(
            &lease.topology.url(),
            Home::Cluster(OnCluster(lease)),
        ))
    }

    fn on(url: &str, home: Home) -> TestStore {
        let remote = Remote::open(url, RemoteConfig::default());
        TestStore {
            store: Store::new(remote.expect("the URL of a server is one")),
            home,
        }
    }

    pub(crate) fn open(kind: StoreKind) -> Option<TestStore> {
        match kind {
            StoreKind::Memory => Some(TestStore::memory()),
            StoreKind::Lua => Some(TestStore::lua()),
            StoreKind::Redis => TestStore::server(ServerKind::Redis),
            StoreKind::Valkey => TestStore::server(ServerKind::Valkey),
            StoreKind::Sentinel => TestStore::sentinel(),
            StoreKind::Cluster => TestStore::cluster(),
        }
    }

    /// Lets time pass: moves the clock of a memory store, and waits on a real server, a little
    /// longer, since its clock is not ours.
    pub async fn pass(&self, time: Duration) {
        match &self.home {
            Home::Memory(embedded, _) => embedded.pass(time),
            _ => tokio::time::sleep(time + Duration::from_millis(5)).await,
        }
    }

    /// Sets the clock of a memory store back. That of a server can't be set: then it does nothing and
    /// answers `false`.
    pub fn set_back(&self, time: Duration) -> bool {
        match &self.home {
            Home::Memory(_, clock) => clock.set_back(time),
            _ => return false,
        }
        true
    }

    /// The clock of a memory store, which can be set back as well; that of a server can't be moved.
    pub fn clock(&self) -> Option<&ManualClock> {
        match &self.home {
            Home::Memory(_, clock) => Some(clock),
            _ => None,
        }
    }

    /// The server that the store is on, if it is on one.
    pub fn server_mut(&mut self) -> Option<&mut Server> {
        match &mut self.home {
            Home::Server(server) => Some(server),
            _ => None,
        }
    }

    /// The servers and Sentinels that the store is on, if it is on such. They are lent: they may be
    /// asked to fail over, but not be killed.
    pub fn as_sentinels(&self) -> Option<&Sentinels> {
        match &self.home {
            Home::Sentinel(lease) => Some(&lease.topology),
            _ => None,
        }
    }

    /// The cluster that the store is on, if it is on one. It is lent: its slots may be moved, but no
    /// node be killed.
    pub fn as_cluster(&self) -> Option<&Cluster> {
        match &self.home {
            Home::Cluster(OnCluster(lease)) => Some(&lease.topology),
            _ => None,
        }
    }

    /// Keeps what the store is on from other tests, if it is lent.
    pub(crate) fn hold(&self) -> Option<Hold> {
        match &self.home {
            Home::Sentinel(lease) => Some(lease.hold()),
            Home::Cluster(OnCluster(lease)) => Some(lease.hold()),
            Home::Memory(..) | Home::Server(_) => None,
        }
    }

    /// The store inside the process, if it is one.
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.home {
            Home::Memory(embedded, _) => Some(embedded),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OnCluster, ServerKind, lend};

    #[test]
    #[should_panic(expected = "refused with CROSSSLOT")]
    fn a_test_fails_if_a_command_was_refused_for_the_slots_of_its_keys() {
        let Some(lease) = lend(ServerKind::Redis) else {
            panic!("refused with CROSSSLOT, had there been a cluster");
        };
        let cluster = OnCluster(lease);
        cluster.0.topology.nodes[0].ask(&["MGET", "a", "b"]);
    }
}
