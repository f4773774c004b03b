//! Entries as the store gives them, and as values.

use std::collections::HashMap;

use bytes::Bytes;
use larder_store::{FromValue, Value};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::Id;
use crate::codec::{self, DecodeError};

/// The field that holds the value. Entries may have others, which nobody here reads.
pub(super) const BODY: &str = "body";

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry<T> {
    /// Its id.
    pub id: Id,
    /// Its value, unless something else has written an entry that is no `T`. Written by serde it is
    /// the value, or nothing.
    #[serde(serialize_with = "serialize_body", bound(serialize = "T: Serialize"))]
    pub body: Result<T, DecodeError>,
}

/// An entry before its value is read.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) id: Id,
    /// Their names and values by turns. Nothing if it was deleted while it was pending.
    fields: Vec<Bytes>,
}

/// The answer of `XREAD` and `XREADGROUP` on one stream.
pub(super) type Read = Option<HashMap<Bytes, Vec<Raw>>>;

impl FromValue for Raw {
    fn from_value(value: Value) -> Result<Raw, larder_store::Error> {
        let (id, fields): (Id, Option<Vec<Bytes>>) = FromValue::from_value(value)?;
        Ok(Raw {
            id,
            fields: fields.unwrap_or_default(),
        })
    }
}

impl Raw {
    pub(super) fn entry<T: DeserializeOwned>(&self) -> Entry<T> {
        Entry {
            id: self.id,
            body: decode(self.body()),
        }
    }

    pub(super) fn body(&self) -> Option<&Bytes> {
        self.field(BODY)
    }

    /// The first field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&Bytes> {
        let mut pairs = self.fields.chunks_exact(2);
        pairs.find(|pair| pair[0] == name).map(|pair| &pair[1])
    }
}

/// A number of entries as a store can count them: not as far as a `u64`.
pub(super) fn count(entries: impl TryInto<i64>) -> i64 {
    entries.try_into().unwrap_or(i64::MAX)
}

/// The entries of one stream.
pub(super) fn entries(read: Read) -> Vec<Raw> {
    read.into_iter()
        .flat_map(HashMap::into_values)
        .flatten()
        .collect()
}

/// Reads a value. An entry without a body is as one with an empty body.
pub(super) fn decode<T: DeserializeOwned>(body: Option<&Bytes>) -> Result<T, DecodeError> {
    codec::decode(body.map(|body| &body[..]).unwrap_or_default())
}

/// Writes a value that could be read, and nothing for one that could not.
pub(super) fn serialize_body<T, S>(
    body: &Result<T, DecodeError>,
    serializer: S,
) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    body.as_ref().ok().serialize(serializer)
}
