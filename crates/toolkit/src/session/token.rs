//! What a visitor shows, and what it alone opens.
//!
//! What is sealed with a token, before it goes to the store:
//!
//! ```text
//! +---------+----------+---------------------------+----------+
//! | version |  nonce   | what is sealed, encrypted |   tag    |
//! |  1 byte | 12 bytes |                           | 16 bytes |
//! +---------+----------+---------------------------+----------+
//! ```
//!
//! The cipher is AES-256-GCM-SIV (RFC 8452). Its key follows from the token, which the store never sees,
//! and from the application's [`Secret`], if there is one. So there is no key to keep or to share, and
//! whoever has the store and all other tokens still can't open this session. What it is sealed as
//! ([`Sealed`]) is authenticated with it: nothing can stand for anything else.
//!
//! No nonce is to come twice ([`random::number`]), but nothing is lost if one does, as after a fork: this
//! cipher then shows that the same was sealed as the same with the same token, and no more (RFC 8452,
//! section 9). Most processors have instructions for AES; on others it takes the same time whatever the
//! bytes are, only longer.

use aes_gcm_siv::Aes256GcmSiv;
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use larder_store::Error;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::secret::Secret;
use crate::random;

/// How many hexadecimal digits a tag has, and a secret. A tag is so long that nobody finds a name
/// that has the tag of another user, with whom they would share the keys.
const TAG_LEN: usize = 32;
const SECRET_LEN: usize = 64;

/// How many hexadecimal digits a digest has.
const DIGEST_LEN: usize = 64;

/// The version of sealed data that is written. A 2 stands before a session with a device.
const VERSION: u8 = 3;
const NONCE_LEN: usize = 12;

/// What stands before the encrypted, and how long the tag behind it is.
const HEAD_LEN: usize = 1 + NONCE_LEN;
const TAG_BYTES: usize = 16;

/// What leads to the keys of a user.
pub(super) fn tag_of(user: &str, secret: &Secret) -> String {
    let mut tag = digits(&secret.derive("larder session user", user));
    tag.truncate(TAG_LEN);
    tag
}

/// What leads to the keys of somebody who has not said who they are.
pub(super) fn anonymous_tag() -> String {
    hex::encode(random::bytes::<{ TAG_LEN / 2 }>())
}

/// Whether a text could be the digest of a token.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_LEN && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // To the end, even after one is none: so the processor looks at many bytes at once.
    text.bytes().fold(true, |all, byte| all & is_digit(byte))
}

/// Bytes as hexadecimal digits.
fn digits(bytes: &[u8; 32]) -> String {
    // Not by `hex::encode`, which grows its text digit by digit: that was 200 ns of each load of a session
    // (November 2026).
    let mut digits = vec![0; 2 * bytes.len()];
    hex::encode_to_slice(bytes, &mut digits).expect("there are two digits for each byte");
    String::from_utf8(digits).expect("digits are text")
}

/// What something is sealed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// The data of a session that has this version.
    Data(u64),
    /// The token that this one was exchanged for: it may be followed.
    Exchanged,
    /// The token of the session to which this one has logged in: only the login may know it.
    LoggedIn,
    /// What is kept under a secret name.
    Value,
}

impl Sealed {
    fn associated(self) -> [u8; 9] {
        let (kind, version) = match self {
            Sealed::Data(version) => (0, version),
            Sealed::Exchanged => (1, 0),
            Sealed::LoggedIn => (2, 0),
            Sealed::Value => (3, 0),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&version.to_le_bytes());
        bytes
    }
}

/// What a visitor shows: `TAG.SECRET`, and the key that follows from it. Both are wiped from memory when
/// they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    text: Zeroizing<String>,
    key: Zeroizing<[u8; 32]>,
}

impl Token {
    /// A new one, which leads to the keys with this tag.
    pub(super) fn new(tag: &str, secret: &Secret) -> Token {
        let random = Zeroizing::new(random::bytes::<{ SECRET_LEN / 2 }>());
        let digits = Zeroizing::new(hex::encode(&random[..]));
        // In one piece, so that nothing of it stays behind where it grew.
        let mut text = Zeroizing::new(String::with_capacity(TAG_LEN + 1 + SECRET_LEN));
        for part in [tag, ".", &digits] {
            text.push_str(part);
        }
        Token::of(text, secret)
    }

    /// A token that a visitor has shown, if it has the form of one.
    pub(super) fn parse(text: &str, secret: &Secret) -> Option<Token> {
        let (tag, random) = text.split_once('.')?;
        let is_token = tag.len() == TAG_LEN && random.len() == SECRET_LEN;
        (is_token && is_hex(tag) && is_hex(random)).then(|| Token::named(text, secret))
    }

    /// A secret name of any form, which leads to no user's keys.
    pub(super) fn named(name: &str, secret: &Secret) -> Token {
        Token::of(Zeroizing::new(name.to_owned()), secret)
    }

    fn of(text: Zeroizing<String>, secret: &Secret) -> Token {
        let key = secret.derive("larder session", &text);
        Token { text, key }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn tag(&self) -> &str {
        &self.text[..TAG_LEN]
    }

    /// What the store knows the token by. It follows from the key, which nobody finds from it.
    pub(super) fn digest(&self) -> String {
        let id = Sha256::new_with_prefix(b"larder session id\0").chain_update(&self.key[..]);
        digits(&id.finalize().into())
    }

    /// Seals bytes, so that only this token opens them, and only as what they are.
    pub(super) fn seal(&self, what: Sealed, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.key, &what.associated(), bytes)
    }

    /// The bytes that were sealed with this token. `None` if they were not, or not as this, or were
    /// changed since.
    pub(super) fn open(&self, what: Sealed, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.key, &what.associated(), sealed)
    }
}

/// Seals bytes with a key. What is associated with them is authenticated.
pub(super) fn seal(key: &[u8; 32], associated: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let number = random::number().to_le_bytes();
    let nonce: &[u8; NONCE_LEN] = number.first_chunk().expect("a number is longer");
    // In one piece, so that nothing of it stays behind where it grew.
    let mut sealed = Vec::with_capacity(HEAD_LEN + bytes.len() + TAG_BYTES);
    sealed.push(VERSION);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(bytes);
    let tag = Aes256GcmSiv::new(key.into()).encrypt_inout_detached(
        nonce.into(),
        associated,
        (&mut sealed[HEAD_LEN..]).into(),
    );
    let tag = tag.map_err(|_| Error::codec("it is too long to be sealed"))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Hexadecimal digits that tell what was sealed from everything else that is sealed: the end of its tag.
/// Since that follows from all of it (RFC 8452, section 4), even a nonce that came twice would give others.
pub(super) fn id_of(sealed: &[u8]) -> [u8; 16] {
    let mut digits = [0; 16];
    let (_, end) = sealed.split_last_chunk::<8>().expect("a tag is longer");
    hex::encode_to_slice(end, &mut digits).expect("there are two digits for each byte");
    digits
}

/// The bytes that were sealed with this key, and with this associated.
pub(super) fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let sealed = sealed.strip_prefix(&[VERSION])?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let (encrypted, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
    let mut bytes = Zeroizing::new(encrypted.to_vec());
    let opened = Aes256GcmSiv::new(key.into()).decrypt_inout_detached(
        nonce.into(),
        associated,
        (&mut bytes[..]).into(),
        tag.into(),
    );
    opened.is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS: Sealed = Sealed::Data(1);

    fn token() -> Token {
        Token::new(&anonymous_tag(), &Secret::none())
    }

    #[test]
    fn only_the_token_opens_what_it_sealed() {
        let (token, other) = (token(), token());
        let sealed = token.seal(AS, b"a cart").expect("it is short");
        let opened = token.open(AS, &sealed).expect("it is its own");
        assert_eq!(&opened[..], b"a cart");
        assert!(other.open(AS, &sealed).is_none());
        assert_ne!(token.seal(AS, b"a cart").expect("it is short"), sealed);
    }

    #[test]
    fn what_is_sealed_is_opened_as_nothing_else() {
        let token = token();
        let sealed = token.seal(AS, b"a cart").expect("it is short");
        for other in [
            Sealed::Data(2),
            Sealed::Exchanged,
            Sealed::LoggedIn,
            Sealed::Value,
        ] {
            assert!(token.open(other, &sealed).is_none(), "{other:?}");
        }
    }

    #[test]
    fn what_is_sealed_again_has_another_id() {
        let token = token();
        let ids = [(); 3].map(|()| id_of(&token.seal(AS, b"a cart").expect("it is short")));
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }

    #[test]
    fn another_secret_opens_nothing() {
        let token = token();
        let secret = Secret::new([7; 32]).expect("it is long enough");
        let secretive = Token::named(token.as_str(), &secret);
        let sealed = secretive.seal(AS, b"a cart").expect("it is short");
        assert!(secretive.open(AS, &sealed).is_some());
        assert!(token.open(AS, &sealed).is_none());
        assert_ne!(token.digest(), secretive.digest());
    }

    #[test]
    fn sealed_data_that_was_changed_is_not_opened() {
        let token = token();
        let sealed = token.seal(AS, b"a cart").expect("it is short");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(token.open(AS, &changed).is_none(), "byte {place}");
            assert!(token.open(AS, &sealed[..place]).is_none(), "{place} bytes");
        }
    }
}
