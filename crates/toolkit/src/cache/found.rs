//! What there is under a name.

use bytes::Bytes;
use larder_store::Error;

use super::entry::Version;

/// What a look for a value found.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// A value in its time.
    Fresh(T),
    /// A value in its time, of which so little is left that a new one should be loaded.
    Due(T, Seen<T>),
    /// None.
    No(Seen<T>),
}

/// What there is in place of a value in its time: where whoever loads one begins.
#[derive(Debug)]
pub(super) struct Seen<T> {
    /// A value past its time, to go on with if there is no better one.
    pub(super) stale: Option<T>,
    /// The bytes under the key, if there are any, whether they can be read or not.
    pub(super) bytes: Bytes,
    /// The version of the namespace, if it has one.
    pub(super) era: Option<Version>,
}

/// A value in its time, or else what was seen instead, if the store gave an answer.
pub(super) fn fresh<T>(look: Result<Found<T>, Error>) -> Result<T, Result<Seen<T>, Error>> {
    match look {
        Ok(Found::Fresh(value) | Found::Due(value, _)) => Ok(value),
        Ok(Found::No(seen)) => Err(Ok(seen)),
        Err(error) => Err(Err(error)),
    }
}
