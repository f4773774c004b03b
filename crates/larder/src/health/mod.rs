//! How a store is.

mod join;
mod report;

use std::time::{Duration, Instant};

use larder_store::{BreakerState, Command, Error, NodeStatus, Role, Store};
use serde::{Serialize, Serializer};

use self::join::join_all;
pub use self::report::{Link, Memory, Persistence, ReplicaHealth, Report};

/// How long [`health()`] takes at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// The least time that a question is given.
const TIME_MIN: Duration = Duration::from_millis(1);

/// How many slots a cluster has.
const SLOTS: u64 = 16384;

/// How a store is, as far as could be found out in time.
///
/// It is for a program's own `/healthz`: a process whose store is not [live](Health::live) is to be
/// started anew, and to one whose store is not [ready](Health::ready) no visitors are to be sent for now.
/// It serializes, with times in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether the process can go on with this store. It can while servers are away, since the store
    /// connects again by itself; it can't once the store was closed.
    pub live: bool,
    /// Whether the store takes reads and writes now: every master answers, is a master by its own word
    /// and has its data, and all slots of a cluster have an owner.
    pub ready: bool,
    /// Why it is not ready, a sentence each.
    pub problems: Vec<String>,
    /// How long the slowest master took to answer, if one did.
    #[serde(rename = "latency_us", serialize_with = "microseconds")]
    pub latency: Option<Duration>,
    /// The servers: one, or the master that Sentinels know with its replicas, or all masters of a cluster
    /// that own slots, with theirs.
    pub nodes: Vec<NodeHealth>,
}

/// How one server is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeHealth {
    /// Its address. A store inside the process has none.
    pub address: Option<String>,
    /// What it is among servers: by its own word, if it answered.
    pub role: Role,
    /// What its circuit breaker does.
    pub breaker: BreakerState,
    /// How many connections are open to it for commands.
    pub connections: usize,
    /// How many requests are under way on them.
    pub in_flight: usize,
    /// How long it took to answer, if it did.
    #[serde(rename = "latency_us", serialize_with = "microseconds")]
    pub latency: Option<Duration>,
    /// Why it said nothing of itself, if it did not: it did not answer, or its user may not ask for it.
    pub error: Option<String>,
    /// What it said of itself.
    pub report: Option<Report>,
}

impl Health {
    /// The servers that are masters.
    pub fn masters(&self) -> impl Iterator<Item = &NodeHealth> {
        self.nodes.iter().filter(|node| node.role == Role::Master)
    }
}

impl NodeHealth {
    /// Its address, or `the store` where there is none: for people.
    pub fn name(&self) -> &str {
        self.address.as_deref().unwrap_or("the store")
    }
}

/// Asks a store how it is: each of its servers at once, within a second.
///
/// It always has an answer. A store that is away is found to be so, and found to be back by a later
/// call, without anything having been done about it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = larder::open("memory:")?;
/// let health = larder::health(&store).await;
/// assert!(health.live && health.ready, "{:?}", health.problems);
/// # Ok(()) }
/// ```
pub async fn health(store: &Store) -> Health {
    health_within(store, PATIENCE).await
}

/// The same, within this time. What has not answered by then is taken to be away.
pub async fn health_within(store: &Store, time: Duration) -> Health {
    let begun = Instant::now();
    // Who is left no time at all would not even be asked.
    let left = || time.saturating_sub(begun.elapsed()).max(TIME_MIN);
    let mut problems = Vec::new();
    let mut seen = store.nodes();
    if seen.is_empty() {
        // The servers of a cluster, or behind Sentinels, are not known before the first call.
        let known = store.within(time).call(Command::new("PING")).await;
        seen = store.nodes();
        if let (Err(error), true) = (known, seen.is_empty()) {
            return Health::unknown(&error);
        }
    }
    let asking = store.within(left());
    let asked = seen.iter().map(|node| ask(&asking, node));
    let answers = join_all(asked).await;
    let live = !answers
        .iter()
        .any(|(_, error)| *error == Some(Error::Closed));
    let nodes: Vec<NodeHealth> = answers.into_iter().map(|(node, _)| node).collect();
    // A replica that is away is missed by nobody who has its master.
    let has_master = seen.iter().any(|node| node.role == Role::Master);
    for (node, seen) in nodes.iter().zip(&seen) {
        if seen.role == Role::Master || !has_master {
            problems.extend(problem(node));
        }
    }
    if let [node] = &nodes[..]
        && node.report.is_some()
        && node.role == Role::Replica
    {
        look_for_master(&store.within(left())).await;
    }
    if nodes.iter().any(NodeHealth::is_of_cluster) {
        problems.extend(missing_slots(&store.within(left())).await);
    }
    let of_masters = nodes.iter().filter(|node| node.role == Role::Master);
    Health {
        live,
        ready: problems.is_empty(),
        latency: of_masters.filter_map(|node| node.latency).max(),
        problems,
        nodes,
    }
}

impl Health {
    /// That of a store of which no server is known.
    fn unknown(error: &Error) -> Health {
        Health {
            live: *error != Error::Closed,
            ready: false,
            problems: vec![error.to_string()],
            latency: None,
            nodes: Vec::new(),
        }
    }
}

impl NodeHealth {
    fn is_of_cluster(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.is_cluster)
    }
}

/// Asks a server how it is. The error is that for which it told nothing.
async fn ask(store: &Store, node: &NodeStatus) -> (NodeHealth, Option<Error>) {
    let asked = Instant::now();
    let answer: Result<String, Error> = store.run(Command::new("INFO").on(&node.part)).await;
    // Who may not ask for it is served all the same.
    let is_forbidden = answer
        .as_ref()
        .is_err_and(|error| error.is_refusal("NOPERM"));
    let is_there = match (&answer, is_forbidden) {
        (Err(_), true) => store
            .call(Command::new("PING").on(&node.part))
            .await
            .is_ok(),
        (answer, _) => answer.is_ok(),
    };
    let latency = asked.elapsed();
    let mut health = NodeHealth {
        address: Some(node.part.as_str())
            .filter(|address| !address.is_empty())
            .map(str::to_owned),
        role: node.role,
        breaker: node.breaker,
        connections: node.connections,
        in_flight: node.in_flight,
        latency: is_there.then_some(latency),
        error: None,
        report: None,
    };
    match answer {
        Ok(info) => {
            let (report, role) = Report::read(&info);
            health.role = role;
            health.report = Some(report);
            (health, None)
        }
        Err(error) => {
            health.error = Some(error.to_string());
            (health, Some(error))
        }
    }
}

/// Why a server that is to be a master keeps its store from being ready.
fn problem(node: &NodeHealth) -> Option<String> {
    let name = node.name();
    let Some(report) = &node.report else {
        if node.latency.is_some() {
            return None;
        }
        let error = node.error.as_deref().unwrap_or("it does not answer");
        return Some(format!("{name}: {error}"));
    };
    if report.is_loading {
        return Some(format!(
            "{name} is loading its data, and refuses commands until it has"
        ));
    }
    (node.role == Role::Replica).then(|| format!("{name} is a replica, and takes no writes"))
}

/// Has a store whose only server became a replica look where its name leads now, as any refused write
/// does. An application that gets no visitors while it is not ready makes no other.
async fn look_for_master(store: &Store) {
    // Nobody has this key, so nothing happens where it is not refused.
    let refused = Command::new("DEL").arg("larder:health:nothing");
    // What comes of it the next look finds out.
    let _ = store.call(refused).await;
}

/// What a cluster says that keeps it from being ready.
async fn missing_slots(store: &Store) -> Option<String> {
    let info: String = match store.run(Command::new("CLUSTER").arg("INFO")).await {
        Ok(info) => info,
        Err(error) => return Some(format!("the cluster does not say how it is: {error}")),
    };
    let field = |name| report::field(&info, name);
    let served: u64 = field("cluster_slots_ok")?.parse().ok()?;
    if served < SLOTS {
        let missing = SLOTS - served;
        return Some(format!(
            "{missing} slots of the cluster are served by nobody"
        ));
    }
    (field("cluster_state")? != "ok").then(|| "the cluster says that it is down".to_owned())
}

fn microseconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
        .serialize(to)
}
