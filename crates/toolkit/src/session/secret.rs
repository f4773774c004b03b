//! What tags, digests and keys are derived with.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use larder_store::Error;
use serde::{Deserialize, Deserializer, de};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A secret of the application, which never goes to the store: see [`Sessions::secret`].
///
/// It is read from text or bytes of 32 and more, which nobody can guess: `openssl rand -hex 32`.
///
/// ```
/// use larder_toolkit::session::Secret;
///
/// let secret: Secret = "c7a0b2f1d59e4b7e8a3f6c1d2e9b8a75".parse()?;
/// assert!("letmein".parse::<Secret>().is_err());
/// # Ok::<(), larder_store::Error>(())
/// ```
///
/// [`Sessions::secret`]: super::Sessions::secret
#[derive(Clone)]
pub struct Secret {
    mac: Hmac<Sha256>,
}

impl Secret {
    /// The shortest secret, in bytes.
    pub const LEN_MIN: usize = 32;

    /// A secret of these bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if there are fewer than [`Secret::LEN_MIN`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Secret, Error> {
        let bytes = bytes.as_ref();
        match bytes.len() {
            Secret::LEN_MIN.. => Ok(Secret::keyed(bytes)),
            len => Err(Error::invalid(format_args!(
                "a secret has {} bytes or more, not {len}",
                Secret::LEN_MIN
            ))),
        }
    }

    /// What stands in for a secret where there is none: everybody knows it.
    pub(super) fn none() -> Secret {
        Secret::keyed(&[])
    }

    fn keyed(key: &[u8]) -> Secret {
        Secret {
            mac: Hmac::new_from_slice(key).expect("HMAC takes keys of every length"),
        }
    }

    /// 256 bits that follow from the secret, the purpose and the text (RFC 2104, with SHA-256).
    pub(super) fn derive(&self, purpose: &str, text: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = self.mac.clone();
        mac.update(purpose.as_bytes());
        // What ends a purpose is in none: no other pair is the same bytes.
        mac.update(b"\0");
        mac.update(text.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl FromStr for Secret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Secret, Error> {
        Secret::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for Secret {
    /// Shows nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}
