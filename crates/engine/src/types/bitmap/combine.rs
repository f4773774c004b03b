//! Making one bitmap of several, bit by bit: BITOP.

use crate::args::Args;
use crate::error::{Error, Result};

/// How many bytes of all bitmaps are worked on before the next ones, so that they stay near.
const BLOCK: usize = 4096;

/// What is done with the bits at each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// It is in all.
    And,
    /// It is in any.
    Or,
    /// It is in an odd number of them.
    Xor,
    /// It is not in the only one.
    Not,
    /// It is in the first, and in no other.
    Diff,
    /// It is in another, and not in the first.
    Diff1,
    /// It is in the first, and in another.
    AndOr,
    /// It is in one, and in no other.
    One,
}

impl Operation {
    const ALL: [(&str, Operation); 8] = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
        ("DIFF", Operation::Diff),
        ("DIFF1", Operation::Diff1),
        ("ANDOR", Operation::AndOr),
        ("ONE", Operation::One),
    ];

    /// The next word, as an operation.
    pub(super) fn read(args: &mut Args<'_>) -> Result<Operation> {
        let mut known = Operation::ALL.into_iter();
        let found = known.find(|(name, _)| args.option(name));
        found.map(|(_, operation)| operation).ok_or(Error::Syntax)
    }

    /// Refuses a number of bitmaps that it can't be done with.
    pub(super) fn check(self, count: usize) -> Result<()> {
        match self {
            Operation::Not if count != 1 => Err(Error::text(
                "ERR BITOP NOT must be called with a single source key.",
            )),
            Operation::Diff | Operation::Diff1 | Operation::AndOr if count < 2 => {
                let names = Operation::ALL.iter();
                let name = names.filter(|(_, operation)| *operation == self);
                let name: String = name.map(|(name, _)| *name).collect();
                Err(Error::text(format!(
                    "ERR BITOP {name} must be called with at least two source keys."
                )))
            }
            _ => Ok(()),
        }
    }

    /// The bitmap that is made of these: as long as the longest.
    pub(super) fn combine<T: AsRef<[u8]>>(self, sources: &[T]) -> Vec<u8> {
        let sources: Vec<&[u8]> = sources.iter().map(AsRef::as_ref).collect();
        let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
        let Some((first, others)) = sources.split_first() else {
            return Vec::new();
        };
        let mut result = Vec::with_capacity(len);
        result.extend_from_slice(first);
        result.resize(len, 0);
        for (number, block) in result.chunks_mut(BLOCK).enumerate() {
            let (from, len) = (number * BLOCK, block.len());
            let others = others.iter().filter_map(|other| other.get(from..));
            let parts = others.map(|part| &part[..part.len().min(len)]);
            // What is not there is zeros, and those matter to one operation only.
            let is_short = sources.iter().any(|source| source.len() <= from);
            match self == Operation::And && is_short {
                true => block.fill(0),
                false => self.combine_block(block, parts),
            }
        }
        result
    }

    /// Makes a block of that of the first bitmap and of those of the others, each as long or shorter.
    fn combine_block<'s>(self, block: &mut [u8], others: impl Iterator<Item = &'s [u8]>) {
        match self {
            Operation::And => others.for_each(|other| {
                each(block, other, |one, other| one & other);
                block[other.len()..].fill(0);
            }),
            Operation::Or => others.for_each(|other| each(block, other, |one, other| one | other)),
            Operation::Xor => others.for_each(|other| each(block, other, |one, other| one ^ other)),
            Operation::Not => block.iter_mut().for_each(|byte| *byte = !*byte),
            Operation::Diff => {
                others.for_each(|other| each(block, other, |one, other| one & !other));
            }
            Operation::Diff1 => {
                let any = any_of(others);
                each(block, &any, |one, any| any & !one);
            }
            Operation::AndOr => {
                let any = any_of(others);
                each(block, &any, |one, any| any & one);
            }
            Operation::One => {
                let mut several = [0; BLOCK];
                for other in others {
                    let here = several.iter_mut().zip(&*block).zip(other);
                    here.for_each(|((several, any), other)| *several |= any & other);
                    each(block, other, |any, other| any | other);
                }
                each(block, &several, |any, several| any & !several);
            }
        }
    }
}

/// Changes each byte by the one at the same place, where there is one.
#[inline]
fn each(bytes: &mut [u8], others: &[u8], change: impl Fn(u8, u8) -> u8) {
    let both = bytes.iter_mut().zip(others);
    both.for_each(|(byte, other)| *byte = change(*byte, *other));
}

/// The bits that are in any of these.
fn any_of<'s>(blocks: impl Iterator<Item = &'s [u8]>) -> [u8; BLOCK] {
    let mut any = [0; BLOCK];
    blocks.for_each(|block| each(&mut any, block, |any, byte| any | byte));
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, bit by bit, by what the documentation says of each operation.
    fn slowly(operation: Operation, sources: &[Vec<u8>]) -> Vec<u8> {
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        let byte = |place: usize| {
            let bit = |bit: u8| {
                let in_source =
                    |source: &Vec<u8>| source.get(place).is_some_and(|byte| byte & bit != 0);
                let first = in_source(&sources[0]);
                let others = sources[1..].iter().filter(|other| in_source(other)).count();
                let count = others + usize::from(first);
                match operation {
                    Operation::And => count == sources.len(),
                    Operation::Or => count > 0,
                    Operation::Xor => count % 2 == 1,
                    Operation::Not => !first,
                    Operation::Diff => first && others == 0,
                    Operation::Diff1 => !first && others > 0,
                    Operation::AndOr => first && others > 0,
                    Operation::One => count == 1,
                }
            };
            let bits = (0..8).map(|place| 1u8 << place);
            bits.filter(|mask| bit(*mask)).sum()
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn bitmaps_are_combined_as_bit_by_bit() {
        let pattern = |len: usize, step: usize| -> Vec<u8> {
            (0..len).map(|at| (at * step % 251) as u8).collect()
        };
        let lens = [0, 1, 7, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5];
        for (_, operation) in Operation::ALL {
            for one in lens {
                for other in lens {
                    let mut sources = vec![pattern(one, 3), pattern(other, 7), pattern(500, 11)];
                    sources.truncate(if operation == Operation::Not { 1 } else { 3 });
                    let combined = operation.combine(&sources);
                    assert_eq!(combined, slowly(operation, &sources), "{operation:?}");
                }
            }
        }
    }
}
