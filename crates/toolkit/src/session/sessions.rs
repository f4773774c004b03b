//! The sessions of a namespace.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use larder_store::{Key, Keys, Script, ScriptCall, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::token::{Token, tag_of};
use crate::codec::{self, DecodeError, EncodeError};

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("common.lua"), include_str!($file)))
    };
}

static CREATE: Script = script!("create.lua");
static LOAD: Script = script!("load.lua");
static SAVE: Script = script!("save.lua");
static REFRESH: Script = script!("refresh.lua");
static ROTATE: Script = script!("rotate.lua");
static DESTROY: Script = script!("destroy.lua");
static DESTROY_ALL: Script = script!("destroy_all.lua");
static LIST: Script = script!("list.lua");

/// A session is written as seen when this part of the time that it lasts unseen has passed: a page
/// of fifty requests is one write.
const TOUCH_PART: u32 = 100;

/// Why there is no answer about a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data can't be encoded. Nothing was written.
    #[error(transparent)]
    Encode(#[from] EncodeError),

    /// The session is there, and its data is none of the type that was wanted. It stays as it is.
    #[error(transparent)]
    Decode(#[from] DecodeError),

    /// The session is there, and its data is not what was sealed with its token: somebody changed
    /// it in the store. It stays as it is.
    #[error("the data of the session can't be opened with its token: it was changed in the store")]
    Sealed,

    /// The store gave no answer. What was asked of it may have happened.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// Why a session was not saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The session was destroyed, or has expired. It stays so.
    #[error("the session has ended")]
    Gone,

    /// The session was saved by somebody else since it was loaded, and is as they left it.
    #[error("the session was changed meanwhile: it has version {version} now")]
    Conflict {
        /// The version that it has now.
        version: u64,
    },

    /// There is no answer. If the store did not give it, the session may have been saved.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<larder_store::Error> for SaveError {
    fn from(error: larder_store::Error) -> SaveError {
        SaveError::Failed(error.into())
    }
}

/// A session, as it was when it was loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Session<T> {
    /// What is known of the visit. A change is kept by [`Sessions::save`].
    pub data: T,
    token: Token,
    user: String,
    version: u64,
    times: Times,
}

/// The times of a session, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    created: u64,
    seen: u64,
    expires: u64,
    ends: u64,
}

/// A session in a list: all but what would let somebody use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// [`Session::id`], for [`Sessions::destroy_listed`].
    pub id: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last seen, to within a hundredth of the time that it may last unseen.
    pub seen: SystemTime,
    /// When it expires, unless it is seen before.
    pub expires: SystemTime,
}

/// The sessions of a namespace, with data of type `T`. Cloning it is cheap and shares them.
pub struct Sessions<T> {
    store: Store,
    keys: Keys,
    idle: Duration,
    absolute: Duration,
    /// How many sessions a user may have, 0 for any number.
    per_user: u32,
    data: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Sessions<T> {
    /// The longest that a session may last: ten years.
    pub const LASTING_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

    /// The sessions of this namespace. They last for 7 days without being seen, and 30 days at
    /// most, and a user may have any number of them.
    pub fn new(store: &Store, namespace: &str) -> Sessions<T> {
        Sessions {
            store: store.clone(),
            keys: Keys::new(namespace, "session"),
            idle: Duration::from_secs(7 * 24 * 60 * 60),
            absolute: Duration::from_secs(30 * 24 * 60 * 60),
            per_user: 0,
            data: PhantomData,
        }
    }

    /// The same sessions, which last for this long without being seen, or up to a hundredth less:
    /// [`Sessions::load`] notes no oftener that a session was seen. From a second to
    /// [`Sessions::LASTING_MAX`]; a time beyond is taken for the nearest of these.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Sessions<T> {
        self.idle = time.clamp(Duration::from_secs(1), Self::LASTING_MAX);
        self
    }

    /// The same sessions, which last for this long at most, however often they are seen: from a
    /// second to [`Sessions::LASTING_MAX`]; a time beyond is taken for the nearest of these. It
    /// counts for sessions that are made from now on.
    #[must_use]
    pub fn absolute(mut self, time: Duration) -> Sessions<T> {
        self.absolute = time.clamp(Duration::from_secs(1), Self::LASTING_MAX);
        self
    }

    /// The same sessions, of which a user may have so many. When there is one more, the one goes
    /// that would expire first.
    #[must_use]
    pub fn max_per_user(mut self, sessions: NonZeroU32) -> Sessions<T> {
        self.per_user = sessions.get();
        self
    }

    /// Makes a session for a user who has just shown who they are.
    ///
    /// # Errors
    ///
    /// If the data can't be encoded, or not be read again, and nothing was written. Or if the store
    /// gave no answer; there may be a session then that nobody has the token of. It expires like
    /// any other.
    pub async fn create(&self, user: &str, data: &T) -> Result<Session<T>, Error> {
        let token = Token::new(&tag_of(user));
        let encoded = codec::encode(&(user, data))?;
        // What is stored is what will be loaded; going through it keeps `T: Clone` away.
        let (user, data) = codec::decode(&encoded)?;
        let (version, times): (u64, Times) = self
            .call(&CREATE, token.tag())
            .arg(token.digest())
            .arg(token.seal(&encoded)?)
            .arg(self.idle)
            .arg(self.absolute)
            .arg(self.per_user)
            .run()
            .await
            .map(split)?;
        Ok(Session {
            data,
            token,
            user,
            version,
            times,
        })
    }

    /// The session with this token, which counts as seen. `None` if there is none: it has ended,
    /// or the token is none.
    ///
    /// # Errors
    ///
    /// If the data is of another type or was changed in the store, or the store gave no answer.
    pub async fn load(&self, token: &str) -> Result<Option<Session<T>>, Error> {
        let Some(token) = Token::parse(token) else {
            return Ok(None);
        };
        let found: Option<Found> = self
            .call(&LOAD, token.tag())
            .arg(token.digest())
            .arg(self.idle)
            .arg(self.idle / TOUCH_PART)
            .run()
            .await?;
        found.map(|found| Session::found(token, found)).transpose()
    }

    /// Keeps the data of a session. The session counts as seen, and has the next version.
    ///
    /// # Errors
    ///
    /// [`SaveError::Gone`] and [`SaveError::Conflict`] if the session is not as it was loaded;
    /// nothing was changed then. To try again after a conflict, load the session anew.
    pub async fn save(&self, session: &mut Session<T>) -> Result<(), SaveError> {
        let changed: Changed = self
            .call(&SAVE, session.token.tag())
            .arg(session.token.digest())
            .arg(self.idle)
            .arg(session.version)
            .arg(session.sealed()?)
            .run()
            .await?;
        session.take(changed)
    }

    /// Notes that a session was seen. Answers whether there is such a session. [`Sessions::load`]
    /// does this as well.
    ///
    /// # Errors
    ///
    /// If the store gave no answer.
    pub async fn refresh(&self, token: &str) -> Result<bool, Error> {
        let Some(token) = Token::parse(token) else {
            return Ok(false);
        };
        let call = self
            .call(&REFRESH, token.tag())
            .arg(token.digest())
            .arg(self.idle);
        Ok(call.run().await?)
    }

    /// Gives a session another token, and answers it with that. The old token is void.
    ///
    /// To be done when what the user may do changes, so that a token that was planted or seen
    /// before is worth nothing (session fixation). Data, version and times stay.
    ///
    /// It takes two round trips, since the data has to be sealed anew, which the store can't do, and
    /// two more for each time that somebody saves the session between them.
    ///
    /// # Errors
    ///
    /// If the data is of another type or was changed in the store, or the store gave no answer; the
    /// old token may be void then.
    pub async fn rotate(&self, token: &str) -> Result<Option<Session<T>>, Error> {
        while let Some(mut session) = self.load(token).await? {
            let token = Token::new(session.token.tag());
            let old = mem::replace(&mut session.token, token);
            let changed: Changed = self
                .call(&ROTATE, old.tag())
                .arg(old.digest())
                .arg(self.idle)
                .arg(session.version)
                .arg(session.sealed()?)
                .arg(session.token.digest())
                .run()
                .await?;
            match session.take(changed) {
                Ok(()) => return Ok(Some(session)),
                Err(SaveError::Conflict { .. }) => {}
                Err(SaveError::Gone) => return Ok(None),
                Err(SaveError::Failed(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Ends a session. Answers whether there was such a session.
    ///
    /// # Errors
    ///
    /// If the store gave no answer; the session may have ended.
    pub async fn destroy(&self, token: &str) -> Result<bool, Error> {
        let Some(token) = Token::parse(token) else {
            return Ok(false);
        };
        Ok(self
            .call(&DESTROY, token.tag())
            .arg(token.digest())
            .run()
            .await?)
    }

    /// Ends all sessions of a user. Answers how many there were.
    ///
    /// # Errors
    ///
    /// If the store gave no answer; the sessions may have ended.
    pub async fn destroy_all(&self, user: &str) -> Result<u64, Error> {
        Ok(self.call(&DESTROY_ALL, &tag_of(user)).run().await?)
    }

    /// Ends a session of a user by its id in [`Sessions::list`]. Answers whether there was such a
    /// session.
    ///
    /// # Errors
    ///
    /// If the store gave no answer; the session may have ended.
    pub async fn destroy_listed(&self, user: &str, id: &str) -> Result<bool, Error> {
        Ok(self.call(&DESTROY, &tag_of(user)).arg(id).run().await?)
    }

    /// The sessions of a user, the one that expires last first.
    ///
    /// # Errors
    ///
    /// If the store gave no answer.
    pub async fn list(&self, user: &str) -> Result<Vec<Listed>, Error> {
        let listed: Vec<(String, Numbers)> = self.call(&LIST, &tag_of(user)).run().await?;
        Ok(listed
            .into_iter()
            .map(|(id, numbers)| Listed::new(id, split(numbers).1))
            .collect())
    }

    /// A call of a script on the sessions of the user with this tag.
    fn call<'a>(&'a self, script: &'a Script, tag: &str) -> ScriptCall<'a> {
        let key: Key = self.keys.of(tag);
        let index = key.part("index");
        script.on(&self.store).key(key).key(index)
    }
}

/// What the scripts know of a session: its version, and its times.
type Numbers = (u64, u64, u64, u64, u64);

/// What is found by a token: the sealed data, and the numbers.
type Found = (Bytes, Numbers);

/// What became of a change: its outcome, and the numbers that go with it.
type Changed = (u64, Vec<u64>);

fn split((version, created, seen, expires, ends): Numbers) -> (u64, Times) {
    (
        version,
        Times {
            created,
            seen,
            expires,
            ends,
        },
    )
}

impl<T> Session<T> {
    /// What the visitor shows to be known again: for a cookie that is `Secure` and `HttpOnly`.
    pub fn token(&self) -> &str {
        self.token.as_str()
    }

    /// What [`Sessions::list`] calls it: the digest of its token, with which nobody can use it. It
    /// changes with the token.
    pub fn id(&self) -> String {
        self.token.digest()
    }

    /// Whose session it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How often it was saved, and 1 at the beginning.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        time(self.times.created)
    }

    /// When it expires, unless it is seen before.
    pub fn expires(&self) -> SystemTime {
        time(self.times.expires)
    }

    /// When it ends, however often it is seen.
    pub fn ends(&self) -> SystemTime {
        time(self.times.ends)
    }

    /// Takes over what a change has made of the session.
    fn take(&mut self, (outcome, numbers): Changed) -> Result<(), SaveError> {
        match (outcome, &numbers[..]) {
            (2, &[version, created, seen, expires, ends]) => {
                (self.version, self.times) = split((version, created, seen, expires, ends));
                Ok(())
            }
            (1, &[version]) => Err(SaveError::Conflict { version }),
            _ => Err(SaveError::Gone),
        }
    }
}

impl<T: DeserializeOwned> Session<T> {
    fn found(token: Token, (sealed, numbers): Found) -> Result<Session<T>, Error> {
        let encoded = token.open(&sealed).ok_or(Error::Sealed)?;
        let (user, data) = codec::decode(&encoded)?;
        let (version, times) = split(numbers);
        Ok(Session {
            data,
            token,
            user,
            version,
            times,
        })
    }
}

impl<T: Serialize> Session<T> {
    /// What the store is given of it.
    fn sealed(&self) -> Result<Vec<u8>, Error> {
        let encoded = codec::encode(&(&self.user, &self.data))?;
        Ok(self.token.seal(&encoded)?)
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

impl Listed {
    fn new(id: String, times: Times) -> Listed {
        Listed {
            id,
            created: time(times.created),
            seen: time(times.seen),
            expires: time(times.expires),
        }
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Sessions<T> {
        Sessions {
            store: self.store.clone(),
            keys: self.keys.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

fn time(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms)
}
