//! What a group has given up.

use super::Id;
use crate::codec::DecodeError;

/// An entry that a group has given up: its handler said so, or it failed too often, or whoever had
/// it crashed too often, or it is no `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<T> {
    /// The id of the letter.
    pub id: Id,
    /// The id that the entry has in the stream, if it is still there.
    pub original: Id,
    /// How often it was delivered.
    pub deliveries: u32,
    /// What went wrong at last.
    pub error: String,
    /// The value.
    pub body: Result<T, DecodeError>,
}
