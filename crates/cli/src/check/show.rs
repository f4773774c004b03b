//! What was found, for people.

use std::fmt;
use std::time::Duration;

use larder::{Report, Role};

use super::found::{Found, Node, Status, Topology};

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        if let Some(error) = &self.error {
            return writeln!(f, "no answer: {error}");
        }
        writeln!(f, "  {}", self.topology_in_words())?;
        if !self.capabilities.is_empty() {
            writeln!(f, "  can also: {}", self.capabilities.join(", "))?;
        }
        for node in &self.nodes {
            writeln!(f)?;
            show_node(f, node)?;
        }
        writeln!(f)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        if self.status == Status::Ok {
            writeln!(f, "all is well")?;
        }
        Ok(())
    }
}

impl Found {
    fn topology_in_words(&self) -> String {
        let count = |role| {
            let nodes = self.nodes.iter();
            nodes.filter(|node| node.health.role == role).count()
        };
        let (masters, replicas) = (count(Role::Master), count(Role::Replica));
        match self.topology {
            Topology::Memory => "an engine inside the process".to_owned(),
            Topology::Single => "one server".to_owned(),
            Topology::Sentinel => {
                format!("a master that Sentinels know: masters {masters}, replicas {replicas}")
            }
            Topology::Cluster => format!("a cluster: masters {masters}, replicas {replicas}"),
        }
    }
}

fn show_node(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    let health = &node.health;
    let role = match health.role {
        Role::Replica => "replica",
        _ => "master",
    };
    writeln!(f, "{}  {role}", health.name())?;
    let Some(report) = &health.report else {
        let error = health.error.as_deref().unwrap_or_default();
        return writeln!(f, "  no answer: {error}");
    };
    writeln!(f, "  version    {} {}", report.server, report.version)?;
    if let Some(latency) = health.latency {
        writeln!(f, "  latency    {:.2} ms", ms(latency))?;
    }
    if let Some(skew) = node.clock_skew_us {
        writeln!(f, "  clock      {:+.1} ms from ours", skew as f64 / 1e3)?;
    }
    writeln!(f, "  memory     {}", memory(report))?;
    writeln!(f, "  disk       {}", disk(node, report))?;
    for replica in &report.replicas {
        let (address, lag) = (&replica.address, replica.lag_bytes);
        writeln!(f, "  replica    {address}, {lag} bytes behind")?;
    }
    if let Some(link) = &report.link {
        let state = if link.is_up { "connected" } else { "lost" };
        writeln!(f, "  follows    {}, {state}", link.master)?;
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn memory(report: &Report) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
    let used = mib(report.memory.used_bytes);
    let policy = &report.eviction_policy;
    match report.memory.max_bytes {
        Some(max) => format!("{used} of {}, {policy}", mib(max)),
        None => format!("{used}, no limit, {policy}"),
    }
}

fn disk(node: &Node, report: &Report) -> &'static str {
    let has_snapshots = node.settings.save.as_deref().map(|save| !save.is_empty());
    match (report.persistence.is_append_only, has_snapshots) {
        (true, Some(true)) => "append-only file and snapshots",
        (true, _) => "append-only file",
        (false, Some(true)) => "snapshots",
        (false, Some(false)) => "nothing is kept",
        (false, None) => "no append-only file; whether there are snapshots it does not tell",
    }
}
