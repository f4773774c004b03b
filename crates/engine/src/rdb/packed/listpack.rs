//! Listpacks: sizes, count, elements with a link back each, an end. See [`crate::types::listpack`].

use super::{Element, Malformed, Walk, array, int_le, part};
use crate::keyspace::entry::Str;

const FIRST: usize = 6;
const END: u8 = 0xff;
/// The count of a listpack that has more elements than can be said.
const UNKNOWN: u16 = u16::MAX;

/// The elements of a listpack.
pub(in super::super) struct Listpack<'a> {
    walk: Walk<'a>,
}

impl<'a> Listpack<'a> {
    pub(in super::super) fn new(bytes: &'a [u8]) -> Listpack<'a> {
        Listpack {
            walk: Walk::new(bytes, FIRST),
        }
    }

    /// The next element, which has to be there.
    pub(in super::super) fn expect(&mut self) -> Element<'a> {
        self.next().unwrap_or(Err(Malformed))
    }

    /// The next element, which has to be an integer.
    pub(in super::super) fn expect_int(&mut self) -> Result<i64, Malformed> {
        match self.expect()? {
            Str::Int(number) => Ok(number),
            Str::Bytes(_) => Err(Malformed),
        }
    }
}

impl<'a> Iterator for Listpack<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.walk.step(step)
    }
}

fn step<'a>(walk: &mut Walk<'a>) -> Result<Option<Str<'a>>, Malformed> {
    let [first] = array(walk.bytes, walk.at)?;
    if first == END {
        return expect_whole(walk).map(|()| None);
    }
    let (element, len) = element(walk.bytes, walk.at)?;
    let back = backlen(len);
    if part(walk.bytes, walk.at + len, back.1)? != &back.0[..back.1] {
        return Err(Malformed);
    }
    walk.at += len + back.1;
    Ok(Some(element))
}

/// Whether the listpack ends here, and its sizes are what they are said to be.
fn expect_whole(walk: &Walk<'_>) -> Result<(), Malformed> {
    let size = u32::from_le_bytes(array(walk.bytes, 0)?) as usize;
    let count = u16::from_le_bytes(array(walk.bytes, 4)?);
    let is_whole = walk.at + 1 == walk.bytes.len() && size == walk.bytes.len();
    let is_counted = count == UNKNOWN || usize::from(count) == walk.count;
    match is_whole && is_counted {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The element at this place, and how long it is.
fn element(bytes: &[u8], at: usize) -> Result<(Str<'_>, usize), Malformed> {
    let [first] = array(bytes, at)?;
    let int = |len| Ok((Str::Int(int_le(part(bytes, at + 1, len)?)), 1 + len));
    let text = |head: usize, len: usize| {
        let text = part(bytes, at + head, len)?;
        Ok((Str::Bytes(text), head + len))
    };
    match first {
        0..0x80 => Ok((Str::Int(first.into()), 1)),
        0x80..0xc0 => text(1, usize::from(first & 0x3f)),
        0xc0..0xe0 => {
            let [_, low] = array(bytes, at)?;
            let number = i16::from_be_bytes([first << 3, low]);
            // The thirteen bits of the number, with its sign.
            let number = (number & !0xff) >> 3 | i16::from(low);
            Ok((Str::Int(number.into()), 2))
        }
        0xe0..0xf0 => {
            let [high, low] = array(bytes, at)?;
            text(2, usize::from(u16::from_be_bytes([high & 0x0f, low])))
        }
        0xf0 => text(5, u32::from_le_bytes(array(bytes, at + 1)?) as usize),
        0xf1 => int(2),
        0xf2 => int(3),
        0xf3 => int(4),
        0xf4 => int(8),
        _ => Err(Malformed),
    }
}

/// The link back over an element of this length, and how many bytes that is.
fn backlen(len: usize) -> ([u8; 5], usize) {
    let space = match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    let (mut bytes, mut left) = ([0; 5], len);
    for byte in bytes[..space].iter_mut().rev() {
        *byte = left as u8 | 0x80;
        left >>= 7;
    }
    bytes[0] &= 0x7f;
    (bytes, space)
}
