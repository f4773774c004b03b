//! What the threads of a server synchronise with: the one place from which it has its locks, and the
//! atomics and the waker by which they wait for each other.
//!
//! In a model (`models/`) these are others, under which the model chooses who goes on, and what
//! is seen.

#[cfg(not(all(test, larder_model)))]
mod real {
    pub(crate) use std::sync::atomic::AtomicBool;

    pub(crate) use mio::Waker;
    #[cfg(feature = "tls")]
    pub(crate) use parking_lot::RwLock;
    pub(crate) use parking_lot::{Condvar, Mutex};
}

#[cfg(all(test, larder_model))]
mod real {
    #[cfg(feature = "tls")]
    pub(crate) use larder_model::RwLock;
    pub(crate) use larder_model::atomic::AtomicBool;
    pub(crate) use larder_model::{Condvar, Mutex, SystemWaker as Waker};
}

pub(crate) use real::*;
