//! HyperLogLog: how many different elements there were, in 12 KB at most and with an error of 0.8 %.
//!
//! One is a string, with the bytes that Redis gives it, so that either reads what the other has
//! written:
//!
//! ```text
//!    0        4          5          8               16
//!   +--------+----------+----------+---------------+------------------------------------+
//!   | "HYLL" | encoding | 3 unused | cardinality   | 16384 registers, dense or sparse   |
//!   +--------+----------+----------+---------------+------------------------------------+
//!                                   little endian;
//!                                   not known if the highest bit is set
//! ```
//!
//! An element's hash chooses a register by its lowest 14 bits, and the register keeps the longest run
//! of zeros that has been seen in the other 50, with the one behind it. `dense` and `sparse` say how
//! registers are held, and `estimate` what they tell.
//!
//! Any client can write any bytes: [`encoding`] is asked before all else, and a sparse one is refused
//! as soon as its runs do not make up 16384 registers. Nothing here knows of keys or replies.
//!
//! - [The documentation of Redis](https://redis.io/docs/latest/develop/data-types/probabilistic/hyperloglogs/)
//! - P. Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation
//!   algorithm", 2007.

pub(crate) mod commands;

mod dense;
mod estimate;
mod hash;
mod sparse;

use std::ops::Range;

use crate::error::{Error, Result};

/// How many registers there are.
const REGISTERS: usize = 1 << INDEX_BITS;
/// How many bits of a hash choose the register.
const INDEX_BITS: u32 = 14;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING: usize = 4;
const CARDINALITY: Range<usize> = 8..16;
/// Where the registers begin.
const HEADER: usize = 16;
/// Set in the last byte of a cardinality that is not known.
const UNKNOWN: u8 = 0x80;

/// The value of each register.
type Registers = [u8; REGISTERS];

/// How many registers have each value.
type Histogram = [u32; 64];

/// How the registers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Dense,
    Sparse,
}

/// The refusal of a string whose header is right, and whose registers are not.
fn corrupted() -> Error {
    Error::text("INVALIDOBJ Corrupted HLL object detected")
}

/// How the registers of a string are held, if it is a HyperLogLog.
///
/// # Errors
///
/// The refusal of a string that is none.
fn encoding(bytes: &[u8]) -> Result<Encoding> {
    let has_header = bytes.len() >= HEADER && bytes.starts_with(MAGIC);
    match bytes.get(ENCODING) {
        Some(0) if has_header && bytes.len() == HEADER + dense::LEN => Ok(Encoding::Dense),
        Some(1) if has_header => Ok(Encoding::Sparse),
        _ => Err(none()),
    }
}

/// The refusal of a string that is no HyperLogLog.
fn none() -> Error {
    Error::text("WRONGTYPE Key is not a valid HyperLogLog string value.")
}

/// One that has seen nothing.
fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING] = Encoding::Sparse as u8;
    sparse::push(&mut bytes, 0, REGISTERS);
    bytes
}

/// Adds an element. Answers whether a register has changed.
fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_len_max: usize) -> Result<bool> {
    let (index, value) = hash::register(element);
    raise(bytes, index, value, sparse_len_max)
}

/// Gives a register this value if that is more than it has. Answers whether it was. A sparse one that
/// can't hold it, or would become longer than this, becomes dense.
fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_len_max: usize) -> Result<bool> {
    if encoding(bytes)? == Encoding::Sparse {
        match sparse::raise(bytes, index, value, sparse_len_max)? {
            sparse::Raise::NotNeeded => return Ok(false),
            sparse::Raise::Done => {
                forget_cardinality(bytes);
                return Ok(true);
            }
            sparse::Raise::DoesNotFit => {
                make_dense(bytes)?;
            }
        }
    }
    Ok(dense::raise(&mut bytes[HEADER..], index, value))
}

/// Holds the registers densely from here on. Answers whether they were not.
fn make_dense(bytes: &mut Vec<u8>) -> Result<bool> {
    let made = made_dense(bytes)?;
    let is_made = made.is_some();
    if let Some(dense) = made {
        *bytes = dense;
    }
    Ok(is_made)
}

/// The same registers held densely, unless they are.
fn made_dense(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    if encoding(bytes)? == Encoding::Dense {
        return Ok(None);
    }
    let mut dense = vec![0; HEADER + dense::LEN];
    dense[..HEADER].copy_from_slice(&bytes[..HEADER]);
    dense[ENCODING] = Encoding::Dense as u8;
    let registers = &mut dense[HEADER..];
    sparse::each(&bytes[HEADER..], |run| {
        if run.value > 0 {
            let indices = run.first..run.first + run.len;
            indices.for_each(|index| {
                dense::raise(registers, index, run.value);
            });
        }
    })?;
    Ok(Some(dense))
}

/// The estimate of how many different elements there were.
fn count(bytes: &[u8]) -> Result<i64> {
    let registers = bytes.get(HEADER..).unwrap_or_default();
    let histogram = match encoding(bytes)? {
        Encoding::Dense => dense::histogram(registers),
        Encoding::Sparse => sparse::histogram(registers)?,
    };
    Ok(estimate::cardinality(&histogram))
}

/// Raises registers to those of this one.
fn merge(bytes: &[u8], registers: &mut Registers) -> Result<Encoding> {
    let own = bytes.get(HEADER..).unwrap_or_default();
    let encoding = encoding(bytes)?;
    match encoding {
        Encoding::Dense => dense::merge(own, registers),
        Encoding::Sparse => sparse::each(own, |run| {
            let others = &mut registers[run.first..run.first + run.len];
            others
                .iter_mut()
                .for_each(|other| *other = run.value.max(*other));
        })?,
    }
    Ok(encoding)
}

/// The estimate that was remembered, if it is still right.
fn cardinality(bytes: &[u8]) -> Option<i64> {
    let cardinality: [u8; 8] = bytes.get(CARDINALITY)?.try_into().ok()?;
    let cardinality = i64::from_le_bytes(cardinality);
    (cardinality >= 0).then_some(cardinality)
}

/// Remembers an estimate.
fn remember_cardinality(bytes: &mut [u8], cardinality: i64) {
    bytes[CARDINALITY].copy_from_slice(&cardinality.to_le_bytes());
}

/// Says that the estimate that was remembered is not right any more.
fn forget_cardinality(bytes: &mut [u8]) {
    bytes[CARDINALITY.end - 1] |= UNKNOWN;
}

#[cfg(test)]
mod tests;
