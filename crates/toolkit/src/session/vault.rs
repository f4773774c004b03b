//! Values that only who knows their names can find and open.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Error, Key, Keys, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::secret::Secret;
use super::token::{Sealed, Token};
use crate::codec;

/// Values under names that are secrets: the ids of somebody else's sessions, the tokens in mails
/// that let people set a new password.
///
/// The store sees digests of names, and values that are sealed with their names. Each operation is
/// one command, and what is kept ends with its time.
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use std::time::Duration;
/// use larder_toolkit::session::Vault;
///
/// let resets = Vault::new(&store, "shop", "password-reset");
/// let hour = Duration::from_secs(3600);
/// assert!(resets.create("Hq3vXo81mDk2tYbN", &"ann", hour).await?);
/// assert_eq!(resets.get::<String>("Hq3vXo81mDk2tYbN").await?.as_deref(), Some("ann"));
/// assert!(resets.remove("Hq3vXo81mDk2tYbN").await?);
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Vault {
    store: Store,
    keys: Keys,
    secret: Secret,
}

impl Vault {
    /// The vault of this kind of thing in this namespace.
    pub fn new(store: &Store, namespace: &str, kind: &str) -> Vault {
        Vault {
            store: store.clone(),
            keys: Keys::new(namespace, kind),
            secret: Secret::none(),
        }
    }

    /// The same vault, in which digests and keys follow from a secret of the application too.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Vault {
        self.secret = secret;
        self
    }

    /// Keeps a value for a time, if there is none of this name. Answers whether it did.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if it can't be encoded, or that of the store.
    pub async fn create<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        lasts: Duration,
    ) -> Result<bool, Error> {
        self.set(name, value, lasts, "NX").await
    }

    /// Keeps another value for a time, if there is one of this name. Answers whether it did.
    ///
    /// # Errors
    ///
    /// As [`Vault::create`].
    pub async fn replace<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        lasts: Duration,
    ) -> Result<bool, Error> {
        self.set(name, value, lasts, "XX").await
    }

    async fn set<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        lasts: Duration,
        only: &str,
    ) -> Result<bool, Error> {
        let token = Token::named(name, &self.secret);
        let encoded = codec::encode(value).map_err(Error::codec)?;
        let sealed = token.seal(Sealed::Value, &encoded)?;
        let set = Command::new("SET")
            .arg(self.key(&token))
            .arg(sealed)
            .arg("PX")
            .arg(lasts)
            .arg(only);
        // `OK`, or nothing.
        let done: Option<String> = self.store.run(set).await?;
        Ok(done.is_some())
    }

    /// The value of this name. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if it is of another type or was changed in the store, or that of the store.
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let token = Token::named(name, &self.secret);
        let found: Option<Bytes> = self.store.get(self.key(&token)).await?;
        let Some(sealed) = found else {
            return Ok(None);
        };
        let opened = token.open(Sealed::Value, &sealed);
        let encoded = opened.ok_or_else(|| Error::codec("the value was changed in the store"))?;
        codec::decode(&encoded).map(Some).map_err(Error::codec)
    }

    /// Removes the value of this name. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// That of the store.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        self.store
            .del(self.key(&Token::named(name, &self.secret)))
            .await
    }

    fn key(&self, token: &Token) -> Key {
        self.keys.of(&token.digest())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
