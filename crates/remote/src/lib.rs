//! Redis and Valkey as a store: one server, a master that Sentinels know, a cluster.
//!
//! ```text
//! Remote ── Topology ── which node? the one; the one that Sentinels name; the owner of the slot
//!    │          └─ Hub ─────── one connection for all who listen to channels at a place
//!    └───── Node ────────────── a server as it is now
//!             ├─ Breaker ────── refuses calls at once while it is away
//!             ├─ Connection ─── shared by all callers: requests travel together, each gets its answer
//!             ├─ Pool ───────── connections for commands that wait, one at a time on each
//!             └─ Tracking ───── the connection of near reads, on which the server tells what has changed
//! ```
//!
//! The module `verdict` is the one judge of what an answer or its absence means: a command that certainly
//! was not executed is sent again, as is a read; a write that may have been is not, and its caller is
//! told so.

#![forbid(unsafe_code)]

mod remote;

mod address;
mod batch;
mod config;
mod dispatch;
mod events;
mod near;
mod node;
mod open_error;
mod probe;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod tries;
mod trip;
mod url;
mod verdict;
mod why_not;
mod wire;

pub use config::Config;
pub use open_error::OpenError;
pub use remote::Remote;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use url::without_password;
