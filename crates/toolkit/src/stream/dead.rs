//! What a group has given up.

use serde::Serialize;

use super::Id;
use super::entry::serialize_body;
use crate::codec::DecodeError;

/// An entry that a group has given up: its handler said so, or it failed too often, or whoever had
/// it crashed too often, or it is no `T`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter<T> {
    /// The id of the letter.
    pub id: Id,
    /// The id that the entry has in the stream, if it is still there.
    pub original: Id,
    /// How often it was delivered.
    pub deliveries: u32,
    /// What went wrong at last: the error, and behind it what caused it.
    pub error: String,
    /// The value, unless it is no `T`. Written by serde it is the value, or nothing.
    #[serde(serialize_with = "serialize_body", bound(serialize = "T: Serialize"))]
    pub body: Result<T, DecodeError>,
}
