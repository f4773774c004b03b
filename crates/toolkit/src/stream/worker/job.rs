//! What a handler gets, and what it answers.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::time::Duration;

use larder_store::BoxError;
use tokio_util::sync::CancellationToken;

use crate::stream::Id;

/// An entry that is to be handled.
#[derive(Clone, Debug)]
pub struct Job<T> {
    /// The id of the entry, the same in each delivery.
    pub id: Id,
    /// The value.
    pub body: T,
    /// How often it was delivered, with this time: more than 1 after a failure or a crash.
    pub deliveries: u32,
    /// Fires when the work is no longer wanted: another worker has taken the entry over, or this
    /// one is shut down and its time to drain is over. A handler then has a second to end; one that
    /// takes longer is dropped where it waits.
    ///
    /// What it answers to a shutdown counts if it has done its work, or says that the entry is a
    /// dead letter; after any other failure the entry is left to others, and the delivery does not
    /// count. What it answers after the entry was taken over is of no account.
    pub cancel: CancellationToken,
}

/// Why a handler did not handle an entry, and what is to become of the entry.
///
/// `?` makes one of every error, also of one of `anyhow`, and so does `into()` of a text; the entry
/// is handled again then, when [`Backoff`](super::Backoff) says.
///
/// ```
/// use std::time::Duration;
/// use larder_toolkit::stream::Failure;
///
/// fn pay(amount: &str) -> Result<(), Failure> {
///     let amount: u32 = amount.parse()?;
///     match amount {
///         0 => Err(Failure::dead("nothing to pay")),
///         1..100 => Err(Failure::retry_after(Duration::from_secs(60), "the bank is closed")),
///         _ => Ok(()),
///     }
/// }
/// # assert!(pay("x").is_err() && pay("0").is_err() && pay("100").is_ok());
/// ```
pub struct Failure {
    cause: BoxError,
    remedy: Remedy,
}

/// What is to become of an entry that was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It may work later: after this time, if it is said.
    Retry(Option<Duration>),
    /// It will never work.
    Dead,
}

impl Failure {
    /// A failure after which the entry is handled again, when [`Backoff`](super::Backoff) says.
    pub fn retry(cause: impl Into<BoxError>) -> Failure {
        Failure::new(cause, Remedy::Retry(None))
    }

    /// A failure after which the entry is handled again when this time has passed.
    pub fn retry_after(time: Duration, cause: impl Into<BoxError>) -> Failure {
        Failure::new(cause, Remedy::Retry(Some(time)))
    }

    /// A failure after which the entry is not handled again: it becomes a dead letter.
    pub fn dead(cause: impl Into<BoxError>) -> Failure {
        Failure::new(cause, Remedy::Dead)
    }

    /// What went wrong.
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.cause
    }

    pub(super) fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn new(cause: impl Into<BoxError>, remedy: Remedy) -> Failure {
        let cause = cause.into();
        Failure { cause, remedy }
    }
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(cause: E) -> Failure {
        Failure::retry(cause)
    }
}

impl fmt::Display for Failure {
    /// What went wrong, and what caused it, from the outside to the inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.cause.to_string();
        f.write_str(&told)?;
        let mut source = self.cause.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors tell their source in their own text.
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                write!(told, ": {text}")?;
            }
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("cause", &self.cause)
            .field("remedy", &self.remedy)
            .finish()
    }
}
