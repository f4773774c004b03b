//! The data types: their structures, and the commands on them.

pub(crate) mod bitmap;
pub(crate) mod geo;
pub(crate) mod hash;
pub(crate) mod hyperloglog;
pub(crate) mod list;
pub(crate) mod set;
pub(crate) mod sorted_set;
pub(crate) mod stream;
pub(crate) mod string;

pub(crate) mod listpack;

mod cursor;
mod limits;
mod sample;
mod thin;
mod varint;

pub(crate) use limits::{Limit, Limits};

/// A number below `len`, which is not 0, from a random one of 64 bits.
fn scaled(random: u64, len: usize) -> usize {
    ((u128::from(random) * len as u128) >> 64) as usize
}
