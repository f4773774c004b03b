//! Servers that belong together: a [`Cluster`], and a master watched by [`Sentinels`].
//!
//! - `conversation` asks a server in raw RESP, past everything that is to be tested;
//! - `node` is one server of a topology;
//! - `cluster`, `view` and `migration` are Redis Cluster;
//! - `sentinels` is Redis Sentinel;
//! - `lease` lends topologies that many tests use one after the other, and `settings` is what each of
//!   their servers has to be set to then.
//!
//! All functions block the thread until what they bring about is so, or fail the test. In an
//! asynchronous test they belong on a runtime of several threads.

mod cluster;
mod conversation;
mod lease;
mod migration;
mod node;
mod sentinels;
mod settings;
mod view;

pub use cluster::{Cluster, ClusterOptions};
pub use conversation::Conversation;
pub(crate) use lease::Hold;
pub use lease::{Lease, Lent, Shelf, lend};
pub use migration::Migration;
pub use node::Node;
pub use sentinels::{SentinelOptions, Sentinels};
