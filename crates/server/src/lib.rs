//! Sockets around the engine: any Redis client, in any language, can use it.
//!
//! ```text
//! listener ── hands each connection to one of the threads, in turn
//! thread ──── an event loop that owns its connections
//! connection  read → decode → Engine::execute → write, all on one thread
//! ```
//!
//! There is a thread for each core, so a server that is pinned to one core has one.

#![forbid(unsafe_code)]

mod server;

mod connection;
mod listener;

pub use server::{Config, Error, Server};
