//! Locks, atomics and threads as models have them: those of `loom`, in the shapes of `parking_lot` and
//! `std`.
//!
//! A model is a small program of a few threads, run under every order in which their steps can come
//! about, up to a bound, and with every value that a weakly ordered processor may show them. What it
//! runs is the code of the product: a crate takes all that threads synchronise with from its module
//! `sync`, which hands on the real things, or in the tests of a build with `--cfg larder_model` these.
//! `cargo xtask models` makes that build. In every other build this crate is empty.

#[cfg(larder_model)]
mod explore;
#[cfg(larder_model)]
mod local;
#[cfg(larder_model)]
mod lock;
#[cfg(larder_model)]
mod task;

#[cfg(larder_model)]
#[doc(hidden)]
pub use loom;
#[cfg(larder_model)]
pub use loom::cell::Cell;
#[cfg(larder_model)]
pub use loom::sync::atomic;

#[cfg(larder_model)]
pub use explore::{Model, Patience, quietly, spawn};
#[cfg(larder_model)]
pub use local::{Current, LocalKey, ProcessWide};
#[cfg(larder_model)]
pub use lock::{Condvar, Mutex, MutexGuard, RwLock, Waited};
#[cfg(larder_model)]
pub use task::{Signal, SystemWaker, block_on};
