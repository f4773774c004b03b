//! Why a store gave no value.

use std::fmt;

use crate::Kind;

/// Why a store gave no value, cut by what its caller can do next.
//
// The tag takes a word, as that of `Value` does and for the same reason: the two share a place in a
// `Result`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[repr(u64)]
pub enum Error {
    /// The store refused: `WRONGTYPE ...`, `OOM ...`. Nothing was changed.
    #[error("the store refused: {0}")]
    Refused(Refusal),

    /// The command never left this process. Sending it again is safe.
    #[error("not sent: {reason}")]
    NotSent {
        /// What stood in the way.
        reason: String,
    },

    /// The command was sent and no answer came. It may have happened, and it may not.
    #[error("sent, but not answered: {reason}")]
    Unanswered {
        /// What ended the wait.
        reason: String,
    },

    /// An answer came, of a kind that this command does not give.
    #[error("unexpected answer: wanted {wanted}, got {got}")]
    Unexpected {
        /// What the caller could have read.
        wanted: &'static str,
        /// What came.
        got: Kind,
    },
}

impl Error {
    /// Whether the store refused with this code, such as `NOSCRIPT`.
    pub fn is_refusal(&self, code: &str) -> bool {
        matches!(self, Error::Refused(refusal) if refusal.code() == code)
    }

    /// An error for a command that was not sent.
    pub fn not_sent(reason: impl fmt::Display) -> Error {
        Error::NotSent {
            reason: reason.to_string(),
        }
    }

    /// An error for a command that was sent and not answered.
    pub fn unanswered(reason: impl fmt::Display) -> Error {
        Error::Unanswered {
            reason: reason.to_string(),
        }
    }
}

/// The text with which a store refuses, such as `WRONGTYPE Operation against a key ...`.
///
/// Its first word is the code, by which programs tell refusals apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    text: Box<str>,
}

impl Refusal {
    /// A refusal with this text, code first.
    pub fn new(text: impl Into<Box<str>>) -> Refusal {
        Refusal { text: text.into() }
    }

    /// The first word: `ERR`, `WRONGTYPE`, `NOSCRIPT`, ...
    pub fn code(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The whole text, code first.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
