//! Sockets around the engine: any Redis client can use it.
//!
//! [`Server::start`] listens on addresses and on a Unix socket. A worker for each core, with a
//! loop of its own, owns its connections from the first byte to the last, so a server that is
//! pinned to one core has one. A worker is one thread, and another one while a script runs for long
//! on the first. A connection is a straight line: read, find all requests that are there, run each
//! into the chunks of answers, write those.
//!
//! ```text
//! Server ── acceptor (a thread): accepts, gives connections to workers in turn, ends them
//!   ├────── worker (a thread at a time) ── Rounds: who has something to do has a turn
//!   │                                     └── Connection: a socket, and what a turn does
//!   │                                         └── Conversation: what was sent and answered, without I/O
//!   │                                                ├── Input: bytes, and the requests found in them
//!   │                                                └── Session, in the engine
//!   └────── Connections: who is connected, what they hold, and how to end them
//! ```

#![forbid(unsafe_code)]

mod server;

mod acceptor;
mod archive;
mod config;
mod connection;
mod connections;
mod conversation;
mod input;
mod listener;
mod readiness;
mod rounds;
mod shared;
mod socket;
mod sync;
mod threads;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod tls_config;
mod tls_kept;
mod users;
mod worker;

#[cfg(all(test, larder_model))]
mod models;

pub use archive::{NotLoaded, RdbFile};
pub use config::Config;
pub use larder_engine::{ClientsMemory, DebugAccess, Loaded, OutputLimit, OutputLimits};
pub use listener::ListenError;
pub use server::{Server, Sockets, StartError};
pub use tls_config::{AuthClients, TlsConfig, TlsError};
