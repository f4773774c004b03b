//! The sessions of a namespace: made, loaded, listed and ended.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Error, FromValue, Key, Keys, Script, ScriptCall, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::calls::{self, Found, Known, Stored};
use super::device::{self, Device};
use super::loaded::{Listed, Session, decode, encode};
use super::secret::Secret;
use super::token::{self, Sealed, Token, tag_of};

/// The code of the refusal of one session more than a user may have: see [`AtMost::Refuse`].
pub const TOO_MANY: &str = "TOOMANY";

/// How many exchanges of a token are followed. Who rotates oftener within the grace logs in again.
pub(super) const EXCHANGES_MAX: usize = 16;

/// What becomes of one session more than a user may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtMost {
    /// It is made, and the one ends that would expire first.
    #[default]
    EndOldest,
    /// It is refused: [`Error::is_refusal`] of [`TOO_MANY`].
    Refuse,
}

/// The sessions of a namespace, with data of type `T`. Cloning it is cheap and shares them.
pub struct Sessions<T> {
    store: Store,
    keys: Keys,
    pub(super) secret: Secret,
    idle: Duration,
    absolute: Duration,
    pub(super) rotate_grace: Duration,
    /// How many sessions a user may have, 0 for any number.
    pub(super) per_user: u32,
    at_most: AtMost,
    /// Where they are used now.
    device: Option<Arc<Device>>,
    data: PhantomData<fn(T) -> T>,
}

/// Where a token leads.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it came")]
pub(super) enum Lead<T> {
    /// To this session.
    Here(Session<T>),
    /// To a login, which got this token.
    LoggedIn(Token),
    /// To nothing.
    Nowhere,
}

impl<T: Serialize + DeserializeOwned> Sessions<T> {
    /// The shortest that a session may last: a second.
    pub const LASTING_MIN: Duration = Duration::from_secs(1);

    /// The longest that a session may last: ten years.
    pub const LASTING_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

    /// The longest [`Sessions::rotate_grace`]: an hour.
    pub const GRACE_MAX: Duration = Duration::from_secs(60 * 60);

    /// The sessions of this namespace. They last for 7 days without being seen, and 30 days at
    /// most, and a user may have any number of them.
    pub fn new(store: &Store, namespace: &str) -> Sessions<T> {
        Sessions {
            store: store.clone(),
            keys: Keys::new(namespace, "session"),
            secret: Secret::none(),
            idle: Duration::from_secs(7 * 24 * 60 * 60),
            absolute: Duration::from_secs(30 * 24 * 60 * 60),
            rotate_grace: Duration::from_secs(10),
            per_user: 0,
            at_most: AtMost::EndOldest,
            device: None,
            data: PhantomData,
        }
    }

    /// The same sessions, in which the names of users, and tokens, are known to the store by what
    /// follows from them and a secret of the application.
    ///
    /// Without one, keys and tokens hold a plain digest of the user's name: whoever sees them and
    /// can guess the name (a number, an address) finds out that it is right, and whoever can write
    /// the store can make sessions up. With one they can do neither. A session is none to whoever
    /// has another secret: to change it ends all sessions.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Sessions<T> {
        self.secret = secret;
        self
    }

    /// The same sessions, which last for this long without being seen, or up to a hundredth less:
    /// [`Sessions::load`] notes no oftener that a session was seen. Like all settings of time, it
    /// goes with each session that is made from now on.
    ///
    /// # Panics
    ///
    /// If it is not from [`Sessions::LASTING_MIN`] to [`Sessions::LASTING_MAX`].
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Sessions<T> {
        self.idle = Self::lasting(time);
        self
    }

    /// The same sessions, which last for this long at most, however often they are seen.
    ///
    /// # Panics
    ///
    /// If it is not from [`Sessions::LASTING_MIN`] to [`Sessions::LASTING_MAX`].
    #[must_use]
    pub fn absolute(mut self, time: Duration) -> Sessions<T> {
        self.absolute = Self::lasting(time);
        self
    }

    fn lasting(time: Duration) -> Duration {
        assert!(
            (Self::LASTING_MIN..=Self::LASTING_MAX).contains(&time),
            "a session lasts from {:?} to {:?}, not {time:?}",
            Self::LASTING_MIN,
            Self::LASTING_MAX
        );
        time
    }

    /// The same sessions, whose old tokens lead to the new ones for this long after
    /// [`Sessions::rotate`]: 10 seconds by default.
    ///
    /// A browser sends requests side by side, and answers get lost: whoever comes with the old
    /// token in this time is given the new one. Zero makes the old token void at once.
    ///
    /// # Panics
    ///
    /// If it is above [`Sessions::GRACE_MAX`].
    #[must_use]
    pub fn rotate_grace(mut self, time: Duration) -> Sessions<T> {
        assert!(
            time <= Self::GRACE_MAX,
            "a token is followed for {:?} at most, not {time:?}",
            Self::GRACE_MAX
        );
        self.rotate_grace = time;
        self
    }

    /// The same sessions, of which a user may have so many.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[must_use]
    pub fn max_per_user(mut self, sessions: u32, at_most: AtMost) -> Sessions<T> {
        assert!(sessions > 0, "a user may have 1 session or more, not 0");
        (self.per_user, self.at_most) = (sessions, at_most);
        self
    }

    /// Makes a session for a user who has just shown who they are. For a visitor who had one before
    /// there is [`Sessions::log_in`].
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the data can't be encoded, or not be read again, and nothing was written;
    /// a refusal of [`TOO_MANY`]; or that of the store. If that is in doubt, there may be a session
    /// that nobody has the token of. It expires like any other.
    pub async fn create(&self, user: &str, data: T) -> Result<Session<T>, Error> {
        let token = Token::new(&tag_of(user, &self.secret), &self.secret);
        let encoded = encode(Some(user), &data)?;
        let device = self.device_after(None);
        self.make(token, encoded, device, self.per_user).await
    }

    /// Makes a session for a visitor who has not said who they are. It has keys of its own.
    ///
    /// # Errors
    ///
    /// As [`Sessions::create`].
    pub async fn create_anonymous(&self, data: T) -> Result<Session<T>, Error> {
        let token = Token::new(&token::anonymous_tag(), &self.secret);
        self.make(token, encode(None, &data)?, None, 0).await
    }

    pub(super) async fn make(
        &self,
        token: Token,
        encoded: Bytes,
        device: Option<Device>,
        per_user: u32,
    ) -> Result<Session<T>, Error> {
        // What is stored is what will be loaded; and what can't be loaded is not stored.
        let (user, data) = decode(&encoded)?;
        let id = token.digest();
        let used = user.as_deref().zip(device.as_ref());
        let sealed = self.seal(&token, 1, &encoded, used)?;
        let made = self
            .on_user(&calls::CREATE, token.tag())
            .arg(&id)
            .arg(&sealed)
            .arg(self.idle)
            .arg(self.absolute)
            .arg(per_user)
            .arg(self.at_most == AtMost::Refuse)
            .run();
        let known: Known = match made.await {
            Ok(known) => known,
            Err(error) if error.is_in_doubt() => {
                // It is looked for and not sent again: a request that arrives late would make a
                // session anew that has ended since.
                return match self.lead(token).await {
                    Ok(Lead::Here(session)) => Ok(session),
                    _ => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        Ok(Session {
            data,
            id,
            token,
            user,
            device,
            version: known.version,
            times: known.times,
            in_doubt: None,
        })
    }

    /// The session with this token, which counts as seen. `None` if there is none: it has ended,
    /// or the token is none.
    ///
    /// It has another token than this if that was exchanged in the last moments
    /// ([`Sessions::rotate_grace`]): whoever holds the old one is to be given the new one.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the data is of another type or was changed in the store, where it stays
    /// as it is; or that of the store. To note that a session was seen is worth no error: a store
    /// that is full, or may only be read, gives it all the same.
    pub async fn load(&self, token: &str) -> Result<Option<Session<T>>, Error> {
        let Some(token) = Token::parse(token, &self.secret) else {
            return Ok(None);
        };
        Ok(match self.lead(token).await? {
            Lead::Here(session) => Some(session),
            Lead::LoggedIn(_) | Lead::Nowhere => None,
        })
    }

    /// Whether the session with this token went to a login in the last minute.
    ///
    /// What other requests of that visitor still wanted to write to it is not for a new session:
    /// its token would take the place of the one that the login has just got.
    ///
    /// # Errors
    ///
    /// As [`Sessions::load`].
    pub async fn has_logged_in(&self, token: &str) -> Result<bool, Error> {
        let Some(token) = Token::parse(token, &self.secret) else {
            return Ok(false);
        };
        Ok(matches!(self.lead(token).await?, Lead::LoggedIn(_)))
    }

    /// Follows a token to its session.
    pub(super) async fn lead(&self, mut token: Token) -> Result<Lead<T>, Error> {
        for _ in 0..EXCHANGES_MAX {
            let id = token.digest();
            let call = self.on_session(&calls::LOAD, token.tag(), &id);
            let word = match call.run().await? {
                Found::Session(stored) => return self.open(token, id, &stored).map(Lead::Here),
                Found::Gone { word: Some(word) } => word,
                Found::Gone { word: None } => break,
            };
            if let Some(login) = self.read(&token, Sealed::LoggedIn, &word) {
                return Ok(Lead::LoggedIn(login));
            }
            match self.read(&token, Sealed::Exchanged, &word) {
                Some(next) => token = next,
                None => break,
            }
        }
        Ok(Lead::Nowhere)
    }

    /// The token in a word that was left where this one has led.
    pub(super) fn read(&self, token: &Token, what: Sealed, word: &[u8]) -> Option<Token> {
        let opened = token.open(what, word)?;
        Token::parse(std::str::from_utf8(&opened).ok()?, &self.secret)
    }

    /// A session as the store has it, opened with its token, of which this is the digest.
    pub(super) fn open(
        &self,
        token: Token,
        id: String,
        stored: &Stored,
    ) -> Result<Session<T>, Error> {
        let what = Sealed::Data(stored.known.version);
        let (device, sealed) = device::split(&stored.sealed);
        let opened = token.open(what, sealed);
        let encoded = opened.ok_or_else(|| {
            Error::codec("the session can't be opened with its token: it was changed in the store")
        })?;
        let (user, data): (Option<String>, T) = decode(&encoded)?;
        let device = { user.as_deref().zip(device) }
            .and_then(|(user, sealed)| Device::open(&self.secret, user, &id, sealed));
        Ok(Session {
            data,
            id,
            token,
            user,
            device,
            version: stored.known.version,
            times: stored.known.times,
            in_doubt: None,
        })
    }

    /// Ends a session. Answers whether there was such a session.
    ///
    /// # Errors
    ///
    /// That of the store; if it is in doubt, the session may have ended.
    pub async fn destroy(&self, token: &str) -> Result<bool, Error> {
        let mut token = Token::parse(token, &self.secret);
        for _ in 0..EXCHANGES_MAX {
            let Some(known) = &token else { break };
            let digest = known.digest();
            let call = self.on_session(&calls::DESTROY, known.tag(), &digest);
            let (is_ended, word): (bool, Option<Bytes>) = call.run().await?;
            if is_ended {
                return Ok(true);
            }
            token = word.and_then(|word| self.read(known, Sealed::Exchanged, &word));
        }
        Ok(false)
    }

    /// Ends all sessions of a user. Answers how many there were.
    ///
    /// # Errors
    ///
    /// That of the store; if it is in doubt, the sessions may have ended.
    pub async fn destroy_all(&self, user: &str) -> Result<u64, Error> {
        let tag = tag_of(user, &self.secret);
        self.on_user(&calls::DESTROY_ALL, &tag).run().await
    }

    /// Ends a session of a user by its id in [`Sessions::list`]. Answers whether there was such a
    /// session.
    ///
    /// # Errors
    ///
    /// That of the store; if it is in doubt, the session may have ended.
    pub async fn destroy_listed(&self, user: &str, id: &str) -> Result<bool, Error> {
        // It often comes from a form.
        if !token::is_digest(id) {
            return Ok(false);
        }
        let call = self.on_session(&calls::DESTROY, &tag_of(user, &self.secret), id);
        let (is_ended, _): (bool, Option<Bytes>) = call.run().await?;
        Ok(is_ended)
    }

    /// The sessions of a user, the one that expires last first.
    ///
    /// # Errors
    ///
    /// That of the store.
    pub async fn list(&self, user: &str) -> Result<Vec<Listed>, Error> {
        let tag = tag_of(user, &self.secret);
        let listed: Vec<(String, Known, Option<Bytes>)> =
            self.on_user(&calls::LIST, &tag).run().await?;
        Ok({ listed.into_iter() }
            .map(|(id, known, sealed)| {
                let device =
                    sealed.and_then(|sealed| Device::open(&self.secret, user, &id, &sealed));
                Listed::new(id, known.times, device)
            })
            .collect())
    }

    /// How many sessions a user has.
    ///
    /// # Errors
    ///
    /// That of the store.
    pub async fn count(&self, user: &str) -> Result<u64, Error> {
        let tag = tag_of(user, &self.secret);
        self.on_user(&calls::COUNT, &tag).run().await
    }

    /// How many sessions there are, of users and without one: found by a walk over all keys of the
    /// store, so for a person who looks now and then. Those that have expired count until the next
    /// write to their user's sessions.
    ///
    /// # Errors
    ///
    /// That of the store.
    pub async fn count_all(&self) -> Result<u64, Error> {
        let mut count = 0;
        let mut pages = self.store.scan(self.keys.matching("*"));
        while let Some(keys) = pages.next().await {
            let keys = keys?;
            let lengths = keys.iter().map(|key| Command::new("HLEN").arg(key));
            for fields in self.store.call_all(lengths.collect()).await? {
                count += u64::from_value(fields?)? / calls::FIELDS;
            }
        }
        Ok(count)
    }

    /// A call of a script on the sessions with this tag.
    pub(super) fn on_user<'a>(&'a self, script: &'a Script, tag: &str) -> ScriptCall<'a> {
        self.on_key(script, self.keys.of(tag))
    }

    /// A call of a script on the session with this tag and digest, which is its first argument.
    pub(super) fn on_session<'a>(
        &'a self,
        script: &'a Script,
        tag: &str,
        digest: &str,
    ) -> ScriptCall<'a> {
        let key = self.keys.of(tag);
        let word = key.part(&["went:", digest].concat());
        self.on_key(script, key).key(word).arg(digest)
    }

    /// A call of a script on the sessions under this key.
    fn on_key<'a>(&'a self, script: &'a Script, key: Key) -> ScriptCall<'a> {
        let index = key.part("index");
        script.on(&self.store).key(key).key(index)
    }
}

/// What needs to know nothing of the data.
impl<T> Sessions<T> {
    /// The same sessions, as they are used on this device: each session of a user that is made, saved or
    /// rotated by these is noted to be used there, and [`Sessions::list`] shows it. It is for one request,
    /// say: `sessions.clone().on_device(device).log_in(token, "ann")`. Without a device, the one that was
    /// noted before stays.
    ///
    /// The store sees it sealed with a key that follows from the user's name and the [`Secret`]. Without a
    /// secret, whoever can read the store and guess the name can read it.
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
        let data = token.seal(Sealed::Data(version), encoded)?;
        let Some((user, device)) = used else {
            return Ok(data);
        };
        let digest = token.digest();
        device::join(&device.seal(&self.secret, user, &digest)?, &data)
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Sessions<T> {
        Sessions {
            store: self.store.clone(),
            keys: self.keys.clone(),
            secret: self.secret.clone(),
            device: self.device.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("idle", &self.idle)
            .field("absolute", &self.absolute)
            .finish_non_exhaustive()
    }
}
