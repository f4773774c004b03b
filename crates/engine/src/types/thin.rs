//! Thin: bytes in an allocation of their own, behind a pointer of eight bytes.
//!
//! ```text
//!   0       4
//!   +-------+---------+------+
//!   | total | content | room |      total: of itself and the content, lowest byte first
//!   +-------+---------+------+
//! ```
//!
//! A boxed slice has its length beside its pointer, and a vector its capacity as well. In a table of
//! members those bytes are a third of all. Here the length is in the allocation, in front of the
//! content, and the size of the allocation follows from it: so a listpack, which begins with its
//! length anyway, has nothing added.
//!
//! The unsafe code is sound because the total is written here only, together with the allocation.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::keyspace::prefetch::prefetch;
use crate::types::listpack::{LEN_BYTES, Room};

/// Bytes, owned. See the module's documentation.
pub(crate) struct Thin(NonNull<u8>);

/// What an empty one points to: a total of 0. It is never written.
static NOTHING: [u8; LEN_BYTES] = [0; LEN_BYTES];

impl Thin {
    /// These parts, one behind the other.
    pub(crate) fn new(parts: &[&[u8]]) -> Thin {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut thin = Thin::default();
        thin.open(0..0, LEN_BYTES + len);
        let mut rest = thin.tail_mut();
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        thin
    }

    /// The bytes behind the total.
    #[inline]
    pub(crate) fn content(&self) -> &[u8] {
        self.bytes().get(LEN_BYTES..).unwrap_or_default()
    }

    /// Asks the processor for the first bytes.
    #[inline]
    pub(crate) fn prefetch(&self) {
        // SAFETY: it points to the total at least.
        prefetch(unsafe { self.0.as_ref() });
    }

    /// How many bytes are allocated.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        allocated(self.total())
    }

    /// The number in front, which is 0 if there is no allocation.
    #[inline]
    fn total(&self) -> usize {
        // SAFETY: the pointer is to an allocation that begins with its total, or to `NOTHING`.
        u32::from_le_bytes(unsafe { self.0.cast().read() }) as usize
    }

    /// Allocates for another total, which the caller writes.
    fn resize(&mut self, old: usize, new: usize) {
        let (old, new) = (layout(old), layout(new));
        if old.size() == new.size() {
            return;
        }
        // SAFETY: neither size is 0 where it is used for an allocation, and the old layout is the
        // one that the pointer was allocated with, since it follows from the total.
        let place = unsafe {
            match old.size() {
                0 => alloc(new),
                _ => realloc(self.0.as_ptr(), old, new.size()),
            }
        };
        self.0 = NonNull::new(place).unwrap_or_else(|| handle_alloc_error(new));
    }
}

impl Room for Thin {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes have been written, the total among them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.total()) }
    }

    #[inline]
    fn tail_mut(&mut self) -> &mut [u8] {
        let Some(len) = self.total().checked_sub(LEN_BYTES) else {
            return &mut [];
        };
        // SAFETY: so many bytes have been written behind the total, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(LEN_BYTES), len) }
    }

    fn open(&mut self, range: Range<usize>, len: usize) {
        let old = self.total();
        let first = if old == 0 { 0 } else { LEN_BYTES };
        assert!(first <= range.start && range.start <= range.end && range.end <= old);
        let new = old - range.len() + len;
        assert!(new >= LEN_BYTES, "the total is part of it");
        let total = u32::try_from(new).expect("nothing longer is held in one piece");
        if new > old {
            self.resize(old, new);
        }
        // SAFETY: the allocation has room for both totals here: it is resized before if it grows,
        // and afterwards if it shrinks. What is added at the end is written before it is moved or
        // seen. The moved part ends at the old total, and goes to where it ends at the new one.
        unsafe {
            let place = self.0.as_ptr();
            if let Some(added) = new.checked_sub(old) {
                ptr::write_bytes(place.add(old), 0, added);
            }
            let (from, to) = (place.add(range.end), place.add(range.start + len));
            ptr::copy(from, to, old - range.end);
            place.cast::<[u8; LEN_BYTES]>().write(total.to_le_bytes());
        }
        if new < old {
            self.resize(old, new);
        }
    }
}

impl Default for Thin {
    /// Nothing, without an allocation.
    fn default() -> Thin {
        Thin(NonNull::from(&NOTHING).cast())
    }
}

impl Clone for Thin {
    fn clone(&self) -> Thin {
        match self.total() {
            0 => Thin::default(),
            _ => Thin::new(&[self.content()]),
        }
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        let layout = layout(self.total());
        if layout.size() > 0 {
            // SAFETY: allocated with this layout, which follows from the total.
            unsafe { dealloc(self.0.as_ptr(), layout) };
        }
    }
}

// SAFETY: it owns plain bytes, which change only where it is borrowed alone.
unsafe impl Send for Thin {}
// SAFETY: as above.
unsafe impl Sync for Thin {}

/// How many bytes are allocated for a total: the next multiple of eight, which no allocator charges
/// for, and of a sixteenth, so that what grows by a little does not move each time.
fn allocated(total: usize) -> usize {
    total.next_multiple_of((total.next_power_of_two() / 16).max(8))
}

fn layout(total: usize) -> Layout {
    Layout::from_size_align(allocated(total), 1).expect("a total has 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_is_written(
            start in prop::collection::vec(any::<u8>(), 0..40),
            steps in prop::collection::vec((any::<u16>(), any::<u16>(), 0..300usize, any::<u8>()), 0..40),
        ) {
            let (mut thin, mut model) = (Thin::new(&[&start[..start.len() / 2], &start[start.len() / 2..]]), start);
            for (from, to, len, byte) in steps {
                let (from, to) = (usize::from(from) % (model.len() + 1), usize::from(to) % (model.len() + 1));
                let (from, to) = (from.min(to), from.max(to));
                thin.open(LEN_BYTES + from..LEN_BYTES + to, len);
                thin.tail_mut()[from..from + len].fill(byte);
                model.splice(from..to, std::iter::repeat_n(byte, len));

                prop_assert_eq!(thin.content(), &model);
                let clone = thin.clone();
                prop_assert_eq!(clone.content(), &model);
                prop_assert!(thin.heap_bytes() >= model.len() + LEN_BYTES);
            }
        }
    }

    #[test]
    fn nothing_takes_no_memory() {
        assert_eq!(Thin::default().heap_bytes(), 0);
        assert_eq!(Thin::default().content(), b"");
        assert_eq!(Thin::new(&[b"one", b"", b"two"]).content(), b"onetwo");
    }
}
