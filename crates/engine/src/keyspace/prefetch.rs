//! A hint to the processor: this cache line will be read soon.
//!
//! A server that holds a whole pipeline of commands asks for the lines of all their keys before it
//! runs the first, so that the cache misses overlap. Where the hint does not exist it does nothing.

#![allow(unsafe_code)]

/// What is asked for before a search in a table, in two steps, so that in each the waits of many
/// searches overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The bucket in which the search begins.
    Bucket,
    /// The entry that the bucket names, which has come by now.
    Entry,
}

/// Asks for the cache line at the beginning of `place`, and waits for nothing.
#[inline]
pub(crate) fn prefetch<T: ?Sized>(place: &T) {
    prefetch_at(std::ptr::from_ref(place).cast());
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn prefetch_at(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the
    // address; SSE, which has the instruction, is part of x86_64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn prefetch_at(_address: *const i8) {}
