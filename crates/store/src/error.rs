//! Why something gave no value.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::refusal::Refusal;
use crate::value::Kind;

/// What code of the caller may fail with inside ours: a cache's load, a job's handler. `?` makes it of
/// every error, also of one of `anyhow`.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a caller has waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Awaited {
    /// A lock that others hold.
    Lock,
    /// The load of a value: the caller's own, or one that somebody else has begun.
    Load,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Awaited::Lock => "the lock was not free",
            Awaited::Load => "the value was not loaded",
        })
    }
}

/// Why a store, or a service that stands on one, gave no value, cut by what its caller can do next.
///
/// Whoever wants to know no more than that asks [`Error::is_away`], [`Error::is_in_doubt`],
/// [`Error::is_refused`] and [`Error::retry_after`].
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

    /// The store can't be reached now, and nothing left this process: asking again later is safe.
    #[error("not sent: {0}")]
    Away(Away),

    /// The store was closed by this program. Nothing was sent, and nothing ever will be.
    #[error("the store is closed")]
    Closed,

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

    /// What was asked can't be done by anybody: an argument is out of its bounds. Nothing was sent.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what is allowed.
        what: Box<str>,
    },

    /// A value can't be written as bytes, or bytes can't be read as such a value.
    #[error("the value can't be encoded or decoded")]
    Codec(#[source] Cause),

    /// Somebody else has changed it since it was read. Nothing was changed: read it again.
    #[error("somebody else has changed it since it was read")]
    Conflict,

    /// What was to be changed is not there any more. Nothing was changed.
    #[error("it is not there any more")]
    Gone,

    /// It did not come to pass within the time that the caller was ready to wait.
    #[error("{what} within {waited:?}")]
    TimedOut {
        /// What did not come to pass.
        what: Awaited,
        /// How long the caller waited.
        waited: Duration,
    },

    /// The caller's own code failed: what loads a value, what handles a job.
    #[error("the value could not be loaded")]
    Load(#[source] Cause),
}

impl Error {
    /// Whether the store can't be reached, or has been closed. Nothing was sent.
    pub fn is_away(&self) -> bool {
        matches!(self, Error::Away(_) | Error::Closed)
    }

    /// Whether nobody knows if it happened: it was sent, and the answer did not come.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Error::Unanswered { .. })
    }

    /// Whether the store itself said no. Nothing was changed.
    pub fn is_refused(&self) -> bool {
        matches!(self, Error::Refused(_))
    }

    /// Whether the store refused with this code, such as `NOSCRIPT`.
    pub fn is_refusal(&self, code: &str) -> bool {
        matches!(self, Error::Refused(refusal) if refusal.code() == code)
    }

    /// When it is worth asking again, if whoever was asked said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Away(away) => away.retry_after(),
            _ => None,
        }
    }

    /// The error of the caller's own code, or of the codec, if it is an `E`.
    pub fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Error::Load(cause) | Error::Codec(cause) => cause.0.downcast_ref(),
            _ => None,
        }
    }

    /// An error for a command that was not sent, as the store can't be reached now.
    pub fn away(reason: impl fmt::Display) -> Error {
        Error::Away(Away {
            reason: reason.to_string().into(),
            retry_after_ms: None,
        })
    }

    /// An error for a command that was not sent, with the time after which it is worth asking again.
    /// Whole milliseconds count, a part of one as a whole one.
    pub fn away_for(reason: impl fmt::Display, retry_after: Duration) -> Error {
        let whole_ms = retry_after.as_nanos().div_ceil(1_000_000).max(1);
        let whole_ms = u32::try_from(whole_ms).unwrap_or(u32::MAX);
        Error::Away(Away {
            reason: reason.to_string().into(),
            retry_after_ms: NonZeroU32::new(whole_ms),
        })
    }

    /// An error for a command that was sent and not answered.
    pub fn unanswered(reason: impl fmt::Display) -> Error {
        Error::Unanswered {
            reason: reason.to_string(),
        }
    }

    /// An error for what can't be asked: it says what is wrong and what is allowed.
    pub fn invalid(what: impl fmt::Display) -> Error {
        Error::Invalid {
            what: what.to_string().into(),
        }
    }

    /// An error for a value that can't be written, or bytes that can't be read.
    pub fn codec(cause: impl Into<BoxError>) -> Error {
        Error::Codec(Cause::new(cause))
    }

    /// An error for the caller's own code that failed.
    pub fn load(cause: impl Into<BoxError>) -> Error {
        Error::Load(Cause::new(cause))
    }
}

/// That a store can't be reached, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    reason: Box<str>,
    retry_after_ms: Option<NonZeroU32>,
}

impl Away {
    /// What stands in the way.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When it is worth asking again, if anybody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms
            .map(|ms| Duration::from_millis(ms.get().into()))
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An error of somebody else's, shared by all to whom it happened. Two are equal if they are the same
/// one.
#[derive(Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// A cause of what follows from it.
    pub fn new(error: impl Into<BoxError>) -> Cause {
        Cause(error.into().into())
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_the_callers_code_is_found_again() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::load(missing).clone();
        let cause = error.cause::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(cause, Some(std::io::ErrorKind::NotFound));
        assert!(error.cause::<fmt::Error>().is_none());
        assert!(
            error
                .source()
                .is_some_and(|source| source.to_string() == "entity not found")
        );
    }

    #[test]
    fn the_time_after_which_to_ask_again_is_rounded_up_and_never_zero() {
        let after = |time| Error::away_for("", time).retry_after();
        assert_eq!(after(Duration::ZERO), Some(Duration::from_millis(1)));
        assert_eq!(
            after(Duration::from_micros(1500)),
            Some(Duration::from_millis(2))
        );
        assert_eq!(Error::away("").retry_after(), None);
    }

    #[test]
    fn an_error_is_no_larger_than_a_value() {
        assert!(size_of::<Error>() <= size_of::<crate::Value>());
    }
}
