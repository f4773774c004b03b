//! What HSCAN, SSCAN and ZSCAN share.
//!
//! Their cursors are a table's positions without the bits that are always 0.

use crate::args::Args;
use crate::error::Result;
use crate::generic::commands::cursor as read_cursor;
use crate::keyspace::table::{Keyed, Table};
use crate::reply::Reply;

/// How many low bits of a position are 0.
const SHIFT: u32 = 24;

/// Visits the entries at `cursor`, and answers the cursor to go on from, which is 0 at the end.
///
/// A number that was never a cursor is taken for one.
pub(super) fn scan<E: Keyed>(table: &Table<E>, cursor: u64, visit: &mut dyn FnMut(&E)) -> u64 {
    let next = table.scan(cursor << SHIFT, visit);
    next.map_or(0, |position| position >> SHIFT)
}

/// The key and the cursor of a request.
pub(super) fn arguments<'a>(args: &mut Args<'a>) -> Result<(&'a [u8], u64)> {
    Ok((args.key()?, read_cursor(args.bytes()?)?))
}

/// Takes steps from `cursor` on, until they have visited about `count` elements. `step` answers
/// the next cursor, and counts what it visits. Answers the cursor to go on from.
pub(super) fn walk(
    mut cursor: u64,
    count: usize,
    mut step: impl FnMut(u64, &mut usize) -> u64,
) -> u64 {
    let mut visited = 0;
    // A step that finds nothing costs little; so many of them end a call all the same.
    for _ in 0..count.saturating_mul(10) {
        cursor = step(cursor, &mut visited);
        if cursor == 0 || visited >= count {
            break;
        }
    }
    cursor
}

/// Answers with a cursor and what was found before it.
pub(super) fn answer(reply: &mut dyn Reply, cursor: u64, found: &[Vec<u8>]) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(found.len());
    found.iter().for_each(|element| reply.bulk(element));
}
