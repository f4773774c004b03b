//! Why there is no answer.

use std::sync::Arc;

use larder_store::{Error, Refusal};

use super::answer::Malformed;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The request did not leave this process.
    NotSent(Loss),
    /// It did, or a part of it, and nobody knows whether it was executed.
    Unanswered(Loss),
}

impl Failure {
    pub(crate) fn loss(&self) -> &Loss {
        match self {
            Failure::NotSent(loss) | Failure::Unanswered(loss) => loss,
        }
    }

    pub(crate) fn into_loss(self) -> Loss {
        match self {
            Failure::NotSent(loss) | Failure::Unanswered(loss) => loss,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::NotSent(loss) => Error::away(loss),
            Failure::Unanswered(loss) => Error::unanswered(loss),
        }
    }
}

/// What ended a connection, or the wait for an answer on it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Loss {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection was lost: {0}")]
    Io(Arc<std::io::Error>),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It said so without having been asked, as a server that has as many clients as it may.
    #[error("the server ended the connection: {0}")]
    TurnedAway(Refusal),
    #[error("no answer came in time")]
    Late,
    #[error("as many commands are under way as may be, and none was answered in time")]
    NoTurn,
    /// Somebody here has given it up.
    #[error("{0}")]
    GivenUp(&'static str),
}

impl From<std::io::Error> for Loss {
    fn from(error: std::io::Error) -> Loss {
        Loss::Io(Arc::new(error))
    }
}

pub(super) const GIVEN_UP: Loss = Loss::GivenUp("the connection was given up");
