//! What of a store does not fit.

use std::net::IpAddr;
use std::time::Duration;

use larder::{Link, ReplicaHealth, Report, Role};

use super::found::{Node, Topology};

/// How far a server's clock may be from ours. Deadlines and tokens are judged by the server's alone, but
/// people compare logs.
const SKEW_MAX_US: u64 = 1_000_000;

/// How long a replica may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How far a replica may be behind.
const LAG_MAX_BYTES: u64 = 1024 * 1024;

/// What of a store does not fit, a sentence each.
pub(super) fn on(topology: Topology, nodes: &[Node], has_password: bool) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(on_topology(topology, nodes));
    for node in nodes {
        let Some(report) = &node.health.report else {
            all.extend(on_silence(node));
            continue;
        };
        all.extend(on_clock(node));
        if topology == Topology::Memory {
            // It ends with its process, and whoever opens it knows.
            all.extend(on_eviction(node, report));
            continue;
        }
        if node.health.role == Role::Master {
            all.extend(on_eviction(node, report));
            all.extend(on_memory(node, report));
            all.extend(report.replicas.iter().filter_map(on_replica));
        }
        all.extend(on_disk(node, report));
        all.extend(report.link.as_ref().and_then(|link| on_link(node, link)));
        all.extend(on_strangers(node, has_password));
    }
    all.extend(on_versions(nodes));
    all
}

/// A store of which a part has nobody who could take its place.
fn on_topology(topology: Topology, nodes: &[Node]) -> Vec<String> {
    let masters = nodes.iter().filter(|node| node.health.role == Role::Master);
    let alone = |node: &&Node| {
        let report = node.health.report.as_ref();
        report.is_some_and(|report| report.replicas.is_empty())
    };
    match topology {
        Topology::Memory => Vec::new(),
        Topology::Single => vec![
            "this is one server, and nobody takes its place when it ends: Sentinels or a cluster would \
             (redis-sentinel://, redis-cluster://)"
                .to_owned(),
        ],
        Topology::Sentinel | Topology::Cluster => masters
            .filter(alone)
            .map(|node| {
                let name = node.health.name();
                format!("{name} has no replica: when it ends, nobody takes its place")
            })
            .collect(),
    }
}

/// A replica that does not answer. Of a master that is said elsewhere: the store is not ready.
fn on_silence(node: &Node) -> Option<String> {
    let error = node.health.error.as_deref().unwrap_or("nobody knows why");
    let name = node.health.name();
    (node.health.role == Role::Replica)
        .then(|| format!("{name}, a replica, gives no answer: {error}"))
}

fn on_clock(node: &Node) -> Option<String> {
    let skew = node.clock_skew_us?;
    if skew.unsigned_abs() <= SKEW_MAX_US {
        return None;
    }
    let seconds = skew.unsigned_abs() as f64 / 1e6;
    let side = if skew > 0 { "ahead of" } else { "behind" };
    let name = node.health.name();
    Some(format!(
        "the clock of {name} is {seconds:.1} s {side} ours: one of them needs NTP"
    ))
}

/// A policy that evicts matters where there is a limit.
fn on_eviction(node: &Node, report: &Report) -> Option<String> {
    report.memory.max_bytes?;
    let policy = &report.eviction_policy;
    let name = node.health.name();
    let evicts = !policy.is_empty() && policy != "noeviction";
    evicts.then(|| {
        format!(
            "{name} evicts keys when its memory is full ({policy}): locks that are held, jobs that wait \
             and sessions may go; give them a store with noeviction, and the cache one of its own"
        )
    })
}

fn on_memory(node: &Node, report: &Report) -> Option<String> {
    let max = report.memory.max_bytes?;
    let is_full = report.memory.used_bytes >= max / 10 * 9;
    let name = node.health.name();
    (is_full && report.eviction_policy == "noeviction").then(|| {
        format!(
            "the memory of {name} is nearly full: writes will be refused (OOM); raise maxmemory"
        )
    })
}

fn on_replica(replica: &ReplicaHealth) -> Option<String> {
    let address = &replica.address;
    if !replica.is_online {
        return Some(format!(
            "{address}, a replica, does not follow yet: it takes over all data"
        ));
    }
    let is_silent = replica.silence.is_some_and(|silence| silence > SILENCE_MAX);
    let lag = replica.lag_bytes;
    (is_silent || lag > LAG_MAX_BYTES).then(|| {
        format!("{address}, a replica, is {lag} bytes behind: if it is promoted now, they are lost")
    })
}

fn on_link(node: &Node, link: &Link) -> Option<String> {
    let (name, master) = (node.health.name(), &link.master);
    (!link.is_up).then(|| {
        format!("{name}, a replica, has lost its master {master}: what it answers grows old")
    })
}

/// A server that keeps nothing, or can't.
fn on_disk(node: &Node, report: &Report) -> Option<String> {
    let name = node.health.name();
    if report.persistence.is_failing {
        return Some(format!(
            "{name} could not write to its disk last: it may refuse writes (MISCONF), and loses them when \
             it ends"
        ));
    }
    let has_snapshots = node.settings.save.as_deref() != Some("");
    (!report.persistence.is_append_only && !has_snapshots).then(|| {
        format!(
            "{name} keeps nothing on disk: when it ends, all is gone; set appendonly yes, or save"
        )
    })
}

/// A server that lets everybody in.
fn on_strangers(node: &Node, has_password: bool) -> Option<String> {
    if has_password {
        return None;
    }
    let name = node.health.name();
    let is_far = node.health.address.as_deref().is_some_and(is_far);
    let is_bound_wide = node.settings.bind.as_deref().is_some_and(|bind| {
        let mut places = bind.split_whitespace();
        places.any(|place| !is_loopback(place.trim_start_matches('-')))
    });
    let is_unprotected = node.settings.protected_mode.as_deref() == Some("no");
    let wide = || format!("{name} wants no password, and is open to everybody who can reach it");
    if is_far {
        return Some(format!("{}: set requirepass", wide()));
    }
    (is_bound_wide && is_unprotected)
        .then(|| format!("{}: set requirepass, or protected-mode yes", wide()))
}

/// Whether an address is one of another machine, or reached by a network. A path is none.
fn is_far(address: &str) -> bool {
    let Some((host, _)) = address.rsplit_once(':') else {
        return false;
    };
    !address.starts_with('/') && !is_loopback(host.trim_matches(['[', ']']))
}

/// Whether this names the machine itself alone. A name other than `localhost` may be anybody's.
fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

fn on_versions(nodes: &[Node]) -> Option<String> {
    let reports = nodes.iter().filter_map(|node| node.health.report.as_ref());
    let mut versions: Vec<String> = reports
        .map(|report| format!("{} {}", report.server, report.version))
        .collect();
    versions.sort();
    versions.dedup();
    (versions.len() > 1).then(|| {
        let versions = versions.join(", ");
        format!("the servers have different versions ({versions}): what one can, another may not")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_far_if_it_is_not_this_one_for_sure() {
        for near in [
            "127.0.0.1:6379",
            "[::1]:6379",
            "localhost:1",
            "/run/redis.sock",
            "/run/a:1",
        ] {
            assert!(!is_far(near), "{near}");
        }
        for far in [
            "10.0.0.1:6379",
            "[fd00::2]:6379",
            "cache.internal:6379",
            "0.0.0.0:1",
        ] {
            assert!(is_far(far), "{far}");
        }
    }
}
