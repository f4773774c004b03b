//! Which server a command goes to.

mod cluster;
mod sentinel;
mod single;
mod slots;
mod told;

use std::sync::Arc;

use larder_store::{Channels, Error, NodeStatus, Part};
use tokio::time::Instant;

pub(crate) use self::cluster::Cluster;
use self::sentinel::Sentinel;
use self::single::Single;
use crate::address::Address;
use crate::config::Config;
use crate::events::Events;
use crate::node::{GivenUp, Hub, Listener, Name, Node};
use crate::open_error::OpenError;
use crate::url::{Place, Servers};
use crate::wire::{Login, Mode, Target};

/// The servers of a store, and who among them is what.
pub(crate) enum Topology {
    Single(Arc<Single>),
    Sentinel(Arc<Sentinel>),
    Cluster(Arc<Cluster>),
}

/// Where a command goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To any server that takes writes.
    Any,
    /// To the owner of a slot.
    Slot(u16),
    /// To a part that the caller has named.
    Part(Part),
}

/// Where a node has sent a command, this once: the map of slots may be older than that.
#[derive(Clone, Debug)]
pub(crate) struct Detour {
    to: Address,
    /// Whether the node there takes the command only after ASKING.
    pub(crate) asks: bool,
}

/// What all nodes of a store have in common: how they are greeted.
#[derive(Clone, Debug)]
pub(crate) struct Greeted {
    login: Login,
    db: u32,
    wanted: Mode,
    must_be_master: bool,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Connector>,
}

impl Greeted {
    /// How the server at this address is greeted.
    pub(crate) fn at(&self, address: Address) -> Target {
        Target {
            address,
            login: self.login.clone(),
            db: self.db,
            wanted: self.wanted,
            must_be_master: self.must_be_master,
            is_replica: false,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }
}

impl Topology {
    /// The servers that a URL names, by settings that were checked.
    pub(crate) fn open(url: &str, config: Config, events: &Events) -> Result<Topology, OpenError> {
        let place = Place::parse(url)?;
        // Certificates that can't be used are told of at once, also where the URL does not ask for TLS.
        #[cfg(feature = "tls")]
        let tls = Some(config.tls.connector()?).filter(|_| place.is_tls);
        let greeted = |login, db, wanted, must_be_master| Greeted {
            login,
            db,
            wanted,
            must_be_master,
            #[cfg(feature = "tls")]
            tls: tls.clone(),
        };
        let config = Arc::new(config);
        Ok(match place.servers {
            Servers::Single(address) => {
                let greeted = greeted(place.login, place.db, Mode::Standalone, false);
                Topology::Single(Single::new(greeted.at(address), &config, events))
            }
            Servers::Sentinel {
                sentinels,
                master,
                login,
            } => {
                let login = login.or(&config.sentinel_login());
                let asked = greeted(login, 0, Mode::Sentinel, false);
                let nodes = greeted(place.login, place.db, Mode::Standalone, true);
                Topology::Sentinel(Sentinel::new(
                    sentinels, master, asked, nodes, &config, events,
                ))
            }
            Servers::Cluster(seeds) => {
                let greeted = greeted(place.login, 0, Mode::Cluster, false);
                Topology::Cluster(Cluster::new(seeds, greeted, &config, events))
            }
        })
    }

    /// The node to which a command goes now.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if nobody knows which it is; [`Error::Gone`] if a part is not what it was.
    pub(crate) async fn node(
        &self,
        route: &Route,
        from_replica: bool,
        until: Option<Instant>,
    ) -> Result<Arc<Node>, Error> {
        match self {
            Topology::Single(single) => Ok(single.node()),
            Topology::Sentinel(sentinel) => match route {
                Route::Part(part) => sentinel.part(part, until).await,
                _ => sentinel.node(from_replica, until).await,
            },
            Topology::Cluster(cluster) => cluster.node(route, from_replica, until).await,
        }
    }

    /// A node has said that it is not the master, or could not be reached: the next command is not to
    /// meet it again if there is another.
    pub(crate) fn suspect(&self, node: &Arc<Node>, why: Suspicion) {
        match self {
            Topology::Single(single) => single.suspect(node, why),
            Topology::Sentinel(sentinel) => sentinel.suspect(node, why),
            Topology::Cluster(cluster) => cluster.suspect(node, why),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Topology::Cluster(_))
    }

    /// A slot is at another node now, as this one says. Answers where to go, if there is a way.
    pub(crate) fn moved(&self, by: &Node, slot: u16, to: &Address) -> Option<Detour> {
        let Topology::Cluster(cluster) = self else {
            return None;
        };
        let to = cluster::whole(by, to);
        cluster.moved(slot, to.clone());
        Some(Detour { to, asks: false })
    }

    /// Another node has to be asked, this once, as this one says. Answers where to go, if there is a way.
    pub(crate) fn asked(&self, by: &Node, to: &Address) -> Option<Detour> {
        self.is_cluster().then(|| Detour {
            to: cluster::whole(by, to),
            asks: true,
        })
    }

    /// The node at the end of a detour.
    pub(crate) fn node_on(&self, detour: &Detour) -> Result<Arc<Node>, Error> {
        match self {
            Topology::Cluster(cluster) => cluster.node_at(&detour.to),
            _ => Err(Error::Gone),
        }
    }

    /// The parts that together hold all keys.
    pub(crate) async fn parts(&self) -> Result<Vec<Part>, Error> {
        match self {
            Topology::Cluster(cluster) => cluster.parts().await,
            _ => Ok(vec![Part::whole()]),
        }
    }

    /// Its servers, as far as they are known.
    pub(crate) fn nodes(&self) -> Vec<NodeStatus> {
        match self {
            Topology::Single(single) => vec![single.status()],
            Topology::Sentinel(sentinel) => sentinel.nodes(),
            Topology::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// The route to a part that the caller has named, if that is not all of the store.
    pub(crate) fn route_to(&self, part: &Part) -> Option<Route> {
        let is_named = self.has_others() && !part.as_str().is_empty();
        is_named.then(|| Route::Part(part.clone()))
    }

    /// Whether another server may take the place of one that is away.
    pub(crate) fn has_others(&self) -> bool {
        !matches!(self, Topology::Single(_))
    }

    /// Adds a listener to what it wants to hear, and answers when the store has confirmed all.
    pub(crate) async fn listen(
        &self,
        channels: &Channels,
        listener: &Listener,
    ) -> Result<(), Error> {
        match self {
            Topology::Cluster(cluster) => cluster.listen(channels, listener).await,
            _ => self.hub().listen(&Name::all(channels), listener).await,
        }
    }

    /// Takes a listener away from wherever it listens.
    pub(crate) fn leave(&self, listener: u64) {
        match self {
            Topology::Cluster(cluster) => cluster.leave(listener),
            _ => self.hub().leave(listener),
        }
    }

    /// Who listens to classic channels.
    fn hub(&self) -> &Hub {
        match self {
            Topology::Single(single) => single.hub(),
            Topology::Sentinel(sentinel) => sentinel.hub(),
            Topology::Cluster(cluster) => cluster.hub(),
        }
    }

    pub(crate) fn close(&self) {
        match self {
            Topology::Single(single) => single.close(),
            Topology::Sentinel(sentinel) => sentinel.close(),
            Topology::Cluster(cluster) => cluster.close(),
        }
    }
}

/// What a node is suspected of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// It has said itself that it takes no writes.
    NotMaster,
    /// It could not be reached, or did not answer.
    Away,
}

impl Drop for Topology {
    /// Whoever waits on a server for a store that nobody holds waits no longer.
    fn drop(&mut self) {
        self.close();
    }
}

/// Gives up a node for good.
fn replace(old: &Arc<Node>) {
    old.give_up(GivenUp::Replaced);
}
