//! Ziplists, which Redis wrote before version 7.
//!
//! ```text
//! | size | where the last element is | count | element | ... | end |
//!    4               4                  2                       1
//! element: | length of the one before | encoding | text, or integer |
//!                    1 or 5
//! ```

use super::{Element, Malformed, Walk, array, int_le, part};
use crate::keyspace::entry::Str;

const FIRST: usize = 10;
const END: u8 = 0xff;
/// The count of a ziplist that has more elements than can be said.
const UNKNOWN: u16 = u16::MAX;
/// A length of four bytes follows.
const LONG: u8 = 0xfe;

/// The elements of a ziplist.
pub(in super::super) struct Ziplist<'a> {
    walk: Walk<'a>,
    /// How long the element before is.
    before: usize,
}

impl<'a> Ziplist<'a> {
    pub(in super::super) fn new(bytes: &'a [u8]) -> Ziplist<'a> {
        Ziplist {
            walk: Walk::new(bytes, FIRST),
            before: 0,
        }
    }
}

impl<'a> Iterator for Ziplist<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let before = &mut self.before;
        self.walk.step(|walk| step(walk, before))
    }
}

fn step<'a>(walk: &mut Walk<'a>, before: &mut usize) -> Result<Option<Str<'a>>, Malformed> {
    let [first] = array(walk.bytes, walk.at)?;
    if first == END {
        return expect_whole(walk, *before).map(|()| None);
    }
    let (said, head) = match first {
        LONG => (
            u32::from_le_bytes(array(walk.bytes, walk.at + 1)?) as usize,
            5,
        ),
        short => (usize::from(short), 1),
    };
    if said != *before {
        return Err(Malformed);
    }
    let (element, len) = element(walk.bytes, walk.at + head)?;
    *before = head + len;
    walk.at += head + len;
    Ok(Some(element))
}

/// Whether the ziplist ends here, behind an element of this length, and its sizes are what they are
/// said to be.
fn expect_whole(walk: &Walk<'_>, last: usize) -> Result<(), Malformed> {
    let size = u32::from_le_bytes(array(walk.bytes, 0)?) as usize;
    let tail = u32::from_le_bytes(array(walk.bytes, 4)?) as usize;
    let count = u16::from_le_bytes(array(walk.bytes, 8)?);
    let is_whole = walk.at + 1 == walk.bytes.len() && size == walk.bytes.len();
    let is_counted = count == UNKNOWN || usize::from(count) == walk.count;
    match is_whole && is_counted && tail == walk.at - last {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The element whose encoding is at this place, and how long it is from there.
fn element(bytes: &[u8], at: usize) -> Result<(Str<'_>, usize), Malformed> {
    /// The integer that the encoding itself says, plus one.
    const SMALLEST: u8 = 0xf1;
    let [first] = array(bytes, at)?;
    let int = |len| Ok((Str::Int(int_le(part(bytes, at + 1, len)?)), 1 + len));
    let text = |head: usize, len: usize| {
        let text = part(bytes, at + head, len)?;
        Ok((Str::Bytes(text), head + len))
    };
    match first {
        0..0x40 => text(1, usize::from(first)),
        0x40..0x80 => {
            let [high, low] = array(bytes, at)?;
            text(2, usize::from(u16::from_be_bytes([high & 0x3f, low])))
        }
        0x80 => text(5, u32::from_be_bytes(array(bytes, at + 1)?) as usize),
        0xc0 => int(2),
        0xd0 => int(4),
        0xe0 => int(8),
        0xf0 => int(3),
        0xfe => int(1),
        SMALLEST..=0xfd => Ok((Str::Int((first - SMALLEST).into()), 1)),
        _ => Err(Malformed),
    }
}
