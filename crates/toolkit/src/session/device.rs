//! Where a session is used: what lets its user tell it from others in a list.
//!
//! Who lists sessions has none of their tokens. So a device is sealed with a key that follows from the user's
//! name and the application's [`Secret`], and bound to the session's digest. It stands before the data:
//!
//! ```text
//! +--------+------------------+----------------+---------------------------+
//! |   2    | length, 2 bytes, | sealed device, | sealed data, which begins |
//! | 1 byte | high byte first  | as in token.rs | with a 1                  |
//! +--------+------------------+----------------+---------------------------+
//! ```
//!
//! A session without a device is the sealed data alone.

use std::net::IpAddr;
use std::sync::Arc;

use larder_store::Error;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::sessions::Sessions;
use super::token::{self, Sealed, Token};
use crate::codec;

/// What a session with a device begins with.
const WITH_DEVICE: u8 = 2;

/// What stands before the device.
const HEAD_LEN: usize = 3;

/// Where a session is used, as its application knows it: see [`Sessions::on_device`].
///
/// ```
/// use larder_toolkit::session::Device;
///
/// let device = Device::new().user_agent("curl/8.5.0").label("Ann's laptop");
/// assert_eq!(device.user_agent.as_deref(), Some("curl/8.5.0"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Device {
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// From where it came when the session was last written.
    pub address: Option<IpAddr>,
    /// What its user calls it.
    pub label: Option<String>,
}

impl Device {
    /// The longest [`Device::user_agent`] and [`Device::label`], in bytes. What is longer is cut.
    pub const TEXT_MAX: usize = 512;

    /// A device of which nothing is known yet.
    pub fn new() -> Device {
        Device::default()
    }

    /// The same device, of which the browser calls itself so.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Device {
        self.user_agent = Some(cut(user_agent.into()));
        self
    }

    /// The same device, which came from this address.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Device {
        self.address = Some(address);
        self
    }

    /// The same device, which its user calls so.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Device {
        self.label = Some(cut(label.into()));
        self
    }

    pub(super) fn seal(&self, secret: &Secret, user: &str, digest: &str) -> Result<Vec<u8>, Error> {
        let encoded = codec::encode(self).map_err(Error::codec)?;
        let key = secret.derive(PURPOSE, user);
        token::seal(&key, digest.as_bytes(), &encoded)
    }

    /// Reads a sealed device. One that was changed in the store is none: it is worth no session.
    pub(super) fn open(secret: &Secret, user: &str, digest: &str, sealed: &[u8]) -> Option<Device> {
        let key = secret.derive(PURPOSE, user);
        let encoded = token::open(&key, digest.as_bytes(), sealed)?;
        codec::decode(&encoded).ok()
    }
}

/// What the key of a device is derived for.
const PURPOSE: &str = "larder session device";

fn cut(mut text: String) -> String {
    let ends = |len: &usize| text.is_char_boundary(*len);
    if let Some(len) = (0..=Device::TEXT_MAX.min(text.len())).rev().find(ends) {
        text.truncate(len);
    }
    text
}

/// The sealed device of a session as it is stored, if it has one, and its sealed data.
pub(super) fn split(stored: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let device = match stored {
        [WITH_DEVICE, high, low, rest @ ..] => {
            rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    };
    match device {
        Some((device, data)) => (Some(device), data),
        None => (None, stored),
    }
}

/// A session as it is stored, of its sealed device and data.
fn join(device: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let len = u16::try_from(device.len()).map_err(Error::codec)?;
    let mut stored = Vec::with_capacity(HEAD_LEN + device.len() + data.len());
    stored.push(WITH_DEVICE);
    stored.extend_from_slice(&len.to_be_bytes());
    stored.extend_from_slice(device);
    stored.extend_from_slice(data);
    Ok(stored)
}

impl<T> Sessions<T> {
    /// The same sessions, as they are used on this device: each session of a user that is made, saved or
    /// rotated by these is noted to be used there, and [`Sessions::list`] shows it. It is for one request,
    /// say: `sessions.clone().on_device(device).log_in(token, "ann")`. Without a device, the one that was
    /// noted before stays.
    ///
    /// The store sees it sealed with a key that follows from the user's name and the [`Secret`]. Without a
    /// secret, whoever can read the store and guess the name can read it.
    ///
    /// [`Sessions::list`]: super::Sessions::list
    #[must_use]
    pub fn on_device(mut self, device: Device) -> Sessions<T> {
        self.device = Some(Arc::new(device));
        self
    }

    /// The device that is noted for a session that had this one.
    pub(super) fn device_after(&self, before: Option<&Device>) -> Option<Device> {
        self.device.as_deref().or(before).cloned()
    }

    /// Seals what a session holds, and its device for the list of its user's sessions.
    pub(super) fn seal(
        &self,
        token: &Token,
        version: u64,
        encoded: &[u8],
        used: Option<(&str, &Device)>,
    ) -> Result<Vec<u8>, Error> {
        let data = token.seal(&self.secret, Sealed::Data(version), encoded)?;
        let Some((user, device)) = used else {
            return Ok(data);
        };
        let digest = token.digest(&self.secret);
        join(&device.seal(&self.secret, user, &digest)?, &data)
    }
}
