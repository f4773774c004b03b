//! Redis Cluster.

use std::time::Duration;

use super::node::{Node, Role, text};
use super::view::Seen;
use crate::port::BUS;
use crate::server::{ServerKind, find};
use crate::until::{holds_within, until};

/// How long the nodes may take to agree. An election takes two or three seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one vote may take.
const VOTE: Duration = Duration::from_secs(3);

const MASTERS: usize = 3;

/// How many slots there are.
pub(super) const SLOTS: usize = 16384;

/// The slots that a master begins with.
const FIRST_SLOTS: [(&str, &str); MASTERS] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// A cluster of three masters with a replica each, on free ports of 127.0.0.1. It ends when this is
/// dropped.
///
/// A node is named by its place in `nodes`. Which is a master changes: ask [`Cluster::masters`]. A node
/// that does not answer for a second is held to have failed.
#[derive(Debug)]
pub struct Cluster {
    /// The servers.
    pub nodes: Vec<Node>,
    pub(super) password: Option<String>,
}

/// What a cluster is started with beside what it needs.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions<'a> {
    /// The password of all nodes.
    pub password: Option<&'a str>,
    /// Whether clients and replicas come by proxies, one before each node. What the nodes tell each
    /// other about the cluster does not.
    pub proxied: bool,
    /// Further lines of each node's configuration.
    pub lines: &'a [&'a str],
}

impl Cluster {
    /// Starts a cluster. `None` if this machine has no such server, and is allowed not to.
    ///
    /// # Panics
    ///
    /// If it does not come about, or if there is no server and `LARDER_TEST_REQUIRE=all`.
    pub fn start(kind: ServerKind) -> Option<Cluster> {
        Cluster::start_with(kind, &ClusterOptions::default())
    }

    /// Starts a cluster with these options.
    ///
    /// # Panics
    ///
    /// As [`Cluster::start`].
    pub fn start_with(kind: ServerKind, options: &ClusterOptions<'_>) -> Option<Cluster> {
        let program = find(kind)?;
        let lines = |port| {
            let bus = port + BUS;
            format!(
                "{CONFIGURATION}cluster-port {bus}\n{}",
                options.lines.join("\n")
            )
        };
        let node = |_| match options.proxied {
            true => Node::proxied(&program, options.password, "cluster-announce-port", lines),
            false => Node::server(&program, options.password, lines),
        };
        let cluster = Cluster {
            nodes: (0..2 * MASTERS).map(node).collect(),
            password: options.password.map(str::to_owned),
        };
        cluster.form();
        Some(cluster)
    }

    /// Makes one cluster of nodes that know nobody.
    fn form(&self) {
        for (place, (first, last)) in FIRST_SLOTS.iter().enumerate() {
            let master = &self.nodes[place];
            // Epochs that differ from the start need no negotiation.
            let epoch = (place + 1).to_string();
            master.run(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            master.run(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        // Each meets each: waiting for word of one another takes seconds.
        for (place, other) in self.nodes.iter().enumerate() {
            let (port, bus) = (other.port().to_string(), (other.port() + BUS).to_string());
            for node in &self.nodes[..place] {
                node.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        until("all nodes know each other", PATIENCE, || {
            let knows_all = |view: &[Seen]| {
                view.len() == self.nodes.len() && view.iter().all(|seen| seen.is_well)
            };
            self.nodes
                .iter()
                .all(|node| view_of(node).is_some_and(|view| knows_all(&view)))
        });
        for (place, master) in self.nodes[..MASTERS].iter().enumerate() {
            let id = id_of(master);
            self.nodes[MASTERS + place].run(&["CLUSTER", "REPLICATE", &id]);
        }
        self.settle();
    }

    /// A cluster that somebody else has started.
    pub(super) fn of_others(ports: &[u16]) -> Cluster {
        Cluster {
            nodes: ports.iter().map(|port| Node::of_others(*port)).collect(),
            password: None,
        }
    }

    /// The URL of the cluster, which names three of its nodes.
    pub fn url(&self) -> String {
        let user = self
            .password
            .as_ref()
            .map(|password| format!(":{password}@"));
        let hosts: Vec<_> = self.nodes[..MASTERS].iter().map(Node::address).collect();
        format!(
            "redis-cluster://{}{}",
            user.unwrap_or_default(),
            hosts.join(",")
        )
    }

    /// The nodes that are masters and own slots, as the nodes that run see it.
    ///
    /// # Panics
    ///
    /// If no node answers.
    pub fn masters(&self) -> Vec<usize> {
        let masters = self
            .view()
            .into_iter()
            .filter(|seen| !seen.slots.is_empty());
        let mut places: Vec<_> = masters
            .filter_map(|seen| self.place_of(seen.port))
            .collect();
        places.sort_unstable();
        places
    }

    /// The replicas of a master, as the nodes that run see it.
    ///
    /// # Panics
    ///
    /// If no node answers, or if it is not a node of the cluster.
    pub fn replicas(&self, master: usize) -> Vec<usize> {
        let view = self.view();
        let port = self.nodes[master].announced_port();
        let id = view
            .iter()
            .find(|seen| seen.port == port)
            .map(|seen| &seen.id);
        let of_it = view
            .iter()
            .filter(|seen| seen.master.is_some() && seen.master.as_ref() == id);
        of_it.filter_map(|seen| self.place_of(seen.port)).collect()
    }

    /// The master that a slot belongs to.
    ///
    /// # Panics
    ///
    /// If nobody owns it.
    pub fn owner(&self, slot: u16) -> usize {
        let owner = self.view().into_iter().find(|seen| seen.owns(slot));
        owner
            .and_then(|seen| self.place_of(seen.port))
            .unwrap_or_else(|| panic!("nobody owns the slot {slot}"))
    }

    /// Hands a master's slots over to its replica (`CLUSTER FAILOVER`), which loses no write, and
    /// answers the new master.
    ///
    /// # Panics
    ///
    /// If it has no replica, or does not lose its slots.
    pub fn failover(&self, master: usize) -> usize {
        let replica = self.replica(master);
        until("the replica is the master", PATIENCE, || {
            // A request that came to nothing, as one that met another vote, is made again.
            self.nodes[replica].try_ask(&["CLUSTER", "FAILOVER"]);
            holds_within(VOTE, || self.nodes[replica].is_master().then_some(())).is_some()
        });
        self.settle();
        replica
    }

    /// Kills a master and answers the replica that the others have elected for it. Writes that had not
    /// reached the replica are lost.
    ///
    /// # Panics
    ///
    /// If it has no replica, or none is elected.
    pub fn failover_by_killing(&mut self, master: usize) -> usize {
        let replica = self.replica(master);
        self.nodes[master].kill();
        until("another is elected", PATIENCE, || {
            self.nodes[replica].is_master()
        });
        self.settle();
        replica
    }

    fn replica(&self, master: usize) -> usize {
        let replicas = self.replicas(master);
        *{ replicas.iter() }
            .find(|replica| self.nodes[**replica].is_reachable())
            .unwrap_or_else(|| panic!("node {master} has no replica that runs"))
    }

    /// Restarts all nodes, one after the other, as one who operates a cluster does: a master hands its
    /// slots over first, and each node is back before the next goes. `between` is called before each.
    ///
    /// # Panics
    ///
    /// If a node does not come back.
    pub fn rolling_restart(&mut self, mut between: impl FnMut(&Cluster, usize)) {
        for place in 0..self.nodes.len() {
            between(self, place);
            if self.masters().contains(&place) {
                self.failover(place);
            }
            self.nodes[place].restart();
            self.settle();
        }
    }

    /// Waits until all nodes that run agree who has which slots, hold the cluster to be in order, and
    /// replicas have what their masters have.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn settle(&self) {
        until("the nodes of the cluster agree", PATIENCE, || {
            self.is_settled()
        });
    }

    /// Whether what [`Cluster::settle`] waits for is so now.
    pub fn is_settled(&self) -> bool {
        let running = || self.nodes.iter().filter(|node| node.is_reachable());
        let views: Option<Vec<_>> = running().map(|node| self.shape_seen_by(node)).collect();
        let Some(views) = views else { return false };
        views.windows(2).all(|pair| pair[0] == pair[1])
            && running().all(|node| node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
            && running().all(|node| self.follows(node))
    }

    /// Who has which slots, in the eyes of a node. Nothing if something is wrong in them, or a slot is on
    /// its way.
    fn shape_seen_by(&self, node: &Node) -> Option<Vec<Seen>> {
        let mut view = view_of(node)?;
        // One that does not run may be seen as well or as ill.
        view.retain(|seen| self.runs(seen.port));
        let slots: usize = view
            .iter()
            .flat_map(|seen| &seen.slots)
            .map(ExactSizeIterator::len)
            .sum();
        let is_whole = slots == SLOTS
            && view.len() == self.nodes.iter().filter(|node| node.is_reachable()).count();
        let is_well = view.iter().all(|seen| seen.is_well && !seen.is_migrating);
        view.sort_by_key(|seen| seen.port);
        (is_whole && is_well).then_some(view)
    }

    /// Whether a replica is connected to its master, and a master has the replicas that run.
    fn follows(&self, node: &Node) -> bool {
        let Some(place) = self.place_of(node.announced_port()) else {
            return false;
        };
        match node.role() {
            Some(Role::Master { .. }) => {
                let replicas = self.replicas(place);
                let running = replicas
                    .iter()
                    .filter(|place| self.nodes[**place].is_reachable());
                let online = node
                    .text(&["INFO", "replication"])
                    .matches("state=online")
                    .count();
                online >= running.count()
            }
            Some(Role::Replica { of, is_connected }) => is_connected && self.runs(of),
            None => false,
        }
    }

    /// Makes the nodes slow to give each other up, since many tests keep a machine busy.
    pub(super) fn be_patient(&self) {
        for node in &self.nodes {
            node.run(&["CONFIG", "SET", "cluster-node-timeout", "8000"]);
        }
    }

    /// How often a node has refused a command because its keys stand in several slots. A client that
    /// knows what it does is never refused so.
    pub fn crossslots(&self) -> u64 {
        let running = self.nodes.iter().filter(|node| node.is_reachable());
        running.map(refused_for_slots).sum()
    }

    /// Removes everything and gives up migrations. `None` if a node does not answer.
    pub(super) fn empty(&self) -> Option<()> {
        for node in &self.nodes {
            node.empty()?;
        }
        // Only a node itself tells of what is on its way from or to it.
        (0..self.nodes.len()).for_each(|place| self.stabilize(place));
        Some(())
    }

    /// What the first node that runs knows of all.
    pub(super) fn view(&self) -> Vec<Seen> {
        let running = self.nodes.iter().filter(|node| node.is_reachable());
        running
            .into_iter()
            .find_map(view_of)
            .expect("a node answers")
    }

    pub(super) fn place_of(&self, port: u16) -> Option<usize> {
        { self.nodes.iter() }.position(|node| node.announced_port() == port)
    }

    fn runs(&self, port: u16) -> bool {
        let place = self.place_of(port);
        place.is_some_and(|place| self.nodes[place].is_reachable())
    }
}

const CONFIGURATION: &str = "\
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 1000
cluster-announce-ip 127.0.0.1
cluster-allow-replica-migration no
cluster-replica-validity-factor 0
";

fn view_of(node: &Node) -> Option<Vec<Seen>> {
    let view = Seen::read_all(&node.text(&["CLUSTER", "NODES"]))?;
    (!view.is_empty()).then_some(view)
}

/// The id by which the nodes of a cluster know this one.
pub(super) fn id_of(node: &Node) -> String {
    text(node.run(&["CLUSTER", "MYID"]))
}

fn refused_for_slots(node: &Node) -> u64 {
    let info = text(node.run(&["INFO", "errorstats"]));
    let mut lines = info.lines();
    let count = lines.find_map(|line| {
        line.strip_prefix("errorstat_CROSSSLOT:count=")?
            .parse()
            .ok()
    });
    count.unwrap_or(0)
}
