//! Strings: bytes, or an integer that is held as one.
//!
//! Where a string lies is the business of [`crate::keyspace::entry`]; here are its commands.

pub(crate) mod commands;
pub(crate) mod condition;
pub(crate) mod gcra;
pub(crate) mod increx;
mod lcs;
pub(crate) mod msetex;

use std::borrow::Cow;

use crate::args::parse_int;
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

    /// The string's bytes, copied if it is an integer.
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Str::Bytes(bytes) => Cow::Borrowed(bytes),
            Str::Int(_) => Cow::Owned(self.to_vec()),
        }
    }

    /// The string's length in bytes.
    pub(crate) fn len(self) -> usize {
        match self {
            Str::Bytes(bytes) => bytes.len(),
            Str::Int(_) => self.with_bytes(<[u8]>::len),
        }
    }

    /// The string of these bytes, as a listpack holds it: as an integer if it is one. Two of them
    /// are equal exactly when their bytes are.
    pub(crate) fn of(bytes: &'a [u8]) -> Str<'a> {
        match parse_int(bytes) {
            Some(number) => Str::Int(number),
            None => Str::Bytes(bytes),
        }
    }

    /// The integer that the string is, if it is one.
    pub(crate) fn int(self) -> Option<i64> {
        match self {
            Str::Bytes(bytes) => parse_int(bytes),
            Str::Int(number) => Some(number),
        }
    }

    /// Answers the string, if there is one.
    #[inline]
    pub(crate) fn write_or_null(string: Option<Str<'_>>, reply: &mut dyn Reply) {
        match string {
            Some(string) => string.write(reply),
            None => reply.null(),
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
