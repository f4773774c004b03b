//! Another token for a session: the same session's next one, and that of a login.

use std::time::Duration;

use bytes::Bytes;
use larder_store::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::calls::{self, Changed, settled};
use super::device::Device;
use super::loaded::{Session, encode};
use super::sessions::{Lead, Sessions};
use super::token::{Sealed, Token, tag_of};

/// How often an exchange is begun anew after somebody has saved the session meanwhile.
const TRIES_MAX: usize = 64;

/// How long the word of a login is kept. It leads nobody anywhere but the login itself.
const LOGIN_KEPT: Duration = Duration::from_secs(60);

/// Where a session goes when it leaves its token.
struct Exchange<'a> {
    /// What the word of its new token is sealed as.
    word: Sealed,
    word_kept: Duration,
    to: &'a Token,
    /// What it holds, and where it is used, if it stays with its user.
    stays: Option<(Bytes, Option<Device>)>,
}

impl<T: Serialize + DeserializeOwned> Sessions<T> {
    /// Gives a session another token, and answers it with that. The old token leads to the new one
    /// for [`Sessions::rotate_grace`], and is void then. Data, version and end stay.
    ///
    /// To be done from time to time, so that a token that was seen is not worth much for long. When
    /// somebody logs in, or gets other rights, [`Sessions::log_in`] is to be used: it makes the old
    /// token void at once.
    ///
    /// Nothing is lost with an answer, or with who has dropped the call: who comes again with the
    /// old token within the grace gets the new one, by this and by [`Sessions::load`]. So do
    /// all requests that rotate one token at once.
    ///
    /// It takes two round trips, since the data has to be sealed anew, which the store can't do, and
    /// one more for each time that somebody saves the session between them.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::load`]. [`Error::Conflict`] if others have saved the session dozens of
    /// times meanwhile.
    pub async fn rotate(&self, token: &str) -> Result<Option<Session<T>>, Error> {
        let Some(old) = Token::parse(token, &self.secret) else {
            return Ok(None);
        };
        let Lead::Here(mut session) = self.lead(old.clone()).await? else {
            return Ok(None);
        };
        for _ in 0..TRIES_MAX {
            if session.token != old {
                // Somebody has just rotated it: for all that come with the old token, once.
                return Ok(Some(session));
            }
            let new = Token::new(old.tag(), &self.secret);
            let device = self.device_after(session.device.as_ref());
            let exchange = Exchange {
                word: Sealed::Exchanged,
                word_kept: self.rotate_grace,
                to: &new,
                stays: Some((session.encoded()?, device.clone())),
            };
            match self.leave(&session, exchange).await? {
                Changed::Made(known) => {
                    session.id = new.digest();
                    (session.token, session.times) = (new, known.times);
                    session.device = session.user().and(device);
                    return Ok(Some(session));
                }
                Changed::Conflict(stored) => {
                    session = self.open(old.clone(), session.id, &stored)?;
                }
                Changed::Gone { .. } => {
                    // It may be ours, of which the answer was lost, though there is no grace.
                    let lead = match self.lead(new).await? {
                        Lead::Nowhere => self.lead(old.clone()).await?,
                        lead => lead,
                    };
                    let Lead::Here(moved) = lead else {
                        return Ok(None);
                    };
                    return Ok(Some(moved));
                }
            }
        }
        Err(Error::Conflict)
    }

    /// Gives a session to a user who has just shown who they are, with its data and another token.
    /// The old token is void at once, so that who had planted it has nothing (session fixation).
    ///
    /// It goes by these steps, each of which may be the last:
    ///
    /// 1. the session is read;
    /// 2. a session of the user is made, with the same data;
    /// 3. the old one ends, if nobody has saved it since it was read, and leaves word of the new
    ///    one, which only who logs in with the same token and as the same user can follow.
    ///
    /// So to log in again is safe: after a lost answer, or twice at once, it is one session. When
    /// the call is dropped, or the store goes away, between 2 and 3, the old session stays, and the
    /// new one, that nobody has the token of, expires unseen.
    ///
    /// A session that is the user's already is replaced in the same way.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if there is no such session: [`Sessions::create`] makes one. [`Error::Invalid`]
    /// if it is the session of another user, whose data is not this one's. A refusal of
    /// [`TOO_MANY`](super::TOO_MANY), and the old session stays. [`Error::Conflict`] if others have
    /// saved it dozens of times meanwhile. Those of [`Sessions::load`].
    pub async fn log_in(&self, token: &str, user: &str) -> Result<Session<T>, Error> {
        let old = Token::parse(token, &self.secret).ok_or(Error::Gone)?;
        for _ in 0..TRIES_MAX {
            let session = match self.lead(old.clone()).await? {
                Lead::Here(session) => session,
                Lead::LoggedIn(login) => return self.logged_in(login, user).await,
                Lead::Nowhere => return Err(Error::Gone),
            };
            if let Some(new) = self.hand_over(&session, user).await? {
                return Ok(new);
            }
        }
        Err(Error::Conflict)
    }

    /// Makes a user's session of one, and ends that. `None` if somebody has saved it, ended it or
    /// logged in with it meanwhile.
    async fn hand_over(
        &self,
        session: &Session<T>,
        user: &str,
    ) -> Result<Option<Session<T>>, Error> {
        let (per_user, device) = match session.user() {
            None => (self.per_user, None),
            // One goes as one comes.
            Some(owner) if owner == user => (0, session.device()),
            Some(_) => {
                let what = "the session is another user's: end it, and make one";
                return Err(Error::invalid(what));
            }
        };
        let token = Token::new(&tag_of(user, &self.secret), &self.secret);
        let encoded = encode(Some(user), &session.data)?;
        let device = self.device_after(device);
        let new = self.make(token, encoded, device, per_user).await?;
        let exchange = Exchange {
            word: Sealed::LoggedIn,
            word_kept: LOGIN_KEPT,
            to: &new.token,
            stays: None,
        };
        let has_left = match self.leave(session, exchange).await? {
            Changed::Made(_) => true,
            Changed::Conflict(_) => false,
            // It was this call, if the word is ours, and its answer was lost.
            Changed::Gone { word } => {
                let went = word.and_then(|word| self.read(&session.token, Sealed::LoggedIn, &word));
                went.as_ref() == Some(&new.token)
            }
        };
        if has_left {
            return Ok(Some(new));
        }
        self.destroy(new.token()).await?;
        Ok(None)
    }

    /// The session of a login that has just been, if it is this user's.
    async fn logged_in(&self, login: Token, user: &str) -> Result<Session<T>, Error> {
        match self.lead(login).await? {
            Lead::Here(session) if session.user() == Some(user) => Ok(session),
            _ => Err(Error::Gone),
        }
    }

    /// Takes a session from its token, and leaves word there.
    async fn leave(&self, session: &Session<T>, exchange: Exchange<'_>) -> Result<Changed, Error> {
        let Exchange {
            word,
            word_kept,
            to,
            stays,
        } = exchange;
        let text = session.token.seal(word, to.as_str().as_bytes())?;
        let (digest, sealed) = match stays {
            Some((encoded, device)) => {
                let used = session.user().zip(device.as_ref());
                let sealed = self.seal(to, session.version, &encoded, used)?;
                (to.digest(), sealed)
            }
            None => (String::new(), Vec::new()),
        };
        let left = settled(|| {
            self.on_session(&calls::LEAVE, session.token.tag(), &session.id)
                .arg(session.version)
                .arg(&text)
                .arg(word_kept)
                .arg(&digest)
                .arg(&sealed)
        });
        Ok(left.await?.answer)
    }
}
