//! Typed values as bytes.
//!
//! ```text
//! +---------+-------------------------------------------+
//! | version | MessagePack, structs as maps of names     |
//! |  1 byte |                                           |
//! +---------+-------------------------------------------+
//! ```
//!
//! Addresses, identifiers and the like are written as for people: where serde reads ahead, as for
//! flattened fields, it takes every format for one of those.
//!
//! There is one nothing: `Some(None)` and `Some(())` are read back as `None`, as from JSON.
//!
//! Names, not positions: a field with a default can be added, and one that nobody reads can go,
//! while values of the older kind are still around. The version is that of this layout and not of
//! the caller's types.

use bytes::Bytes;
use larder_store::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u8 = 1;

/// Why a value can't be written as bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value can't be encoded: {reason}")]
pub struct EncodeError {
    reason: String,
}

impl EncodeError {
    pub(crate) fn new(reason: impl ToString) -> EncodeError {
        EncodeError {
            reason: reason.to_string(),
        }
    }
}

/// Why bytes can't be read as a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is not even a version.
    #[error("there are no bytes to decode")]
    Empty,
    /// Something newer, or something else, has written them.
    #[error("version {0} is not known")]
    Version(u8),
    /// They are no such value.
    #[error("the bytes are no such value: {0}")]
    Body(String),
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Error {
        Error::codec(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        Error::codec(error)
    }
}

/// How long values are that are encoded without their bytes being moved as they grow.
const LEN_EXPECTED: usize = 128;

/// Writes a value.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut bytes = Vec::with_capacity(LEN_EXPECTED);
    bytes.push(VERSION);
    let mut writer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_human_readable();
    value.serialize(&mut writer).map_err(EncodeError::new)?;
    Ok(bytes.into())
}

/// Reads a value, and nothing behind it.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        [VERSION, body @ ..] => decode_body(body),
        [version, ..] => Err(DecodeError::Version(*version)),
    }
}

fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    // By reference, so that text comes from where it stands and not through a buffer.
    let mut reader = rmp_serde::Deserializer::from_read_ref(body).with_human_readable();
    let value =
        T::deserialize(&mut reader).map_err(|error| DecodeError::Body(error.to_string()))?;
    // The reader does not say what is left, but it can't find the marker of a number if nothing is.
    match u8::deserialize(&mut reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(DecodeError::Body("there is something behind it".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Visit {
        page: String,
        #[serde(flatten)]
        from: From,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum From {
        Address { address: IpAddr },
    }

    #[test]
    fn there_is_one_nothing() {
        let bytes = encode(&Some(None::<u32>)).expect("it can be written");
        assert_eq!(decode::<Option<Option<u32>>>(&bytes), Ok(None));
    }

    #[test]
    fn nothing_may_stand_behind_a_value() {
        let bytes = encode("a value").expect("it can be written");
        assert_eq!(decode::<String>(&bytes).as_deref(), Ok("a value"));
        for behind in 0..=u8::MAX {
            let longer = [&bytes[..], &[behind]].concat();
            assert!(decode::<String>(&longer).is_err(), "{behind:x}");
        }
    }

    /// Where serde reads ahead, as it does for flattened fields and tagged enums, it forgets
    /// whether a format is for people, on which it depends how an address is written.
    #[test]
    fn an_address_is_read_back_wherever_it_stands() {
        let address = IpAddr::from([10, 0, 0, 1]);
        let visit = Visit {
            page: "home".into(),
            from: From::Address { address },
        };
        let bytes = encode(&visit).expect("it can be written");
        assert_eq!(decode(&bytes), Ok(visit));
    }
}
