//! A session as it was loaded, or is listed.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use larder_store::Error;
use serde::Serialize;

use super::device::Device;
use super::token::Token;
use crate::codec;

/// A session, as it was when it was loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Session<T> {
    /// What is known of the visit. A change is kept by [`Sessions::save`].
    ///
    /// [`Sessions::save`]: super::Sessions::save
    pub data: T,
    pub(super) token: Token,
    pub(super) user: Option<String>,
    pub(super) device: Option<Device>,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) times: Times,
    /// A save that was sent and not answered.
    pub(super) in_doubt: Option<Attempt>,
}

/// The times of a session, in Unix milliseconds of the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) created: u64,
    pub(super) seen: u64,
    pub(super) expires: u64,
    pub(super) ends: u64,
}

/// A try to save a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// By which the store knows a save that it has made already: [`id_of`](super::token::id_of) what it
    /// sent first.
    pub(super) id: [u8; 16],
    pub(super) encoded: Bytes,
}

impl<T> Session<T> {
    /// What the visitor shows to be known again: for a cookie that is `Secure` and `HttpOnly`.
    pub fn token(&self) -> &str {
        self.token.as_str()
    }

    /// What [`Sessions::list`] calls it: the digest of its token, with which nobody can use it. It
    /// changes with the token.
    ///
    /// [`Sessions::list`]: super::Sessions::list
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose session it is. `None` if the visitor has not said who they are.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Where it was used when it was last written, if it is a user's and somebody said so:
    /// [`Sessions::on_device`].
    ///
    /// [`Sessions::on_device`]: super::Sessions::on_device
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// How often it was saved since it was made for its user, and 1 at the beginning.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        time(self.times.created)
    }

    /// When it was last seen, to within a hundredth of the time that it may last unseen.
    pub fn seen(&self) -> SystemTime {
        time(self.times.seen)
    }

    /// When it expires, unless it is seen before.
    pub fn expires(&self) -> SystemTime {
        time(self.times.expires)
    }

    /// When it ends, however often it is seen.
    pub fn ends(&self) -> SystemTime {
        time(self.times.ends)
    }
}

impl<T: Serialize> Session<T> {
    /// What is sealed for the store.
    pub(super) fn encoded(&self) -> Result<Bytes, Error> {
        encode(self.user(), &self.data)
    }
}

impl<T: fmt::Debug> fmt::Debug for Session<T> {
    /// Shows everything but the token, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("version", &self.version)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// A session in a list: all but what would let somebody use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// [`Session::id`], for [`Sessions::destroy_listed`].
    ///
    /// [`Sessions::destroy_listed`]: super::Sessions::destroy_listed
    pub id: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last seen, to within a hundredth of the time that it may last unseen.
    pub seen: SystemTime,
    /// When it expires, unless it is seen before.
    pub expires: SystemTime,
    /// [`Session::device`].
    pub device: Option<Device>,
}

impl Listed {
    pub(super) fn new(id: String, times: Times, device: Option<Device>) -> Listed {
        Listed {
            id,
            created: time(times.created),
            seen: time(times.seen),
            expires: time(times.expires),
            device,
        }
    }
}

/// A session's user and data as bytes.
pub(super) fn encode<T: Serialize>(user: Option<&str>, data: &T) -> Result<Bytes, Error> {
    codec::encode(&(user, data)).map_err(Error::codec)
}

/// A session's user and data.
pub(super) fn decode<T: serde::de::DeserializeOwned>(
    encoded: &[u8],
) -> Result<(Option<String>, T), Error> {
    codec::decode(encoded).map_err(Error::codec)
}

fn time(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms)
}
