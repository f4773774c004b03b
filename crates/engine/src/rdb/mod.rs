//! RDB: the format in which Redis keeps values outside of its memory, as `DUMP` gives it.
//!
//! ```text
//! commands  DUMP and RESTORE
//! file      all that a store holds
//! payload   a value, or libraries of functions, with a footer: version and checksum
//! value     values, in all forms in which Redis has written them
//! packed    the packed forms of small collections
//! write     lengths, strings and numbers into a buffer
//! read      the same from bytes
//! lzf       the compression of strings         crc64   the checksum
//! ```
//!
//! Everything works on bytes in memory. What is read may come from anybody: each length is checked
//! against what is there before anything is allocated, and each structure for what its kind promises
//! (order, members that stand once, numbers that are numbers). What is not so is [`Malformed`]; nothing
//! here panics because of bytes.

pub(crate) mod commands;
mod crc64;
pub(crate) mod file;
mod lzf;
mod packed;
pub(crate) mod payload;
mod read;
pub(crate) mod value;
mod write;

pub(crate) use crc64::crc64_behind;
pub(crate) use read::Reader;
pub(crate) use write::Writer;

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The first two bits of a length of six bits, of one of fourteen, and of an encoding.
const LENGTH_6: u8 = 0b00;
const LENGTH_14: u8 = 0b01;
const ENCODED: u8 = 0b11;

/// What stands before a length of 32 bits, and of 64.
const LENGTH_32: u8 = 0x80;
const LENGTH_64: u8 = 0x81;

/// How a string is encoded that is not written as it is: an integer of 8, 16 or 32 bits, or compressed.
const INT_8: u8 = 0;
const INT_16: u8 = 1;
const INT_32: u8 = 2;
const COMPRESSED: u8 = 3;
