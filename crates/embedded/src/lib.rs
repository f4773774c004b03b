//! The engine with a home: a clock, a background thread, and the store's seam.
//!
//! [`Embedded`] is a store inside the process: commands run on their callers' threads, and a
//! thread of its own lets time pass (keys expire, waits end). It is a [`Backend`], so every
//! pattern runs on it.
//!
//! [`Backend`]: larder_store::Backend

#![forbid(unsafe_code)]

mod backend;
mod clock;
mod disposal;
mod embedded;
mod listen;
mod memory;
mod near;
mod sources;
mod timers;
mod until;

pub use clock::{Clock, ManualClock};
pub use embedded::{Config, Embedded};
pub use larder_engine::{EvictionPolicy, UnknownPolicy};
pub use memory::{MaxMemory, NoMemory};
