//! A member of a large sorted set: its score and its bytes in one allocation, which both views hold.
//!
//! ```text
//!   0       8         9     10 or 14
//!   +-------+---------+-----+-------+
//!   | score | holders | len | bytes |      len: one byte, or 255 and four bytes
//!   +-------+---------+-----+-------+
//! ```
//!
//! It is a counted pointer like `Arc`, with a count of one byte: a member has two holders. If there
//! were more than a byte can count, the next would get a copy.
//!
//! The unsafe code is sound because the length is written once, before anybody else has the
//! pointer, and because the last holder frees.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64, fence};

use super::score::Score;
use crate::keyspace::prefetch::prefetch;
use crate::keyspace::table::Keyed;

/// A member and its score.
pub(super) struct Member(NonNull<Header>);

#[repr(C)]
struct Header {
    /// The bits of the score.
    score: AtomicU64,
    holders: AtomicU8,
    /// The length of the bytes, or [`LONG`].
    len: u8,
}

/// What the header says of a member that is so long or longer: its length stands behind.
const LONG: u8 = u8::MAX;
const ALIGN: usize = align_of::<Header>();
/// Where the bytes, or the length of a long member, begin.
const SHORT_START: usize = 10;
const LONG_START: usize = SHORT_START + size_of::<u32>();

impl Member {
    /// A member with its score.
    pub(super) fn new(bytes: &[u8], score: Score) -> Member {
        let layout = layout(bytes.len());
        let short = u8::try_from(bytes.len()).unwrap_or(LONG);
        let header = Header {
            score: AtomicU64::new(score.get().to_bits()),
            holders: AtomicU8::new(1),
            len: short,
        };
        // SAFETY: the layout is that of a member of this length: it has room for the header's
        // fields, the long length if there is one, and the bytes. The header is written field by
        // field, since the bytes begin where its padding would be.
        unsafe {
            let Some(place) = NonNull::new(alloc(layout)) else {
                handle_alloc_error(layout);
            };
            let head = place.cast::<Header>().as_ptr();
            ptr::write(&raw mut (*head).score, header.score);
            ptr::write(&raw mut (*head).holders, header.holders);
            ptr::write(&raw mut (*head).len, header.len);
            if short == LONG {
                let len = u32::try_from(bytes.len()).expect("a word is shorter than 4 GB");
                place.add(SHORT_START).cast().write(len.to_le_bytes());
            }
            let start = place.add(start_of(bytes.len()));
            ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len());
            Member(place.cast())
        }
    }

    /// The member's bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: so many bytes have been written there, and they never change.
        unsafe {
            let start = self.0.cast::<u8>().add(start_of(len));
            std::slice::from_raw_parts(start.as_ptr(), len)
        }
    }

    /// The member's score.
    #[inline]
    pub(super) fn score(&self) -> Score {
        let bits = self.score_bits().load(Relaxed);
        Score::new(f64::from_bits(bits)).unwrap_or_default()
    }

    /// Gives the member another score, for all who hold it.
    pub(super) fn set_score(&self, score: Score) {
        self.score_bits().store(score.get().to_bits(), Relaxed);
    }

    /// A member of its own with the same bytes and score.
    pub(super) fn copy(&self) -> Member {
        Member::new(self.bytes(), self.score())
    }

    /// How many bytes are allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        layout(self.len()).size()
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the header's fields have been written, and the long length if there is one.
        unsafe {
            match (*self.0.as_ptr()).len {
                LONG => {
                    let len = self.0.cast::<u8>().add(SHORT_START).cast().read();
                    u32::from_le_bytes(len) as usize
                }
                short => usize::from(short),
            }
        }
    }

    #[inline]
    fn score_bits(&self) -> &AtomicU64 {
        // SAFETY: the header's fields have been written, and are there as long as a holder is.
        unsafe { &(*self.0.as_ptr()).score }
    }

    fn holders(&self) -> &AtomicU8 {
        // SAFETY: as above.
        unsafe { &(*self.0.as_ptr()).holders }
    }
}

impl Clone for Member {
    /// Another holder of the same member.
    fn clone(&self) -> Member {
        let one_more = |holders: u8| holders.checked_add(1);
        match self.holders().fetch_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Member(self.0),
            Err(_) => self.copy(),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.holders().fetch_sub(1, Release) > 1 {
            return;
        }
        // What the other holders did comes before the end.
        fence(Acquire);
        let layout = layout(self.len());
        // SAFETY: allocated with this layout, and this was the last holder.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }
}

impl Keyed for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    #[inline]
    fn prefetch(&self) {
        // SAFETY: the header is there as long as a holder is.
        prefetch(unsafe { self.0.as_ref() });
    }
}

// SAFETY: what the holders share never changes but for atomics, and the last of them frees.
unsafe impl Send for Member {}
// SAFETY: as above.
unsafe impl Sync for Member {}

#[inline]
fn start_of(len: usize) -> usize {
    match len < usize::from(LONG) {
        true => SHORT_START,
        false => LONG_START,
    }
}

fn layout(len: usize) -> Layout {
    // Multiples of eight are what allocators give anyway. The header with its padding fits.
    let size = (start_of(len) + len)
        .next_multiple_of(ALIGN)
        .max(size_of::<Header>());
    Layout::from_size_align(size, ALIGN).expect("a word is shorter than isize::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: f64) -> Score {
        Score::new(value).unwrap()
    }

    #[test]
    fn a_member_is_what_it_was_made_of() {
        for len in [0, 1, 12, 253, 254, 255, 256, 70_000] {
            let bytes = vec![b'x'; len];
            let member = Member::new(&bytes, score(1.5));

            assert_eq!((member.bytes(), member.score()), (&*bytes, score(1.5)));
            assert!(member.heap_bytes() >= len + 10 && member.heap_bytes() < len + 24);
        }
    }

    #[test]
    fn all_holders_see_a_new_score() {
        let member = Member::new(b"ann", score(1.0));
        let other = member.clone();

        member.set_score(score(2.0));
        drop(member);

        assert_eq!((other.bytes(), other.score()), (&b"ann"[..], score(2.0)));
    }

    #[test]
    fn what_has_too_many_holders_is_copied() {
        let member = Member::new(b"ann", score(1.0));
        let holders: Vec<_> = (0..600).map(|_| member.clone()).collect();

        assert!(holders.iter().all(|holder| holder.bytes() == b"ann"));
        assert_ne!(holders[599].0, member.0);
    }
}
