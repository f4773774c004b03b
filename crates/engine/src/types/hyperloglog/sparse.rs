//! Registers as runs of the same value, most of which are 0:
//!
//! ```text
//!   00llllll            a run of zeros, of l + 1 registers        ZERO
//!   01llllll llllllll   the same for a longer one                 XZERO
//!   1vvvvvll            l + 1 registers with the value v + 1      VAL
//! ```
//!
//! A long run whose second byte is cut off has a zero there, as every string has in Redis.

use smallvec::SmallVec;

use super::{HEADER, Histogram, REGISTERS, corrupted};
use crate::error::Result;

/// The highest value that a run can have.
const VALUE_MAX: u8 = 32;
/// The most registers of a run with a value.
const VALUES_MAX: usize = 4;
/// The most registers of a short run of zeros.
const ZEROS_MAX: usize = 64;
const XZERO: u8 = 0b0100_0000;
const VAL: u8 = 0b1000_0000;
/// How many runs are looked at for such that can be one, from the one before a change on.
const MERGED: usize = 5;

/// Registers one behind the other with the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first of them.
    pub(super) first: usize,
    pub(super) len: usize,
    pub(super) value: u8,
    /// How many bytes it is written with.
    bytes: usize,
    /// Whether it is written as a long one.
    pub(super) is_long: bool,
}

/// What came of the wish to raise a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raise {
    Done,
    /// It has as much already.
    NotNeeded,
    /// It can't be held like this.
    DoesNotFit,
}

/// The run that these bytes begin with, whose first register is this one.
#[inline]
fn run(bytes: &[u8], first: usize) -> Option<Run> {
    let &byte = bytes.first()?;
    let is_long = byte & (VAL | XZERO) == XZERO;
    let (value, len) = match byte {
        VAL.. => (((byte >> 2) & 31) + 1, usize::from(byte & 3)),
        XZERO.. => {
            let low = bytes.get(1).copied().unwrap_or(0);
            (0, usize::from(byte & 63) << 8 | usize::from(low))
        }
        _ => (0, usize::from(byte)),
    };
    Some(Run {
        first,
        len: len + 1,
        value,
        bytes: bytes.len().min(1 + usize::from(is_long)),
        is_long,
    })
}

/// The runs in their order, whatever they add up to.
pub(super) fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let run = run(bytes, first)?;
        bytes = &bytes[run.bytes..];
        first += run.len;
        Some(run)
    })
}

/// Calls `visit` with each run, each within the registers.
///
/// # Errors
///
/// Refused if the runs are not those of all registers; `visit` may have seen some of them.
pub(super) fn each(bytes: &[u8], mut visit: impl FnMut(Run)) -> Result<()> {
    let mut end = 0;
    for run in runs(bytes) {
        end = run.first + run.len;
        if end > REGISTERS {
            return Err(corrupted());
        }
        visit(run);
    }
    match end {
        REGISTERS => Ok(()),
        _ => Err(corrupted()),
    }
}

/// How many registers have each value.
pub(super) fn histogram(bytes: &[u8]) -> Result<Histogram> {
    let mut histogram = [0; 64];
    each(bytes, |run| {
        histogram[usize::from(run.value)] += run.len as u32;
    })?;
    Ok(histogram)
}

/// Appends a run of so many registers.
pub(super) fn push(bytes: &mut impl Extend<u8>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, ..=ZEROS_MAX) => bytes.extend([len as u8 - 1]),
        (0, _) => {
            let [high, low] = (len as u16 - 1).to_be_bytes();
            bytes.extend([XZERO | high, low]);
        }
        (value, len) => bytes.extend([val(value, len)]),
    }
}

/// A run with a value, which is 1 to 32, of 1 to 4 registers.
fn val(value: u8, len: usize) -> u8 {
    VAL | (value - 1) << 2 | (len as u8 - 1)
}

/// Gives a register of a sparse HyperLogLog this value, if that is more than it has and the whole does
/// not become longer than this.
pub(super) fn raise(hll: &mut Vec<u8>, index: usize, value: u8, len_max: usize) -> Result<Raise> {
    if value > VALUE_MAX {
        return Ok(Raise::DoesNotFit);
    }
    let (mut before, mut at, mut first) = (HEADER, HEADER, 0);
    let found = loop {
        let run = run(&hll[at..], first).ok_or_else(corrupted)?;
        first += run.len;
        if index < first {
            break run;
        }
        (before, at) = (at, at + run.bytes);
    };
    if found.value >= value {
        return Ok(Raise::NotNeeded);
    }

    let mut parts: SmallVec<[u8; 8]> = SmallVec::new();
    push(&mut parts, found.value, index - found.first);
    push(&mut parts, value, 1);
    push(&mut parts, found.value, first - index - 1);
    let is_longer = parts.len() > found.bytes;
    if is_longer && hll.len() + parts.len() - found.bytes > len_max {
        return Ok(Raise::DoesNotFit);
    }
    hll.splice(at..at + found.bytes, parts);
    merge_runs(hll, before);
    Ok(Raise::Done)
}

/// Makes one of neighbours that have the same value, near this place.
fn merge_runs(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGED {
        let Some(one) = run(hll.get(at..).unwrap_or_default(), 0) else {
            return;
        };
        let next = run(&hll[at + one.bytes..], 0);
        match next {
            Some(next)
                if one.value > 0 && one.value == next.value && one.len + next.len <= VALUES_MAX =>
            {
                hll[at + 1] = val(one.value, one.len + next.len);
                hll.remove(at);
            }
            _ => at += one.bytes,
        }
    }
}
