//! The nodes of a cluster.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_store::{
    BreakerState, Channels, Command, Error, Event, NodeStatus, Part, Role, Value, jitter, slot,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::slots::Slots;
use super::{Greeted, Route, Suspicion, replace};
use crate::address::Address;
use crate::config::Config;
use crate::events::{ConnectionEvent, Events};
use crate::node::{GivenUp, Hub, Listener, Name, Node, Place};
use crate::tries::Tries;
use crate::verdict::Verdict;
use crate::why_not::Reason;
use crate::wire::Failure;

/// The map of slots is not asked for more often than this.
const CALM: Duration = Duration::from_millis(100);

/// How often a listener follows a channel from node to node.
const MOVES_MAX: usize = 16;

/// The nodes of a cluster, and which of them owns which slot.
pub(crate) struct Cluster {
    /// The nodes that the URL names, from which to learn the others.
    seeds: Vec<Address>,
    greeted: Greeted,
    config: Arc<Config>,
    events: Events,
    slots: RwLock<Arc<Slots>>,
    nodes: Mutex<Nodes>,
    /// Held by the caller who asks for the map of slots.
    asking: tokio::sync::Mutex<Asked>,
    /// Who listens to classic channels, which every node has.
    hub: Hub,
    itself: Weak<Cluster>,
}

#[derive(Default)]
struct Nodes {
    by_address: HashMap<Address, Arc<Node>>,
    /// The same servers where replicas may answer.
    replicas: HashMap<Address, Arc<Node>>,
    /// Who listens to the channels that belong to a node's slots.
    hubs: HashMap<Address, Hub>,
    is_closed: bool,
}

#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    failure: Option<Error>,
}

impl Cluster {
    pub(crate) fn new(
        seeds: Vec<Address>,
        greeted: Greeted,
        config: &Arc<Config>,
        events: &Events,
    ) -> Arc<Cluster> {
        Arc::new_cyclic(|itself: &Weak<Cluster>| Cluster {
            seeds,
            greeted,
            config: Arc::clone(config),
            events: events.clone(),
            slots: RwLock::default(),
            nodes: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            hub: Hub::new(AnyNode(Weak::clone(itself)), config),
            itself: Weak::clone(itself),
        })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The node to which a command goes now.
    pub(crate) async fn node(
        &self,
        route: &Route,
        from_replica: bool,
        until: Option<Instant>,
    ) -> Result<Arc<Node>, Error> {
        if let Some(node) = self.known(route, from_replica)? {
            return Ok(node);
        }
        self.learn(Instant::now(), until).await?;
        self.known(route, from_replica)?.ok_or_else(|| {
            Error::away(match route {
                Route::Slot(slot) => format!("no node of the cluster owns the slot {slot} now"),
                _ => "the cluster has no nodes that own slots".to_owned(),
            })
        })
    }

    /// The node to which a command goes, as far as it is known.
    fn known(&self, route: &Route, from_replica: bool) -> Result<Option<Arc<Node>>, Error> {
        let slots = Arc::clone(&self.slots.read());
        let shard = match route {
            Route::Slot(slot) => slots.owner(*slot),
            Route::Any => {
                let masters = slots.shards();
                let start = jitter(Duration::from_nanos(masters.len() as u64)).as_nanos() as usize;
                let mut all =
                    (0..masters.len()).map(|place| &masters[(start + place) % masters.len()]);
                // One that is away is as good as the others, if all are.
                all.clone()
                    .find(|shard| self.is_well(&shard.master))
                    .or_else(|| all.next())
            }
            Route::Part(part) => return self.part(part, &slots).map(Some),
        };
        let Some(shard) = shard else {
            return Ok(None);
        };
        let replicas = shard.replicas.iter().filter(|_| from_replica);
        let replica = replicas
            .map(|address| self.replica_at(address))
            .filter_map(Result::ok)
            .filter(|node| node.breaker().state() == BreakerState::Closed)
            .min_by_key(|node| node.in_flight());
        match replica {
            Some(node) => Ok(Some(node)),
            None => self.node_at(&shard.master).map(Some),
        }
    }

    fn is_well(&self, address: &Address) -> bool {
        let nodes = self.nodes.lock();
        let node = nodes.by_address.get(address);
        node.is_none_or(|node| node.breaker().state() == BreakerState::Closed)
    }

    /// The node of a part, if it is still what it was: a master, or a replica that somebody wants to ask
    /// about itself.
    fn part(&self, part: &Part, slots: &Slots) -> Result<Arc<Node>, Error> {
        let address = Address::parse(part.as_str()).ok_or(Error::Gone)?;
        let mut shards = slots.shards().iter();
        if shards.clone().any(|shard| shard.master == address) {
            let is_same = part.version() == 0 || part.version() == slots.version_of(&address);
            return match is_same {
                true => self.node_at(&address),
                false => Err(Error::Gone),
            };
        }
        match shards.any(|shard| shard.replicas.contains(&address)) {
            true => self.replica_at(&address),
            false => Err(Error::Gone),
        }
    }

    /// The masters that own slots, and all replicas, as far as they are known. Whoever looks now and then
    /// and asks nothing else would see for ever what once was, so the next look sees what is now.
    pub(crate) fn nodes(&self) -> Vec<NodeStatus> {
        let slots = Arc::clone(&self.slots.read());
        if !slots.is_empty() && Handle::try_current().is_ok() {
            self.learn_soon();
        }
        let nodes = self.nodes.lock();
        if nodes.is_closed {
            return Vec::new();
        }
        let mut all = Vec::new();
        for shard in slots.shards() {
            if slots.owns(&shard.master) {
                let master = nodes.by_address.get(&shard.master);
                all.push(status(master, &shard.master, Role::Master));
            }
            for address in &shard.replicas {
                all.push(status(nodes.replicas.get(address), address, Role::Replica));
            }
        }
        all
    }

    /// The masters that own slots.
    pub(crate) async fn parts(&self) -> Result<Vec<Part>, Error> {
        self.learn(Instant::now(), None).await?;
        let slots = Arc::clone(&self.slots.read());
        match slots.missing() {
            0 => {}
            missing => {
                return Err(Error::away(format_args!(
                    "{missing} slots of the cluster have no owner now, so its keys are not all there"
                )));
            }
        }
        let masters = slots.shards().iter().map(|shard| &shard.master);
        let owning = masters.filter(|master| slots.owns(master));
        Ok(owning
            .map(|master| Part::new(master.to_string()).with_version(slots.version_of(master)))
            .collect())
    }

    /// The node at an address, made known if it is not.
    pub(crate) fn node_at(&self, address: &Address) -> Result<Arc<Node>, Error> {
        self.node_in(address, |nodes| &mut nodes.by_address, false)
    }

    fn replica_at(&self, address: &Address) -> Result<Arc<Node>, Error> {
        self.node_in(address, |nodes| &mut nodes.replicas, true)
    }

    fn node_in(
        &self,
        address: &Address,
        kind: impl FnOnce(&mut Nodes) -> &mut HashMap<Address, Arc<Node>>,
        is_replica: bool,
    ) -> Result<Arc<Node>, Error> {
        let mut nodes = self.nodes.lock();
        if nodes.is_closed {
            return Err(Error::Closed);
        }
        let kind = kind(&mut nodes);
        if let Some(node) = kind.get(address) {
            return Ok(Arc::clone(node));
        }
        let mut target = self.greeted.at(address.clone());
        target.is_replica = is_replica;
        let node = Node::new(target, &self.config, &self.events);
        kind.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// A slot is at another node now.
    pub(crate) fn moved(&self, slot: u16, to: Address) {
        let mut slots = self.slots.write();
        if Arc::make_mut(&mut *slots).set_owner(slot, to) {
            drop(slots);
            // Where one slot has gone, others have.
            self.learn_soon();
        }
    }

    /// A node could not be reached, or says that it has lost sight of the others.
    pub(crate) fn suspect(&self, _: &Arc<Node>, _: Suspicion) {
        self.learn_soon();
    }

    fn learn_soon(&self) {
        if let Some(cluster) = self.itself.upgrade() {
            // Whoever needs the map and does not get it learns why.
            tokio::spawn(async move { drop(cluster.learn(Instant::now(), None).await) });
        }
    }

    /// Asks a node for the map of slots, unless somebody has just done so: it is as it was then or later.
    async fn learn(&self, since: Instant, until: Option<Instant>) -> Result<(), Error> {
        let until = self.config.connect_by(until);
        let late = |_| Error::away("no node of the cluster said in time who owns which slot");
        let mut asked = timeout_at(until, self.asking.lock()).await.map_err(late)?;
        if let Some(at) = asked.at
            && (at >= since || at.elapsed() < CALM)
        {
            return asked.failure.clone().map_or(Ok(()), Err);
        }
        let outcome = self.ask_all(until).await;
        asked.at = Some(Instant::now());
        asked.failure = outcome.as_ref().err().cloned();
        outcome
    }

    async fn ask_all(&self, until: Instant) -> Result<(), Error> {
        let mut tries = Tries::to_connect(&self.config, until);
        let mut reason = Reason::default();
        loop {
            for address in self.advisers() {
                let by = self.config.turn_of_one(until);
                match self.ask(&address, by).await {
                    Ok(slots) => {
                        self.adopt(slots);
                        return Ok(());
                    }
                    Err(Error::Closed) => return Err(Error::Closed),
                    Err(error) => reason.note(error, by),
                }
            }
            if !tries.again() || !tries.pause().await {
                return Err(reason.into_error().unwrap_or(Error::Closed));
            }
        }
    }

    /// Those who may be asked, in a random order, but those that are known to be away last.
    fn advisers(&self) -> Vec<Address> {
        let mut all: Vec<Address> = self.nodes.lock().by_address.keys().cloned().collect();
        all.extend(
            self.seeds
                .iter()
                .filter(|seed| !all.contains(seed))
                .cloned()
                .collect::<Vec<_>>(),
        );
        all.sort_by_cached_key(|address| (!self.is_well(address), jitter(Duration::from_secs(1))));
        all
    }

    async fn ask(&self, address: &Address, until: Instant) -> Result<Slots, Error> {
        let node = self.node_at(address)?;
        let question = Command::new("CLUSTER").arg("SLOTS");
        let answer = node.call(None, &question, Some(until)).await?;
        // Whatever became of the question: what the caller wants was not sent.
        let lost = |failure: Failure| Error::away(format_args!("{address}: {}", failure.loss()));
        match answer.map_err(lost)? {
            Value::Error(refusal) => Err(Error::away(format_args!("{address}: {refusal}"))),
            answer => match Slots::read(&answer, address) {
                Some(slots) if !slots.is_empty() => Ok(slots),
                Some(_) => Err(Error::away(format_args!(
                    "{address} knows no owner of any slot"
                ))),
                None => Err(Error::away(format_args!("{address} gave no map of slots"))),
            },
        }
    }

    /// Takes a map for the right one, and gives up nodes that are not in it.
    fn adopt(&self, slots: Slots) {
        let mut current = self.slots.write();
        if **current == slots {
            return;
        }
        let slots = Arc::new(slots);
        *current = Arc::clone(&slots);
        drop(current);
        self.events.tell(|| ConnectionEvent::SlotsChanged);
        let is_there = |address: &Address| {
            let mut shards = slots.shards().iter();
            shards.any(|shard| shard.master == *address || shard.replicas.contains(address))
        };
        let mut nodes = self.nodes.lock();
        let mut gone = Vec::new();
        for kind in [true, false] {
            let kind = if kind {
                &mut nodes.by_address
            } else {
                &mut nodes.replicas
            };
            kind.retain(|address, node| {
                let stays = is_there(address) || self.seeds.contains(address);
                if !stays {
                    gone.push(Arc::clone(node));
                }
                stays
            });
        }
        let leads = |address: &Address| slots.shards().iter().any(|shard| shard.master == *address);
        for (address, node) in &nodes.by_address {
            // What it tells from now on, it has heard from another.
            if !leads(address) {
                node.end_tracking();
            }
        }
        drop(nodes);
        gone.iter().for_each(replace);
    }

    /// Adds a listener to channels wherever they are.
    pub(crate) async fn listen(
        &self,
        channels: &Channels,
        listener: &Listener,
    ) -> Result<(), Error> {
        let (sharded, classic): (Vec<Name>, Vec<Name>) = Name::all(channels)
            .into_iter()
            .partition(|name| matches!(name, Name::Shard(_)));
        if !classic.is_empty() {
            self.hub.listen(&classic, listener).await?;
        }
        for name in sharded {
            self.listen_to_shard(name, listener).await?;
        }
        Ok(())
    }

    /// Adds a listener to a channel that belongs to a shard, at the node that owns it.
    async fn listen_to_shard(&self, name: Name, listener: &Listener) -> Result<(), Error> {
        let mut moves = 0;
        loop {
            let node = self
                .node(&Route::Slot(slot(name.bytes())), false, None)
                .await?;
            let hub = self.hub_at(&node)?;
            let error = match hub.listen(std::slice::from_ref(&name), listener).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let Error::Refused(refusal) = &error else {
                return Err(error);
            };
            match Verdict::of_refusal(refusal) {
                Verdict::Moved(slot, to) if moves < MOVES_MAX => {
                    self.moved(slot, whole(&node, &to));
                }
                verdict if verdict.is_unexecuted() && moves < MOVES_MAX => {
                    tokio::time::sleep(CALM).await;
                }
                _ => return Err(error),
            }
            moves += 1;
        }
    }

    /// Who listens at a node.
    fn hub_at(&self, node: &Arc<Node>) -> Result<Hub, Error> {
        let address = &node.target().address;
        let mut nodes = self.nodes.lock();
        if nodes.is_closed {
            return Err(Error::Closed);
        }
        let hub = nodes.hubs.entry(address.clone()).or_insert_with(|| {
            let place = OneNode(Weak::clone(&self.itself), address.clone());
            Hub::new(place, &self.config)
        });
        Ok(hub.clone())
    }

    pub(crate) fn leave(&self, listener: u64) {
        self.hub.leave(listener);
        let hubs: Vec<Hub> = self.nodes.lock().hubs.values().cloned().collect();
        hubs.iter().for_each(|hub| hub.leave(listener));
    }

    pub(crate) fn close(&self) {
        let mut nodes = self.nodes.lock();
        nodes.is_closed = true;
        let mut all: Vec<_> = nodes.by_address.drain().map(|(_, node)| node).collect();
        all.extend(nodes.replicas.drain().map(|(_, node)| node));
        let hubs: Vec<_> = nodes.hubs.drain().map(|(_, hub)| hub).collect();
        drop(nodes);
        all.iter().for_each(|node| node.give_up(GivenUp::Closed));
        hubs.iter().for_each(Hub::close);
        self.hub.close();
    }
}

/// How a node is seen from here, also if nothing was asked of it yet.
fn status(node: Option<&Arc<Node>>, address: &Address, role: Role) -> NodeStatus {
    match node {
        Some(node) => node.status(role),
        None => NodeStatus::new(Part::new(address.to_string()), role),
    }
}

/// An address, with the host of the node that named it if it has none.
pub(super) fn whole(by: &Node, address: &Address) -> Address {
    match (address, by.target().address.host()) {
        (Address::Tcp { host, port }, Some(known)) if host.is_empty() => Address::tcp(known, *port),
        _ => address.clone(),
    }
}

/// Any node: classic channels are everywhere.
struct AnyNode(Weak<Cluster>);

impl Place for AnyNode {
    fn node(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Node>, Error>> + Send + '_>> {
        Box::pin(async {
            let cluster = self.0.upgrade().ok_or(Error::Closed)?;
            cluster.node(&Route::Any, false, None).await
        })
    }

    fn suspect(&self, _: &Arc<Node>) {
        if let Some(cluster) = self.0.upgrade() {
            cluster.learn_soon();
        }
    }
}

/// The node at an address, whose slots have channels of their own.
struct OneNode(Weak<Cluster>, Address);

impl Place for OneNode {
    fn node(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Node>, Error>> + Send + '_>> {
        Box::pin(async {
            let cluster = self.0.upgrade().ok_or(Error::Closed)?;
            cluster.node_at(&self.1)
        })
    }

    fn suspect(&self, _: &Arc<Node>) {
        if let Some(cluster) = self.0.upgrade() {
            cluster.learn_soon();
        }
    }

    fn has(&self, name: &Name) -> bool {
        let Some(cluster) = self.0.upgrade() else {
            return true;
        };
        let slots = Arc::clone(&cluster.slots.read());
        let owner = slots.owner(slot(name.bytes()));
        owner.is_none_or(|shard| shard.master == self.1)
    }

    fn moved(&self, name: Name, listeners: Vec<Listener>) {
        let Some(cluster) = self.0.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            for listener in listeners {
                match cluster.listen_to_shard(name.clone(), &listener).await {
                    Ok(()) => listener.queue.put(Event::Gap),
                    Err(error) => {
                        tracing::warn!(%error, "a subscription did not find its channel again");
                        listener.queue.close();
                    }
                }
            }
        });
    }
}
