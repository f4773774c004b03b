//! Changes of what a session holds.

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Error, jitter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::calls::{self, Answered, Changed, Stored, settled};
use super::loaded::{Attempt, Session, decode};
use super::sessions::{EXCHANGES_MAX, Sessions};
use super::token::{self, Sealed, Token};

/// How often a change is made anew after somebody else was first. A hundred who change one session
/// at once all come through: each round lets one in, and the pauses spread the others out.
const MERGES_MAX: u32 = 200;

/// The longest pause before a change is made anew.
const PAUSE_MAX: Duration = Duration::from_millis(64);

/// What became of a save.
enum Saved {
    Done,
    /// Somebody else was first: the session as it is now, and its token.
    Conflict(Token, Stored),
    Gone,
}

impl<T: Serialize + DeserializeOwned> Sessions<T> {
    /// Keeps the data of a session. The session counts as seen, and has the next version; and the
    /// next token, if that was exchanged meanwhile ([`Sessions::rotate_grace`]).
    ///
    /// If an answer is lost, it is asked for again; a save does not conflict with itself.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] and [`Error::Conflict`] if the session is not as it was loaded; nothing was
    /// changed then. To try again after a conflict, load the session anew: [`Sessions::update`] does
    /// so. Or that of the store; if that is in doubt, the session may have been saved, and the next
    /// save finds out.
    pub async fn save(&self, session: &mut Session<T>) -> Result<(), Error> {
        match self.try_save(session, session.encoded()?).await? {
            Saved::Done => Ok(()),
            Saved::Conflict(..) => Err(Error::Conflict),
            Saved::Gone => Err(Error::Gone),
        }
    }

    /// Changes the data of the session with this token, and answers the session.
    ///
    /// If somebody else saves it meanwhile, the change is made anew on what they have left: it is
    /// made to what is stored, or not at all. A change that changes nothing is not saved.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if there is no such session, or it ended meanwhile. [`Error::Conflict`] if
    /// others were first for two hundred times. Those of [`Sessions::load`] and [`Sessions::save`];
    /// if that is in doubt, the change may have been made.
    pub async fn update(
        &self,
        token: &str,
        change: impl FnMut(&mut T),
    ) -> Result<Session<T>, Error> {
        let mut session = self.load(token).await?.ok_or(Error::Gone)?;
        self.merge(&mut session, change).await?;
        Ok(session)
    }

    /// Changes the data of a session that was loaded, as [`Sessions::update`] does with one round
    /// trip more. What else was changed in `session` since it was loaded is saved with it, but is
    /// lost if somebody else was first.
    ///
    /// # Errors
    ///
    /// As [`Sessions::update`]. The session is as it was then.
    pub async fn merge(
        &self,
        session: &mut Session<T>,
        mut change: impl FnMut(&mut T),
    ) -> Result<(), Error> {
        for round in 0..MERGES_MAX {
            let before = session.encoded()?;
            change(&mut session.data);
            let saved = match session.encoded() {
                Ok(after) if after == before && session.in_doubt.is_none() => return Ok(()),
                Ok(after) => self.try_save(session, after).await,
                Err(error) => Err(error),
            };
            let error = match saved {
                Ok(Saved::Done) => return Ok(()),
                Ok(Saved::Conflict(token, stored)) => {
                    *session = self.open(token, session.id.clone(), &stored)?;
                    tokio::time::sleep(pause(round)).await;
                    continue;
                }
                Ok(Saved::Gone) => Error::Gone,
                Err(error) => error,
            };
            (_, session.data) = decode::<T>(&before)?;
            return Err(error);
        }
        Err(Error::Conflict)
    }

    /// Saves a session, after a save of which nobody knows whether it happened.
    async fn try_save(&self, session: &mut Session<T>, encoded: Bytes) -> Result<Saved, Error> {
        if let Some(earlier) = session.in_doubt.clone() {
            let sealed = self.seal_next(session, &earlier.encoded)?;
            match self.send(session, &earlier, sealed).await? {
                Saved::Done if earlier.encoded == encoded => return Ok(Saved::Done),
                Saved::Done => {}
                Saved::Gone => return Ok(Saved::Gone),
                // Maybe on what the earlier one has left: it must not be made again.
                Saved::Conflict(..) => {
                    let reason = "an earlier save was not answered, and others have saved since";
                    return Err(Error::unanswered(reason));
                }
            }
        }
        let sealed = self.seal_next(session, &encoded)?;
        let attempt = Attempt {
            id: token::id_of(&sealed),
            encoded,
        };
        // Whoever drops the save leaves it in doubt.
        session.in_doubt = Some(attempt.clone());
        let saved = self.send(session, &attempt, sealed).await;
        if saved.as_ref().is_err_and(|error| !error.is_in_doubt()) {
            session.in_doubt = None;
        }
        saved
    }

    /// Sends a save. If an answer was lost, it is done or in doubt: what looks as if it had failed may
    /// be what others have made of it, and must not be made again.
    async fn send(
        &self,
        session: &mut Session<T>,
        attempt: &Attempt,
        sealed: Vec<u8>,
    ) -> Result<Saved, Error> {
        let mut was_lost = None;
        match self.follow(session, attempt, sealed, &mut was_lost).await {
            Ok(Saved::Done) => Ok(Saved::Done),
            saved => was_lost.map_or(saved, Err),
        }
    }

    /// Sends a save, sealed with the session's token, to where the session is.
    async fn follow(
        &self,
        session: &mut Session<T>,
        attempt: &Attempt,
        mut sealed: Vec<u8>,
        was_lost: &mut Option<Error>,
    ) -> Result<Saved, Error> {
        for _ in 0..EXCHANGES_MAX {
            let saved = settled(|| {
                self.on_session(&calls::SAVE, session.token.tag(), &session.id)
                    .arg(session.version)
                    .arg(&sealed)
                    .arg(attempt.id)
            });
            let Answered { answer, lost } = saved.await?;
            *was_lost = was_lost.take().or(lost);
            let word = match answer {
                Changed::Made(known) => {
                    (session.version, session.times) = (known.version, known.times);
                    let device = self.device_after(session.device.as_ref());
                    session.device = session.user().and(device);
                    session.in_doubt = None;
                    return Ok(Saved::Done);
                }
                Changed::Conflict(stored) => {
                    session.in_doubt = None;
                    return Ok(Saved::Conflict(session.token.clone(), stored));
                }
                Changed::Gone { word } => word,
            };
            match word.and_then(|word| self.read(&session.token, Sealed::Exchanged, &word)) {
                Some(next) => {
                    session.id = next.digest();
                    session.token = next;
                    sealed = self.seal_next(session, &attempt.encoded)?;
                }
                None => break,
            }
        }
        session.in_doubt = None;
        Ok(Saved::Gone)
    }

    /// Seals what a session is to hold when it is saved.
    fn seal_next(&self, session: &Session<T>, encoded: &[u8]) -> Result<Vec<u8>, Error> {
        let device = self.device_after(session.device.as_ref());
        let used = session.user().zip(device.as_ref());
        self.seal(&session.token, session.version + 1, encoded, used)
    }
}

/// A random pause, the longer the oftener somebody else was first.
fn pause(round: u32) -> Duration {
    jitter(Duration::from_millis(1 << round.min(6)).min(PAUSE_MAX))
}
