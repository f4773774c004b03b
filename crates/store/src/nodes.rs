//! The servers of a store, as they are seen from here.

use serde::Serialize;

use crate::Part;

/// One server of a store, as it is seen from this process: nobody is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The node as a part of its store, by its address, so that it can be asked about itself with
    /// [`Command::on`](crate::Command::on): also a replica. A store inside the process has no address.
    pub part: Part,
    /// What it is among the others, as far as is known.
    pub role: Role,
    /// What its circuit breaker does.
    pub breaker: BreakerState,
    /// How many connections are open to it for commands.
    pub connections: usize,
    /// How many requests are under way on them.
    pub in_flight: usize,
}

/// What a server is among servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// It takes reads and writes.
    Master,
    /// It follows a master, and takes reads.
    Replica,
}

/// What a circuit breaker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused at once.
    Open,
    /// One call may try; the others are refused at once.
    HalfOpen,
}

impl NodeStatus {
    /// A node to which nothing is open, and of which nothing bad is known.
    pub fn new(part: Part, role: Role) -> NodeStatus {
        NodeStatus {
            part,
            role,
            breaker: BreakerState::Closed,
            connections: 0,
            in_flight: 0,
        }
    }
}
