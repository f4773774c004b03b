//! What a visitor shows, and what it alone opens.
//!
//! The data of a session is sealed before it goes to the store:
//!
//! ```text
//! +---------+----------+---------------------------+----------+
//! | version |  nonce   | what is sealed, encrypted |   tag    |
//! |  1 byte | 24 bytes |                           | 16 bytes |
//! +---------+----------+---------------------------+----------+
//! ```
//!
//! The cipher is XChaCha20-Poly1305, with a random nonce. Its key is HMAC-SHA256 of the token, which
//! the store never sees (HKDF's extraction, RFC 5869). So there is no key to keep, to share or to
//! replace, and whoever has the store and all other tokens still can't open this session.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::codec::EncodeError;

/// How many hexadecimal digits a tag has, and a secret. A tag is so long that nobody finds a name
/// that has the tag of another user, with whom they would share the keys.
const TAG_LEN: usize = 32;
const SECRET_LEN: usize = 64;

/// The version of sealed data that is written.
const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

/// What the key of a session's data is derived for.
const PURPOSE: &[u8] = b"larder session data";

/// What leads to the keys of a user, without telling who it is.
pub(super) fn tag_of(user: &str) -> String {
    let mut tag = hex::encode(Sha256::digest(user));
    tag.truncate(TAG_LEN);
    tag
}

/// What a visitor shows: `TAG.SECRET`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    text: String,
}

impl Token {
    /// A new one, for the user with this tag.
    pub(super) fn new(tag: &str) -> Token {
        let secret: [u8; SECRET_LEN / 2] = rand::random();
        Token {
            text: format!("{tag}.{}", hex::encode(secret)),
        }
    }

    /// A token that a visitor has shown, if it has the form of one.
    pub(super) fn parse(text: &str) -> Option<Token> {
        let (tag, secret) = text.split_once('.')?;
        let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_token = tag.len() == TAG_LEN && secret.len() == SECRET_LEN;
        (is_token && is_hex(tag) && is_hex(secret)).then(|| Token {
            text: text.to_owned(),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn tag(&self) -> &str {
        &self.text[..TAG_LEN]
    }

    /// What the store knows the token by.
    pub(super) fn digest(&self) -> String {
        hex::encode(Sha256::digest(&self.text))
    }

    /// Seals data, so that only this token opens it.
    pub(super) fn seal(&self, data: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let encrypted = self.cipher().encrypt(&XNonce::from(nonce), data);
        let encrypted = encrypted.map_err(|_| EncodeError::new("it is too long to be sealed"))?;
        Ok([&[VERSION], &nonce[..], &encrypted].concat())
    }

    /// The data that was sealed with this token. `None` if it was not, or was changed since.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, encrypted) = sealed.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let nonce: [u8; NONCE_LEN] = *nonce;
        self.cipher().decrypt(&XNonce::from(nonce), encrypted).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let (key, _) = Hkdf::<Sha256>::extract(Some(PURPOSE), self.text.as_bytes());
        XChaCha20Poly1305::new(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_what_it_sealed() {
        let (token, other) = (Token::new(&tag_of("ann")), Token::new(&tag_of("ann")));
        let sealed = token.seal(b"a cart").expect("it can be sealed");
        assert_eq!(token.open(&sealed).as_deref(), Some(&b"a cart"[..]));
        assert_eq!(other.open(&sealed), None);
        assert_ne!(token.seal(b"a cart").expect("it can be sealed"), sealed);
    }

    #[test]
    fn sealed_data_that_was_changed_is_not_opened() {
        let token = Token::new(&tag_of("ann"));
        let sealed = token.seal(b"a cart").expect("it can be sealed");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(token.open(&changed), None, "byte {place}");
            assert_eq!(token.open(&sealed[..place]), None, "{place} bytes");
        }
    }
}
