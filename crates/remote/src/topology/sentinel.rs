//! A master, its replicas, and the Sentinels that know which of them is the master.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use larder_store::{BreakerState, Command, Error, NodeStatus, Part, Role, Value};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::told::{address_of, addresses_in, is_about_replica, names_of_masters, new_master};
use super::{Greeted, Suspicion, replace};
use crate::address::Address;
use crate::config::Config;
use crate::events::{ConnectionEvent, Events};
use crate::node::{GivenUp, Hub, Node, Place};
use crate::tries::{Tries, pause};
use crate::why_not::{Reason, away, reason};
use crate::wire::{self, Connection, Pushes, Until};

/// The servers behind a name that Sentinels know.
pub(crate) struct Sentinel {
    /// The Sentinels, whoever answered last in front. They come and go.
    sentinels: Mutex<Vec<Address>>,
    master: String,
    /// How Sentinels are greeted.
    asked: Greeted,
    /// How masters are greeted.
    nodes: Greeted,
    config: Arc<Config>,
    events: Events,
    current: Mutex<Current>,
    /// Held by the caller who asks the Sentinels. It holds what he has learned, if that was nothing.
    asking: tokio::sync::Mutex<Asked>,
    is_watching: AtomicBool,
    hub: Hub,
    itself: Weak<Sentinel>,
}

#[derive(Default)]
struct Current {
    node: Option<Arc<Node>>,
    replicas: Vec<Arc<Node>>,
    /// Whether somebody doubts that it is the master.
    is_doubted: bool,
    is_closed: bool,
}

#[derive(Default)]
struct Asked {
    failure: Option<Error>,
    at: Option<Instant>,
}

/// What a Sentinel says, and the connection on which it can be asked more.
struct Named {
    master: Address,
    by: Address,
    connection: Connection,
}

/// Why a Sentinel did not help.
enum NoHelp {
    /// It could not be asked.
    Away(Error),
    /// It knows no master of this name, but those.
    Unknown(Vec<String>),
}

impl Sentinel {
    pub(crate) fn new(
        sentinels: Vec<Address>,
        master: String,
        asked: Greeted,
        nodes: Greeted,
        config: &Arc<Config>,
        events: &Events,
    ) -> Arc<Sentinel> {
        Arc::new_cyclic(|itself: &Weak<Sentinel>| Sentinel {
            sentinels: Mutex::new(sentinels),
            master,
            asked,
            nodes,
            config: Arc::clone(config),
            events: events.clone(),
            current: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            is_watching: AtomicBool::new(false),
            hub: Hub::new(Weak::clone(itself), config),
            itself: Weak::clone(itself),
        })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The master, or a replica if one will do.
    pub(crate) async fn node(
        &self,
        from_replica: bool,
        until: Option<Instant>,
    ) -> Result<Arc<Node>, Error> {
        let master = match self.trusted() {
            Some(node) => node,
            None => self.resolve(until).await?,
        };
        Ok(match from_replica {
            true => self.replica().unwrap_or(master),
            false => master,
        })
    }

    /// The server of a part: the master, or a replica that somebody wants to ask about itself.
    pub(crate) async fn part(
        &self,
        part: &Part,
        until: Option<Instant>,
    ) -> Result<Arc<Node>, Error> {
        if let Some(node) = self.known(part) {
            return Ok(node);
        }
        self.node(false, until).await?;
        self.known(part).ok_or(Error::Gone)
    }

    fn known(&self, part: &Part) -> Option<Arc<Node>> {
        let current = self.current.lock();
        let mut all = current.node.iter().chain(&current.replicas);
        all.find(|node| node.target().address.to_string() == part.as_str())
            .cloned()
    }

    /// The servers, as far as they are known.
    pub(crate) fn nodes(&self) -> Vec<NodeStatus> {
        let current = self.current.lock();
        let at = |node: &Arc<Node>| node.target().address.clone();
        let leading = current.node.as_ref().map(at);
        let master = current.node.iter().map(|node| node.status(Role::Master));
        // Who was a replica a moment ago may be the master by now.
        let replicas = current.replicas.iter();
        let replicas = replicas.filter(|node| Some(at(node)) != leading);
        master
            .chain(replicas.map(|node| node.status(Role::Replica)))
            .collect()
    }

    /// The master that nobody doubts.
    fn trusted(&self) -> Option<Arc<Node>> {
        let current = self.current.lock();
        current.node.clone().filter(|_| !current.is_doubted)
    }

    fn replica(&self) -> Option<Arc<Node>> {
        let current = self.current.lock();
        let alive = current
            .replicas
            .iter()
            .filter(|node| node.breaker().state() == BreakerState::Closed && !node.is_avoided());
        alive.min_by_key(|node| node.in_flight()).cloned()
    }

    pub(crate) fn suspect(&self, node: &Arc<Node>, why: Suspicion) {
        let mut current = self.current.lock();
        if current
            .node
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, node))
        {
            current.is_doubted = true;
        }
        drop(current);
        // Of a replica: the next read meets another one.
        node.avoid();
        if why == Suspicion::NotMaster {
            node.demote();
        } else if let Some(sentinel) = self.itself.upgrade() {
            // Whoever is refused at once by the breaker does not wait for the Sentinels.
            tokio::spawn(async move { sentinel.resolve(None).await.map(drop) });
        }
    }

    /// Asks the Sentinels which server is the master, in as many tries as the configuration allows.
    /// Callers wait for the one who asks, and share what he learns.
    async fn resolve(&self, until: Option<Instant>) -> Result<Arc<Node>, Error> {
        let begun = Instant::now();
        let until = self.config.connect_by(until);
        let late = |_| Error::away("the Sentinels did not say in time which server is the master");
        let mut asked = timeout_at(until, self.asking.lock()).await.map_err(late)?;
        if let Some(node) = self.trusted() {
            return Ok(node);
        }
        if let (Some(error), Some(at)) = (&asked.failure, asked.at)
            && at > begun
        {
            return Err(error.clone());
        }
        // While a master is away its Sentinels need a while to agree: nobody storms them.
        if asked
            .at
            .is_some_and(|at| at.elapsed() < self.config.backoff)
            && let Some(node) = self.current.lock().node.clone()
        {
            return Ok(node);
        }
        let outcome = self.ask_all(until).await;
        asked.at = Some(Instant::now());
        asked.failure = outcome.as_ref().err().cloned();
        outcome
    }

    async fn ask_all(&self, until: Instant) -> Result<Arc<Node>, Error> {
        let mut tries = Tries::to_connect(&self.config, until);
        let mut why = Reason::default();
        loop {
            let (mut known, mut is_one_away) = (Vec::new(), false);
            // The master that is doubted, if one of them still names it: another may know better.
            let mut same = None;
            let sentinels = self.sentinels.lock().clone();
            for sentinel in &sentinels {
                let by = self.config.turn_of_one(until);
                match self.ask(sentinel, by).await {
                    Ok(named) if self.is_doubted(&named.master) => {
                        same.get_or_insert(named);
                    }
                    Ok(named) => return self.believe(named, until).await,
                    Err(NoHelp::Away(error)) => {
                        is_one_away = true;
                        why.note(error, by);
                    }
                    Err(NoHelp::Unknown(names)) => known.extend(names),
                }
            }
            if let Some(named) = same {
                return self.believe(named, until).await;
            }
            if !is_one_away {
                return Err(self.unknown(known));
            }
            if !tries.again() || !tries.pause().await {
                let reason = why.into_error().as_ref().map(reason).unwrap_or_default();
                return Err(Error::away(format_args!(
                    "none of {} Sentinels says which server is the master: {reason}",
                    sentinels.len()
                )));
            }
        }
    }

    /// Whether the server at this address was taken for the master, and somebody doubts it.
    fn is_doubted(&self, master: &Address) -> bool {
        let current = self.current.lock();
        let node = current.node.as_ref();
        current.is_doubted && node.is_some_and(|node| node.target().address == *master)
    }

    /// Takes for the master what a Sentinel has named, and learns from it who else there is.
    async fn believe(&self, named: Named, until: Instant) -> Result<Arc<Node>, Error> {
        self.put_in_front(&named.by);
        let node = self.switch(named.master)?;
        self.learn(&named.connection, until).await;
        self.watch();
        Ok(node)
    }

    /// What a caller is told if no Sentinel knows the name.
    fn unknown(&self, mut known: Vec<String>) -> Error {
        known.sort();
        known.dedup();
        Error::away(format_args!(
            "the Sentinels know no master called {:?}; they know {}: the name stands behind the hosts \
             in the URL",
            self.master,
            match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            }
        ))
    }

    /// Asks a Sentinel which server is the master.
    async fn ask(&self, sentinel: &Address, until: Instant) -> Result<Named, NoHelp> {
        let connection = self
            .connect(sentinel, None, until)
            .await
            .map_err(NoHelp::Away)?;
        let name = Command::new("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.master);
        let answer = connection.call(&name, Until::Own(until)).await;
        match answer.map_err(|failure| NoHelp::Away(failure.into()))? {
            Value::Array(parts) => match address_of(&parts) {
                Some(master) => Ok(Named {
                    master,
                    by: sentinel.clone(),
                    connection,
                }),
                None => Err(NoHelp::Away(Error::away("a Sentinel named no address"))),
            },
            Value::Error(refusal) => Err(NoHelp::Away(Error::away(refusal))),
            _ => Err(NoHelp::Unknown(names_of_masters(&connection, until).await)),
        }
    }

    async fn connect(
        &self,
        sentinel: &Address,
        pushes: Option<Pushes>,
        until: Instant,
    ) -> Result<Connection, Error> {
        let target = self.asked.at(sentinel.clone());
        let connected = wire::connect(&target, self.config.patience(), pushes, until).await;
        match connected {
            Ok((connection, _)) => Ok(connection),
            Err(error) => Err(away(&error, &target)),
        }
    }

    /// Takes the server at this address for the master.
    fn switch(&self, master: Address) -> Result<Arc<Node>, Error> {
        let mut current = self.current.lock();
        if current.is_closed {
            return Err(Error::Closed);
        }
        current.is_doubted = false;
        if let Some(node) = &current.node
            && node.target().address == master
            && !node.is_demoted()
        {
            return Ok(Arc::clone(node));
        }
        let name = master.to_string();
        let node = Node::new(self.nodes.at(master), &self.config, &self.events);
        let old = current.node.replace(Arc::clone(&node));
        drop(current);
        if let Some(old) = old {
            tracing::info!(master = name, "another server is the master");
            self.events.tell(|| ConnectionEvent::MasterChanged(name));
            replace(&old);
        }
        Ok(node)
    }

    /// Learns which other Sentinels and which replicas there are.
    async fn learn(&self, connection: &Connection, until: Instant) {
        let ask = |word| Command::new("SENTINEL").arg(word).arg(&self.master);
        let questions = [ask("SENTINELS"), ask("REPLICAS")];
        let answers = connection
            .call_all(questions.iter(), Until::Own(until))
            .await;
        let mut addresses = answers.iter().map(|answer| match answer {
            Ok(list) => addresses_in(list),
            Err(_) => Vec::new(),
        });
        let others = addresses.next().unwrap_or_default();
        {
            let mut sentinels = self.sentinels.lock();
            for other in others {
                if !sentinels.contains(&other) {
                    sentinels.push(other);
                }
            }
        }
        self.know_replicas(addresses.next().unwrap_or_default());
    }

    fn know_replicas(&self, addresses: Vec<Address>) {
        let mut current = self.current.lock();
        let known = std::mem::take(&mut current.replicas);
        let (stay, gone): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|node| addresses.contains(&node.target().address));
        current.replicas = stay;
        for address in addresses {
            if !current
                .replicas
                .iter()
                .any(|node| node.target().address == address)
            {
                let mut target = self.nodes.at(address);
                target.must_be_master = false;
                let node = Node::new(target, &self.config, &self.events);
                current.replicas.push(node);
            }
        }
        drop(current);
        gone.iter().for_each(replace);
    }

    fn put_in_front(&self, sentinel: &Address) {
        let mut sentinels = self.sentinels.lock();
        if let Some(place) = sentinels.iter().position(|known| known == sentinel) {
            sentinels[..=place].rotate_right(1);
        }
    }

    /// Listens to what the Sentinels tell of their own accord, from the first answer on.
    fn watch(&self) {
        if !self.is_watching.swap(true, Ordering::AcqRel) {
            tokio::spawn(watch(Weak::clone(&self.itself)));
        }
    }

    pub(crate) fn close(&self) {
        let mut current = self.current.lock();
        current.is_closed = true;
        let nodes: Vec<_> = current
            .node
            .take()
            .into_iter()
            .chain(current.replicas.drain(..))
            .collect();
        drop(current);
        nodes.iter().for_each(|node| node.give_up(GivenUp::Closed));
        self.hub.close();
    }
}

impl Place for Weak<Sentinel> {
    fn node(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Node>, Error>> + Send + '_>> {
        Box::pin(async {
            let sentinel = self.upgrade().ok_or(Error::Closed)?;
            sentinel.node(false, None).await
        })
    }

    fn suspect(&self, node: &Arc<Node>) {
        if let Some(servers) = self.upgrade() {
            servers.suspect(node, Suspicion::Away);
        }
    }
}

/// Says when the task that watches has ended: its runtime may end before the store.
struct Watching(Weak<Sentinel>);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(sentinel) = self.0.upgrade() {
            sentinel.is_watching.store(false, Ordering::Release);
        }
    }
}

/// Listens to the Sentinels, one after the other, as long as there is the store.
async fn watch(sentinel: Weak<Sentinel>) {
    let watching = Watching(sentinel);
    let mut fails = 0;
    loop {
        let Some(sentinel) = watching.0.upgrade() else {
            return;
        };
        if sentinel.current.lock().is_closed {
            return;
        }
        let first = sentinel.sentinels.lock().first().cloned();
        let connected = match &first {
            Some(first) => sentinel.listen_to(first).await,
            None => return,
        };
        let config = Arc::clone(&sentinel.config);
        // While it listens it does not hold the store.
        drop(sentinel);
        match connected {
            Some(connection) => {
                fails = 0;
                connection.ended().await;
            }
            None => {
                fails += 1;
                sleep(pause(&config, fails)).await;
            }
        }
        // The next one, since this one is of no use.
        if let Some(sentinel) = watching.0.upgrade() {
            sentinel.sentinels.lock().rotate_left(1);
        }
    }
}

impl Sentinel {
    /// Listens to a Sentinel. It is asked as well: what it told before nobody has heard.
    async fn listen_to(&self, address: &Address) -> Option<Connection> {
        let (itself, from) = (Weak::clone(&self.itself), address.clone());
        let pushes = Box::new(move |parts: Vec<Value>| {
            let Some(sentinel) = itself.upgrade() else {
                return;
            };
            let master = new_master(&parts, &sentinel.master);
            if master.is_none() && !is_about_replica(&parts, &sentinel.master) {
                return;
            }
            if let Some(master) = master {
                // A store that is closed needs no master.
                let _ = sentinel.switch(master);
            }
            tokio::spawn(learn_news(Weak::clone(&itself), from.clone()));
        });
        let until = self.config.connect_by(None);
        let connection = self.connect(address, Some(pushes), until).await.ok()?;
        let listen = Command::new("SUBSCRIBE").args(["+switch-master", "+slave", "-sdown"]);
        connection
            .call_silent(&[listen], Until::Own(until))
            .await
            .ok()?;
        if let Ok(named) = self.ask(address, until).await {
            let _ = self.switch(named.master);
            self.learn(&named.connection, until).await;
        }
        Some(connection)
    }
}

/// Learns from the Sentinel that told of a change who follows the master now, and once more when it has
/// connected to those that were new to it: of that nothing is told.
async fn learn_news(sentinel: Weak<Sentinel>, from: Address) {
    for is_first in [true, false] {
        let Some(sentinel) = sentinel.upgrade() else {
            return;
        };
        let until = sentinel.config.connect_by(None);
        if let Ok(named) = sentinel.ask(&from, until).await {
            sentinel.learn(&named.connection, until).await;
        }
        let pause = sentinel.config.backoff_max;
        drop(sentinel);
        if is_first {
            sleep(pause).await;
        }
    }
}
