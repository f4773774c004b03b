//! Bitmaps: strings whose bits are counted from the highest one of the first byte.
//!
//! ```text
//!    bit    0 1 2 3 4 5 6 7   8 9 ...
//!          +---------------+---------------+
//!          |    byte 0     |    byte 1     |  ...  and zeros for ever
//!          +---------------+---------------+
//! ```
//!
//! `bits` and `field` read and write them, `combine` makes one of several, and all three know of bytes
//! alone. Where strings lie is the business of [`crate::keyspace::entry`].

pub(crate) mod commands;

mod bits;
mod combine;
mod field;
mod range;
