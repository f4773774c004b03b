//! Room for a listpack that grows at both ends.
//!
//! ```text
//! | gap | listpack | room |
//!       ^ start
//! ```
//!
//! The gap at the front makes `LPUSH` as cheap as `RPUSH`: both write one entry, and move the
//! others only when the gap or the room is used up, which then grows with what is held.

use std::ops::Range;

use super::{EMPTY, LEN_BYTES, Room};

/// Free bytes are made for so many at most, unless more are needed at once.
const FREE_MAX: usize = 1024;

/// Free bytes are given back from this part of what is allocated on: an allocator's steps are not finer.
const WASTE: usize = 16;

/// The bytes of a listpack, with a gap before them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gapped {
    bytes: Vec<u8>,
    start: usize,
}

impl Gapped {
    /// An empty listpack at the end of so many bytes.
    pub(crate) fn with_gap(capacity: usize) -> Gapped {
        let start = capacity.saturating_sub(EMPTY.len());
        let mut bytes = Vec::with_capacity(start + EMPTY.len());
        bytes.resize(start, 0);
        bytes.extend_from_slice(&EMPTY);
        Gapped { bytes, start }
    }

    /// An empty listpack at the front of so many bytes.
    pub(crate) fn with_room(capacity: usize) -> Gapped {
        let mut bytes = Vec::with_capacity(capacity.max(EMPTY.len()));
        bytes.extend_from_slice(&EMPTY);
        Gapped { bytes, start: 0 }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back the gap and the room, if they are worth it.
    pub(crate) fn shrink(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity - self.used() > capacity / WASTE {
            self.move_to(0, 0);
        }
    }

    fn used(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// How many bytes are free behind the listpack.
    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Moves the listpack into an allocation with so many free bytes at either end.
    fn move_to(&mut self, gap: usize, room: usize) {
        let mut bytes = Vec::with_capacity(gap + self.used() + room);
        bytes.resize(gap, 0);
        bytes.extend_from_slice(&self.bytes[self.start..]);
        (self.bytes, self.start) = (bytes, gap);
    }

    /// Free bytes to make at an end that has too few.
    fn free_bytes(&self, needed: usize) -> usize {
        needed + self.used().min(FREE_MAX)
    }

    /// Makes `added` bytes more, which then stand before `at`, by moving what is before it.
    fn widen_front(&mut self, at: usize, added: usize) {
        if self.start < added {
            self.move_to(self.free_bytes(added), 0);
        }
        let moved = self.start..self.start + at;
        self.start -= added;
        self.bytes.copy_within(moved, self.start);
    }

    /// Makes `added` bytes more, which then stand before `at`, by moving what is behind it.
    fn widen_back(&mut self, at: usize, added: usize) {
        let used = self.used();
        if self.room() < added {
            if self.start >= self.free_bytes(added) {
                self.bytes.drain(..self.start);
                self.start = 0;
            } else {
                self.move_to(0, self.free_bytes(added));
            }
        }
        self.bytes.resize(self.bytes.len() + added, 0);
        let moved = self.start + at..self.start + used;
        self.bytes.copy_within(moved, self.start + at + added);
    }
}

impl Room for Gapped {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    fn tail_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start + LEN_BYTES..]
    }

    fn open(&mut self, range: Range<usize>, len: usize) {
        // Whichever part is shorter is moved.
        let front_is_shorter = range.start < self.used() - range.end;
        match len.checked_sub(range.len()) {
            Some(0) => {}
            // Or the one at whose end there are bytes for it.
            Some(added) if front_is_shorter || self.room() < added && added <= self.start => {
                self.widen_front(range.end, added);
            }
            Some(added) => self.widen_back(range.end, added),
            None if front_is_shorter => {
                let (start, removed) = (self.start, range.len() - len);
                let moved = start..start + range.start;
                self.bytes.copy_within(moved, start + removed);
                self.start += removed;
            }
            None => {
                let start = self.start;
                drop(
                    self.bytes
                        .drain(start + range.start + len..start + range.end),
                );
            }
        }
        let total = self.used() as u32;
        self.bytes[self.start..][..LEN_BYTES].copy_from_slice(&total.to_le_bytes());
    }
}
