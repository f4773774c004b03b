//! What the engine promises to those who call it.
//!
//! A file a subject. All of them are one program, for each program of tests is linked with the whole
//! engine and with Lua. What commands answer stands in `testdata/commands`; here is what takes several
//! callers, threads, a clock, or a look behind the answers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod support;

mod acl;
mod ahead;
mod alone;
mod blocking;
mod commands;
mod debug;
mod direct;
mod fields;
#[cfg(feature = "lua")]
mod functions;
mod garbage;
#[cfg(feature = "lua")]
mod holding;
mod near;
mod observe;
mod saving;
#[cfg(feature = "lua")]
mod script_attacks;
#[cfg(feature = "lua")]
mod scripts;
mod tracking;
