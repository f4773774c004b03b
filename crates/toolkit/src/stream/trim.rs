//! What a stream forgets, and where reading begins.

use std::str::FromStr;
use std::time::Duration;

use larder_store::{Error, span};
use serde::{Deserialize, Deserializer, Serialize};

use super::Id;
use super::entry::count;
use crate::{Ttl, text};

/// Where to begin. In a file of settings that is `earliest`, `latest`, or `after 1700000000000-0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first entry that is still there.
    Earliest,
    /// With what is added from now on.
    Latest,
    /// With the first entry after this one.
    After(Id),
}

/// Which entries a stream forgets. There is no default: one kind of stream fills the memory, and
/// the others lose what nobody has read; which of these is right only its owner knows.
///
/// ```
/// use std::time::Duration;
/// use larder_toolkit::stream::Trim;
///
/// // In a file of settings, and wherever serde reads: "never", "handled", and these.
/// assert_eq!("max-len 100000".parse(), Ok(Trim::MaxLen(100_000)));
/// assert_eq!("max-age 7d".parse(), Ok(Trim::MaxAge(Duration::from_secs(7 * 86_400))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// None, until somebody deletes them.
    Never,
    /// Those that every group has handled. Workers do it now and then, and
    /// [`Stream::trim_handled`](super::Stream::trim_handled) does it at once. A stream without a
    /// group loses nothing, and one with a group that nobody serves any more grows: workers of the
    /// other groups warn of it.
    Handled,
    /// The oldest, when there are more than about this many, handled or not. There may be some
    /// more, never fewer.
    MaxLen(u64),
    /// Those that are older than about this, handled or not, whenever an entry is added. Some may
    /// stay longer.
    MaxAge(Duration),
}

/// What [`Stream::trim_handled`](super::Stream::trim_handled) did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trimmed {
    /// How many entries were dropped.
    pub dropped: u64,
    /// The group for which the others are kept.
    pub kept_for: Option<String>,
    /// For how long none of that group's consumers was heard of; `None` if it has none.
    pub silence: Option<Duration>,
}

impl Trim {
    /// What the scripts are told: the kind of bound, and the bound.
    pub(super) fn words(self) -> (&'static str, i64) {
        match self {
            Trim::Never | Trim::Handled => ("", 0),
            Trim::MaxLen(len) => ("MAXLEN", count(len)),
            Trim::MaxAge(age) => ("MAXAGE", count(age.min(Ttl::MAX).as_millis())),
        }
    }
}

impl Start {
    /// The id behind which a group begins, as the store has it.
    pub(super) fn behind(self) -> String {
        match self {
            Start::Earliest => "0".to_owned(),
            Start::Latest => "$".to_owned(),
            Start::After(id) => id.to_string(),
        }
    }
}

impl FromStr for Trim {
    type Err = Error;

    fn from_str(text: &str) -> Result<Trim, Error> {
        let (kind, bound) = text.split_once(' ').unwrap_or((text, ""));
        let trim = match (kind, bound) {
            ("never", "") => Some(Trim::Never),
            ("handled", "") => Some(Trim::Handled),
            // A stream that keeps no entry is none.
            ("max-len", len) => len.parse().ok().filter(|len| *len > 0).map(Trim::MaxLen),
            ("max-age", age) => { span::parse(age).ok() }
                .filter(|age| !age.is_zero())
                .map(Trim::MaxAge),
            _ => None,
        };
        trim.ok_or_else(|| {
            Error::invalid(format_args!(
                "what a stream forgets is \"never\", \"handled\", or a bound above zero as in \
                 \"max-len 100000\" or \"max-age 7d\", not {text:?}"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Trim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Trim, D::Error> {
        text::deserialize(deserializer)
    }
}

impl FromStr for Start {
    type Err = Error;

    fn from_str(text: &str) -> Result<Start, Error> {
        match (text, text.strip_prefix("after ").map(str::parse)) {
            ("earliest", _) => Ok(Start::Earliest),
            ("latest", _) => Ok(Start::Latest),
            (_, Some(Ok(id))) => Ok(Start::After(id)),
            _ => Err(Error::invalid(format_args!(
                "reading begins with \"earliest\", \"latest\", or behind an entry as in \
                 \"after 1700000000000-0\", not {text:?}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
        text::deserialize(deserializer)
    }
}
