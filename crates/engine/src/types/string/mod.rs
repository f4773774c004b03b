//! Strings: bytes, or an integer that is held as one.
//!
//! Where a string lies is the business of [`crate::keyspace::entry`]; here are its commands.

pub(crate) mod commands;
mod lcs;

use crate::keyspace::entry::Str;
use crate::reply::Reply;

impl<'a> Str<'a> {
    /// Calls `read` with the string's bytes.
    pub(crate) fn with_bytes<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Str::Bytes(bytes) => read(bytes),
            Str::Int(number) => read(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    /// The string's bytes, copied.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The string's length in bytes.
    pub(crate) fn len(self) -> usize {
        match self {
            Str::Bytes(bytes) => bytes.len(),
            Str::Int(_) => self.with_bytes(<[u8]>::len),
        }
    }

    /// Answers the string.
    #[inline]
    pub(crate) fn write(self, reply: &mut dyn Reply) {
        match self {
            Str::Bytes(bytes) => reply.bulk(bytes),
            Str::Int(_) => self.with_bytes(|bytes| reply.bulk(bytes)),
        }
    }
}
