//! Cursors of HSCAN, SSCAN and ZSCAN: a table's position without the bits that are always 0.

use crate::keyspace::table::{Keyed, Table};

/// How many low bits of a position are 0.
const SHIFT: u32 = 24;

/// Visits the entries at `cursor`, and answers the cursor to go on from, which is 0 at the end.
///
/// A number that was never a cursor is taken for one.
pub(super) fn scan<E: Keyed>(table: &Table<E>, cursor: u64, visit: &mut dyn FnMut(&E)) -> u64 {
    let next = table.scan(cursor << SHIFT, visit);
    next.map_or(0, |position| position >> SHIFT)
}
