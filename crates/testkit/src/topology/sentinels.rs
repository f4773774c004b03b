//! Redis Sentinel.

use std::time::Duration;

use larder_resp::Frame;

use super::node::{Node, Role, text};
use crate::server::{ServerKind, find};
use crate::until::until;

/// How long Sentinels may take to agree. A failover takes two or three seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many of them there are, and how many servers.
const COUNT: usize = 3;

/// What a Sentinel does more often than it would, so that a test does not wait.
const HASTE: [(&str, &str); 6] = [
    ("INFO-PERIOD", "200"),
    ("PUBLISH-PERIOD", "200"),
    ("PING-PERIOD", "200"),
    ("ASK-PERIOD", "200"),
    ("TILT-PERIOD", "500"),
    ("MIN-LINK-RECONNECT-PERIOD", "500"),
];

/// A master, two replicas, and three Sentinels that watch them, on free ports of 127.0.0.1. They end
/// when this is dropped.
///
/// A server is named by its place in `nodes`. Which is the master changes: ask [`Sentinels::master`]. A
/// server that does not answer for half a second is held to be down, by two Sentinels of three.
#[derive(Debug)]
pub struct Sentinels {
    /// The servers.
    pub nodes: Vec<Node>,
    /// Those who watch them.
    pub sentinels: Vec<Node>,
    password: Option<String>,
}

/// What servers and Sentinels are started with beside what they need.
#[derive(Clone, Debug, Default)]
pub struct SentinelOptions<'a> {
    /// The password of all servers.
    pub password: Option<&'a str>,
    /// The password of all Sentinels.
    pub sentinel_password: Option<&'a str>,
    /// Whether all who speak to a server come by a proxy before it: clients, Sentinels, and replicas. A
    /// server whose proxy is a black hole is cut off, and does not know.
    pub proxied: bool,
    /// Further lines of each server's configuration.
    pub lines: &'a [&'a str],
}

impl Sentinels {
    /// The name under which the master is watched.
    pub const NAME: &'static str = "larder";

    /// Starts servers and Sentinels. `None` if this machine has no such server, and is allowed not to.
    ///
    /// # Panics
    ///
    /// If they do not find each other, or if there is no server and `LARDER_TEST_REQUIRE=all`.
    pub fn start(kind: ServerKind) -> Option<Sentinels> {
        Sentinels::start_with(kind, &SentinelOptions::default())
    }

    /// Starts servers and Sentinels with these options.
    ///
    /// # Panics
    ///
    /// As [`Sentinels::start`].
    pub fn start_with(kind: ServerKind, options: &SentinelOptions<'_>) -> Option<Sentinels> {
        let program = find(kind)?;
        let lines = options.lines.join("\n");
        let server = |lines: &str| match options.proxied {
            true => {
                let announce = "replica-announce-port";
                Node::proxied(&program, options.password, announce, |_| lines.to_owned())
            }
            false => Node::server(&program, options.password, |_| lines.to_owned()),
        };
        let master = server(&lines);
        let port = master.announced_port();
        let of_master = format!("replicaof 127.0.0.1 {port}\n{lines}");
        let replicas: Vec<_> = (1..COUNT).map(|_| server(&of_master)).collect();
        let told = HASTE.map(|(period, ms)| vec!["SENTINEL", "DEBUG", period, ms]);
        let watching = configuration(port, options);
        let sentinel = |_| {
            Node::sentinel(
                &program,
                options.sentinel_password,
                told.to_vec(),
                &watching,
            )
        };
        let sentinels = Sentinels {
            sentinels: (0..COUNT).map(sentinel).collect(),
            nodes: std::iter::once(master).chain(replicas).collect(),
            password: options.password.map(str::to_owned),
        };
        sentinels.settle();
        Some(sentinels)
    }

    /// Servers and Sentinels that somebody else has started.
    pub(super) fn of_others(nodes: &[u16], sentinels: &[u16]) -> Sentinels {
        let of = |ports: &[u16]| ports.iter().map(|port| Node::of_others(*port)).collect();
        Sentinels {
            nodes: of(nodes),
            sentinels: of(sentinels),
            password: None,
        }
    }

    /// The URL of the master as the Sentinels know it, with the servers' password if they have one. The
    /// password of the Sentinels does not stand in it.
    pub fn url(&self) -> String {
        let user = self
            .password
            .as_ref()
            .map(|password| format!(":{password}@"));
        let hosts: Vec<_> = self.sentinels.iter().map(Node::address).collect();
        let (user, hosts) = (user.unwrap_or_default(), hosts.join(","));
        format!("redis-sentinel://{user}{hosts}/{}", Sentinels::NAME)
    }

    /// The server that is the master, as the first Sentinel that runs says.
    ///
    /// # Panics
    ///
    /// If no Sentinel answers.
    pub fn master(&self) -> usize {
        let mut running = self
            .sentinels
            .iter()
            .filter(|sentinel| sentinel.is_reachable());
        let master = running.find_map(|sentinel| self.master_said_by(sentinel));
        master.expect("a Sentinel that runs knows the master")
    }

    fn master_said_by(&self, sentinel: &Node) -> Option<usize> {
        let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Sentinels::NAME];
        let Some(Frame::Array(address)) = sentinel.try_ask(&asked) else {
            return None;
        };
        let port: u16 = text(address.get(1)?.clone()).parse().ok()?;
        { self.nodes.iter() }.position(|node| node.announced_port() == port)
    }

    /// The servers that are not the master.
    ///
    /// # Panics
    ///
    /// If no Sentinel answers.
    pub fn replicas(&self) -> Vec<usize> {
        let master = self.master();
        (0..self.nodes.len())
            .filter(|place| *place != master)
            .collect()
    }

    /// Makes a replica the master (`SENTINEL FAILOVER`), waits until all follow it, and answers which.
    /// Writes that had not reached it are lost.
    ///
    /// # Panics
    ///
    /// If no other becomes the master.
    pub fn failover(&self) -> usize {
        let old = self.master();
        until("another is the master", PATIENCE, || {
            // What is refused, since the last one is not over yet, is asked for again.
            let sentinel = self
                .sentinels
                .iter()
                .find(|sentinel| sentinel.is_reachable());
            let sentinel = sentinel.expect("a Sentinel runs");
            sentinel.try_ask(&["SENTINEL", "FAILOVER", Sentinels::NAME]);
            self.master_said_by(sentinel)
                .is_some_and(|master| master != old)
        });
        self.settle();
        self.master()
    }

    /// Kills the master and answers the replica that the Sentinels have made the master. Writes that had
    /// not reached it are lost.
    ///
    /// # Panics
    ///
    /// If none becomes the master.
    pub fn failover_by_killing(&mut self) -> usize {
        let old = self.master();
        self.nodes[old].kill();
        self.until_master_is_not(old)
    }

    /// Waits until the Sentinels have made another server the master than this, and answers which.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn until_master_is_not(&self, old: usize) -> usize {
        until("another is the master", PATIENCE, || self.master() != old);
        self.settle();
        self.master()
    }

    /// Waits until all Sentinels that run name the same master, know of each other, and hold it to be up,
    /// and until all servers that run follow it.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn settle(&self) {
        until("the Sentinels agree", PATIENCE, || self.is_settled());
    }

    /// Whether what [`Sentinels::settle`] waits for is so now.
    pub fn is_settled(&self) -> bool {
        let running: Vec<_> = self
            .sentinels
            .iter()
            .filter(|it| it.is_reachable())
            .collect();
        let Some(master) = running
            .first()
            .and_then(|sentinel| self.master_said_by(sentinel))
        else {
            return false;
        };
        let agrees = |sentinel: &&Node| self.master_said_by(sentinel) == Some(master);
        let replicas = { self.nodes.iter() }
            .filter(|node| node.is_reachable() && node.port() != self.nodes[master].port());
        self.nodes[master].is_reachable()
            && running.iter().all(agrees)
            && running.iter().all(|sentinel| self.is_content(sentinel))
            && self.nodes[master].is_master()
            && replicas.into_iter().all(|node| self.follows(node, master))
    }

    /// Whether a Sentinel knows all others and all servers, and finds nothing wrong with the master.
    fn is_content(&self, sentinel: &Node) -> bool {
        let Some(Frame::Array(fields)) = sentinel.try_ask(&["SENTINEL", "MASTER", Sentinels::NAME])
        else {
            return false;
        };
        let words: Vec<_> = fields.into_iter().map(text).collect();
        let field = |name: &str| {
            let pair = words.chunks_exact(2).find(|pair| pair[0] == name);
            pair.map(|pair| pair[1].as_str())
        };
        let others = (COUNT - 1).to_string();
        field("flags") == Some("master")
            && field("num-slaves") == Some(&others)
            && field("num-other-sentinels") == Some(&others)
    }

    fn follows(&self, replica: &Node, master: usize) -> bool {
        let wanted = Role::Replica {
            of: self.nodes[master].announced_port(),
            is_connected: true,
        };
        replica.role() == Some(wanted)
    }

    /// Makes the Sentinels slow to hold a server to be down: it may be silent for eight seconds. For where
    /// none is to fail, on a machine that many tests keep busy.
    ///
    /// # Panics
    ///
    /// If a Sentinel does not run.
    pub fn be_patient(&self) {
        for sentinel in &self.sentinels {
            sentinel.run(&[
                "SENTINEL",
                "SET",
                Sentinels::NAME,
                "down-after-milliseconds",
                "8000",
            ]);
        }
    }

    /// Removes everything. `None` if a server does not answer.
    pub(super) fn empty(&self) -> Option<()> {
        self.nodes.iter().try_for_each(Node::empty)
    }
}

fn configuration(master: u16, options: &SentinelOptions<'_>) -> String {
    let name = Sentinels::NAME;
    let mut lines = format!(
        "\
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 2000
sentinel parallel-syncs {name} 2
"
    );
    if let Some(password) = options.password {
        lines += &format!("sentinel auth-pass {name} {password}\n");
    }
    if let Some(password) = options.sentinel_password {
        lines += &format!("sentinel sentinel-pass {password}\n");
    }
    lines
}
