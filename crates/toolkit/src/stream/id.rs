//! The id of an entry.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use larder_store::{Error, FromValue, Kind, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The id of an entry: when it was added, by the store's clock, and a number that tells apart what
/// was added in the same millisecond. Later entries have larger ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Milliseconds since the beginning of 1970.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

impl FromStr for Id {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Invalid`] if it is no id.
    fn from_str(text: &str) -> Result<Id, Error> {
        let numbers = text.split_once('-');
        match numbers.map(|(ms, seq)| (ms.parse(), seq.parse())) {
            Some((Ok(ms), Ok(seq))) => Ok(Id { ms, seq }),
            _ => Err(Error::invalid(format_args!(
                "an id is two numbers with a dash, such as 1700000000000-0, not {text:?}"
            ))),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        text::deserialize(deserializer)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromValue for Id {
    fn from_value(value: Value) -> Result<Id, Error> {
        let text = Bytes::from_value(value)?;
        let id = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok());
        id.ok_or(Error::Unexpected {
            wanted: "the id of an entry",
            got: Kind::Bytes,
        })
    }
}
