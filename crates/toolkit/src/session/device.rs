//! Where a session is used: what lets its user tell it from others in a list.
//!
//! Who lists sessions has none of their tokens. So a device is sealed with a key that follows from the user's
//! name and the application's [`Secret`], and bound to the session's digest. It stands before the data:
//!
//! ```text
//! +--------+------------------+----------------+---------------------------+
//! |   2    | length, 2 bytes, | sealed device, | sealed data, which begins |
//! | 1 byte | high byte first  | as in token.rs | with a 3                  |
//! +--------+------------------+----------------+---------------------------+
//! ```
//!
//! A session without a device is the sealed data alone.

use std::net::IpAddr;

use larder_store::Error;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::token;
use crate::codec;

/// What a session with a device begins with.
const WITH_DEVICE: u8 = 2;

/// What stands before the device.
const HEAD_LEN: usize = 3;

/// Where a session is used, as its application knows it: see [`Sessions::on_device`].
///
/// [`Sessions::on_device`]: super::Sessions::on_device
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
pub(super) fn join(device: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let len = u16::try_from(device.len()).map_err(Error::codec)?;
    let mut stored = Vec::with_capacity(HEAD_LEN + device.len() + data.len());
    stored.push(WITH_DEVICE);
    stored.extend_from_slice(&len.to_be_bytes());
    stored.extend_from_slice(device);
    stored.extend_from_slice(data);
    Ok(stored)
}
