//! Zipmaps, in which Redis kept small hashes before version 2.6.
//!
//! ```text
//! | count | field length | field | value length | free | value | free bytes | ... | end |
//!     1       1 or 5                  1 or 5        1                            1
//! ```

use super::{Malformed, Walk, array, part};

const FIRST: usize = 1;
const END: u8 = 0xff;
/// A length of four bytes follows.
const LONG: u8 = 0xfe;
/// The count of a zipmap that has more fields than can be said.
const UNKNOWN: u8 = 0xfe;

/// A field and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The fields of a zipmap, with their values.
pub(in super::super) struct Zipmap<'a> {
    walk: Walk<'a>,
}

impl<'a> Zipmap<'a> {
    pub(in super::super) fn new(bytes: &'a [u8]) -> Zipmap<'a> {
        Zipmap {
            walk: Walk::new(bytes, FIRST),
        }
    }
}

impl<'a> Iterator for Zipmap<'a> {
    type Item = Result<Pair<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.step(step)
    }
}

fn step<'a>(walk: &mut Walk<'a>) -> Result<Option<Pair<'a>>, Malformed> {
    let [first] = array(walk.bytes, walk.at)?;
    if first == END {
        let [count] = array(walk.bytes, 0)?;
        let is_counted = count >= UNKNOWN || usize::from(count) == walk.count;
        let is_whole = walk.at + 1 == walk.bytes.len();
        return if is_counted && is_whole {
            Ok(None)
        } else {
            Err(Malformed)
        };
    }
    let field_len = length(walk)?;
    let field = part(walk.bytes, walk.at, field_len)?;
    walk.at += field.len();
    let value_len = length(walk)?;
    let [free] = array(walk.bytes, walk.at)?;
    let value = part(walk.bytes, walk.at + 1, value_len)?;
    part(walk.bytes, walk.at + 1 + value_len, usize::from(free))?;
    walk.at += 1 + value_len + usize::from(free);
    Ok(Some((field, value)))
}

fn length(walk: &mut Walk<'_>) -> Result<usize, Malformed> {
    let [first] = array(walk.bytes, walk.at)?;
    let (length, head) = match first {
        END => return Err(Malformed),
        LONG => (u32::from_le_bytes(array(walk.bytes, walk.at + 1)?), 5),
        short => (u32::from(short), 1),
    };
    // Nobody writes a length longer than it is, so what follows is not to be trusted either.
    if head > 1 && length < u32::from(LONG) {
        return Err(Malformed);
    }
    walk.at += head;
    Ok(length as usize)
}
