//! Sockets around the engine: any Redis client can use it.
//!
//! [`Server::start`] listens on addresses and on a Unix socket. A thread for each core, with a
//! runtime of its own, owns its connections from the first byte to the last, so a server that is
//! pinned to one core has one. A connection is a straight line: read, find all requests that are
//! there, run each into one buffer of answers, write that buffer.
//!
//! ```text
//! Server ── worker (a thread each) ── Connection ── Input: bytes, and the requests found in them
//!   │                                       └─── Session, in the engine
//!   ├────── front (a thread): accepts, and hands over in turn
//!   └────── Connections: who is connected, and how to end it
//! ```

#![forbid(unsafe_code)]

mod server;

mod config;
mod connection;
mod connections;
mod input;
mod listener;
mod worker;

pub use config::Config;
pub use listener::ListenError;
pub use server::{Server, StartError};
