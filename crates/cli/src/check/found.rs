//! What was found out about a store.

use larder::NodeHealth;
use serde::Serialize;

/// What was found out about a store.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// The URL, without its password.
    pub(super) url: String,
    pub(super) status: Status,
    /// Why the store does not answer, if it does not.
    pub(super) error: Option<String>,
    pub(super) topology: Topology,
    pub(super) capabilities: Vec<String>,
    pub(super) nodes: Vec<Node>,
    /// What does not fit, a sentence each.
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warnings,
    Unreachable,
}

/// What kind of store a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Topology {
    /// An engine inside the process.
    Memory,
    /// One server.
    Single,
    /// A master that Sentinels know.
    Sentinel,
    Cluster,
}

/// A server.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    #[serde(flatten)]
    pub(super) health: NodeHealth,
    /// How far its clock is ahead of ours, in microseconds, if it said so.
    pub(super) clock_skew_us: Option<i64>,
    pub(super) settings: Settings,
}

/// What a server is configured to do. A setting that it does not tell is missing.
#[derive(Debug, Default, Serialize)]
pub(super) struct Settings {
    /// When it writes snapshots: `save`.
    pub(super) save: Option<String>,
    /// The addresses that it listens on: `bind`.
    pub(super) bind: Option<String>,
    /// Whether it turns strangers away as long as there is no password: `protected-mode`.
    pub(super) protected_mode: Option<String>,
}

impl Topology {
    pub(super) fn of(url: &str) -> Topology {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "memory" => Topology::Memory,
            scheme if scheme.ends_with("-sentinel") => Topology::Sentinel,
            scheme if scheme.ends_with("-cluster") => Topology::Cluster,
            _ => Topology::Single,
        }
    }
}

impl Found {
    /// That a store does not answer.
    pub(super) fn unreachable(url: &str, reason: String) -> Found {
        Found {
            url: larder::without_password(url),
            status: Status::Unreachable,
            error: Some(reason),
            topology: Topology::of(url),
            capabilities: Vec::new(),
            nodes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// That a store answers, and how it is.
    pub(super) fn new(
        url: &str,
        capabilities: Vec<String>,
        nodes: Vec<Node>,
        warnings: Vec<String>,
    ) -> Found {
        Found {
            url: larder::without_password(url),
            status: match warnings.is_empty() {
                true => Status::Ok,
                false => Status::Warnings,
            },
            error: None,
            topology: Topology::of(url),
            capabilities,
            nodes,
            warnings,
        }
    }
}
