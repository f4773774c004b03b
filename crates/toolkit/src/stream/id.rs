//! The id of an entry.

use std::fmt;
use std::str::FromStr;

use larder_store::{Error, FromValue, Kind, Value};

/// The id of an entry: when it was added, by the store's clock, and a number that tells apart what
/// was added in the same millisecond. Later entries have larger ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Milliseconds since the beginning of 1970.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is two numbers with a dash, such as 1700000000000-0")]
pub struct ParseIdError;

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Id, ParseIdError> {
        let (ms, seq) = text.split_once('-').ok_or(ParseIdError)?;
        match (ms.parse(), seq.parse()) {
            (Ok(ms), Ok(seq)) => Ok(Id { ms, seq }),
            _ => Err(ParseIdError),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromValue for Id {
    fn from_value(value: Value) -> Result<Id, Error> {
        let text = String::from_value(value)?;
        text.parse().map_err(|ParseIdError| Error::Unexpected {
            wanted: "the id of an entry",
            got: Kind::Bytes,
        })
    }
}
