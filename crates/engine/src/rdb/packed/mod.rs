//! The packed forms of small collections, read from bytes that may be anything.
//!
//! Each is an iterator over elements that ends with an error where the bytes are not what their form
//! promises: sizes, counts, links back and the end are all checked.

mod intset;
mod listpack;
mod ziplist;
mod zipmap;

pub(super) use intset::{read_integers, write_integers};
pub(super) use listpack::Listpack;
pub(super) use ziplist::Ziplist;
pub(super) use zipmap::Zipmap;

use super::Malformed;
use crate::keyspace::entry::Str;

/// An element, or that there is none though there should be.
pub(super) type Element<'a> = Result<Str<'a>, Malformed>;

/// A part of the bytes, which has to be there.
fn part(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], Malformed> {
    let end = at.checked_add(len).ok_or(Malformed)?;
    bytes.get(at..end).ok_or(Malformed)
}

/// Some bytes at this place, which have to be there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.copied().ok_or(Malformed)
}

/// An integer of up to eight bytes, the lowest first.
fn int_le(bytes: &[u8]) -> i64 {
    let mut whole = [0; 8];
    let unused = whole.len() - bytes.len();
    whole[unused..].copy_from_slice(bytes);
    i64::from_le_bytes(whole) >> (8 * unused)
}

/// Elements of a packed form, which are read until its end, or until something is wrong.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many elements there have been.
    count: usize,
    is_over: bool,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Walk<'a> {
        Walk {
            bytes,
            at,
            count: 0,
            is_over: false,
        }
    }

    /// Gives what a step has found, and nothing after the end or an error.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Walk<'a>) -> Result<Option<T>, Malformed>,
    ) -> Option<Result<T, Malformed>> {
        if self.is_over {
            return None;
        }
        let found = step(self);
        self.is_over = !matches!(found, Ok(Some(_)));
        self.count += 1;
        found.transpose()
    }
}
