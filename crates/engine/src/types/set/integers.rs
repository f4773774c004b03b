//! A sorted sequence of integers, each held in as many bytes as the widest needs.
//!
//! ```text
//!   0       4       8
//!   +-------+-------+---------+---------+-----+
//!   | total | width | integer | integer | ... |      all with their lowest byte first
//!   +-------+-------+---------+---------+-----+
//! ```
//!
//! But for the first number this is Redis's intset, which has the width first and then the count.

use std::cmp::Ordering;

use crate::types::listpack::{LEN_BYTES, Room};
use crate::types::thin::Thin;

/// Integers in ascending order, none twice.
#[derive(Clone, Default)]
pub(super) struct Integers(Thin);

/// Where the integers begin, behind the total.
const FIRST: usize = 4;

impl Integers {
    pub(super) fn len(&self) -> usize {
        self.integers().len() / self.width()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = i64> {
        self.integers().chunks_exact(self.width()).map(read)
    }

    /// The integer at this index.
    pub(super) fn at(&self, index: usize) -> i64 {
        let width = self.width();
        read(&self.integers()[index * width..][..width])
    }

    pub(super) fn contains(&self, number: i64) -> bool {
        self.position(number).is_ok()
    }

    /// Adds an integer, and says whether it is new.
    pub(super) fn insert(&mut self, number: i64) -> bool {
        let Err(index) = self.position(number) else {
            return false;
        };
        if width_of(number) > self.width() || self.0.content().is_empty() {
            self.widen(width_of(number));
        }
        let width = self.width();
        let at = FIRST + index * width;
        self.0.open(LEN_BYTES + at..LEN_BYTES + at, width);
        self.0.tail_mut()[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        true
    }

    /// Removes an integer, and says whether it was there.
    pub(super) fn remove(&mut self, number: i64) -> bool {
        let Ok(index) = self.position(number) else {
            return false;
        };
        let width = self.width();
        let at = LEN_BYTES + FIRST + index * width;
        self.0.open(at..at + width, 0);
        true
    }

    /// Bytes an integer: 2, 4 or 8.
    fn width(&self) -> usize {
        self.0
            .content()
            .first()
            .map_or(2, |width| usize::from(*width))
    }

    /// The bytes of all integers.
    fn integers(&self) -> &[u8] {
        self.0.content().get(FIRST..).unwrap_or_default()
    }

    /// Where an integer is, or would be.
    fn position(&self, number: i64) -> Result<usize, usize> {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = (start + end) / 2;
            match self.at(middle).cmp(&number) {
                Ordering::Less => start = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => end = middle,
            }
        }
        Err(start)
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity(FIRST + self.len() * width);
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        for number in self.iter() {
            bytes.extend_from_slice(&number.to_le_bytes()[..width]);
        }
        self.0 = Thin::new(&[&bytes]);
    }
}

fn width_of(number: i64) -> usize {
    match number {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

/// An integer of 2, 4 or 8 bytes.
fn read(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}
