//! A Redis or Valkey server as a store.
//!
//! ```text
//! Remote ── Link ────── one connection that all callers share; requests of many callers travel
//!       │               together, and each gets its own answer
//!       ├─ Blocking ─── connections for commands that wait, one at a time on each
//!       └─ Events ───── a connection for each subscription
//! ```
//!
//! The protocol is that of the `redis` crate, in RESP3, so answers have the shapes of RESP3. What
//! this crate adds is what happens when the server is away: connections are made again, with
//! growing pauses; a command that certainly was not executed is sent again; one that may have been
//! is not, and its caller is told so.

#![forbid(unsafe_code)]

mod remote;

mod blocking;
mod config;
mod convert;
mod failure;
mod link;
mod open_error;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod tries;

pub use config::{Config, Topology, without_password};
pub use open_error::OpenError;
pub use remote::Remote;
#[cfg(feature = "tls")]
pub use tls::Tls;
