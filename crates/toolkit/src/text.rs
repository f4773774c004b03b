//! Settings that are written as text.

use std::borrow::Cow;
use std::str::FromStr;

use larder_store::Error;
use serde::de::{self, Deserialize, Deserializer};

/// Reads a setting as its [`FromStr`] does.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = Error>,
    D: Deserializer<'de>,
{
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}
