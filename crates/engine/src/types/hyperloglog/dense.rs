//! Registers of six bits each, the lowest bit first, one behind the other.
//!
//! ```text
//!    byte 0     byte 1     byte 2
//!   +----------+----------+----------+
//!   | 11000000 | 22221111 | 33333322 |  four registers in three bytes, the highest bit on the left
//!   +----------+----------+----------+
//! ```

use super::{Histogram, REGISTERS, Registers};

/// How many bits a register has.
const BITS: usize = 6;
/// How many bytes all registers take.
pub(super) const LEN: usize = REGISTERS * BITS / 8;
const MASK: u16 = (1 << BITS) - 1;

/// The byte in which a register begins, the byte and the next one, and by how much it is shifted there.
fn place(registers: &[u8], index: usize) -> (usize, u16, usize) {
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    // The last register ends with the last byte.
    let next = registers.get(byte + 1).copied().unwrap_or(0);
    let both = u16::from_le_bytes([registers[byte], next]);
    (byte, both, shift)
}

/// The value of a register.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (_, both, shift) = place(registers, index);
    (both >> shift & MASK) as u8
}

/// Gives a register this value if that is more than it has. Answers whether it was.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let (byte, both, shift) = place(registers, index);
    if value <= (both >> shift & MASK) as u8 {
        return false;
    }
    let [low, high] = (both & !(MASK << shift) | u16::from(value) << shift).to_le_bytes();
    registers[byte] = low;
    if let Some(next) = registers.get_mut(byte + 1) {
        *next = high;
    }
    true
}

/// The four registers of three bytes.
fn four([one, two, three]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_le_bytes([one, two, three, 0]);
    [0, 1, 2, 3].map(|place| (bits >> (place * BITS) & u32::from(MASK)) as u8)
}

/// Raises others to these.
pub(super) fn merge(registers: &[u8], others: &mut Registers) {
    let (threes, _) = registers.as_chunks::<3>();
    let (fours, _) = others.as_chunks_mut::<4>();
    for (three, others) in threes.iter().zip(fours) {
        let own = four(*three);
        *others = [0, 1, 2, 3].map(|place| own[place].max(others[place]));
    }
}

/// How many of them have each value.
pub(super) fn histogram(registers: &[u8]) -> Histogram {
    // Four, so that one need not wait for the others where all values are the same.
    let mut counts = [[0; 64]; 4];
    for three in registers.as_chunks::<3>().0 {
        let values = four(*three);
        for (counts, value) in counts.iter_mut().zip(values) {
            counts[usize::from(value)] += 1;
        }
    }
    std::array::from_fn(|value| counts.iter().map(|counts| counts[value]).sum())
}
