//! What threads synchronise with: the one place from which the engine takes its locks, and the atomics
//! and thread-locals by which its threads wait for each other or hand something over.
//!
//! In a model (`models/`) these are others, under which the model chooses who goes on, and what
//! is seen. What is only counted, shown or set once is none of them and comes from `std`.

#[cfg(not(all(test, larder_model)))]
mod real {
    #[cfg(feature = "lua")]
    pub(crate) use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering::SeqCst;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};
    pub(crate) use std::thread_local;

    pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};

    /// Declares a number that the process has once.
    macro_rules! process_wide {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $init:expr;) => {
            $(#[$meta])*
            static $name: $type = $init;
        };
    }

    pub(crate) use process_wide;

    /// A fence behind an exchange, or behind a lock that was let go, which is one.
    #[inline(always)]
    pub(crate) fn fence_behind_exchange() {
        // There each exchange is a fence already.
        match cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            true => std::sync::atomic::compiler_fence(SeqCst),
            false => fence(SeqCst),
        }
    }
}

#[cfg(all(test, larder_model))]
mod real {
    #[cfg(feature = "lua")]
    pub(crate) use larder_model::atomic::AtomicU8;
    pub(crate) use larder_model::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};
    pub(crate) use larder_model::{Mutex, MutexGuard, RwLock, process_wide, thread_local};

    pub(crate) fn fence_behind_exchange() {
        fence(std::sync::atomic::Ordering::SeqCst);
    }
}

pub(crate) use real::*;
