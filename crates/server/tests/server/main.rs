//! What clients of the server see through its sockets.
//!
//! A file a subject. All of them are one program, for each program of tests is linked with the whole
//! server, its engine, and Lua.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod support;

mod garbage;
mod hostile;
mod scripts;
mod sockets;
#[cfg(feature = "tls")]
mod tls;
mod tracking;
mod users;
