//! Where the memory of the process comes from. A library leaves that to its program.
//!
//! This program holds millions of small values, and glibc's allocator charges each a header of eight
//! bytes and goes in steps of sixteen. In steps of eight (`.cargo/config.toml`), which is all that
//! entries need, a key of 16 bytes with a value of 32 takes 71 bytes, and 80 in steps of sixteen:
//! measured on 2026-11-26 by `cargo xtask bench servers`.
//!
//! mimalloc has functions of C that set what it does, so this is the program's one unsafe module.

#![allow(unsafe_code)]

use std::ffi::c_long;

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, which the bindings don't name.
const PURGE_DELAY: mi_option_t = 15;

/// How long freed memory waits to be used again before the system gets it back. mimalloc waits ten
/// milliseconds: what a list frees as it grows went back to the system then, and came again as pages
/// that had to be cleared, which took a quarter of the time of an LPUSH.
const PURGE_DELAY_MS: c_long = 1000;

/// Has freed memory kept for [`PURGE_DELAY_MS`], unless the environment says otherwise
/// (`MIMALLOC_PURGE_DELAY`).
pub(crate) fn keep_freed_memory() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    // SAFETY: it sets a number in a table of mimalloc, whose places are constants of its version 2, to
    // a value that it allows.
    unsafe { mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
}

/// Gives the system back what is free of the calling thread's memory.
pub(crate) fn purge() {
    // SAFETY: it may be called at any time, and touches no memory that is in use.
    unsafe { mi_collect(true) };
}
