//! The session of a request, as its handler has it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_store::Error;
use larder_toolkit::session::{Session as Stored, Sessions};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The session of the visitor who sends a request: what [`SessionLayer`] puts among the extensions
/// of the request, and what handlers of axum take as an argument. Clones share it.
///
/// Nothing is asked of the store before the first call, and the session is loaded once a request.
/// A visitor who has no session has `T::default()`, and gets one when something is written. The
/// cookie goes with the head of the answer: what is done later, while the body is sent, can't give a
/// token to the browser.
///
/// [`SessionLayer`]: super::SessionLayer
pub struct Session<T> {
    visit: Arc<Visit<T>>,
}

struct Visit<T> {
    sessions: Sessions<T>,
    /// The token that came with the request.
    shown: Option<String>,
    known: tokio::sync::Mutex<Known<T>>,
    news: Mutex<Option<News>>,
}

/// What is known of the session.
enum Known<T> {
    /// Nobody has asked yet.
    NotAsked,
    /// There is none.
    Nobody,
    Somebody(Box<Stored<T>>),
}

/// What the browser has to be told.
#[derive(Clone)]
pub(super) enum News {
    /// Its token, and how long that lasts at most.
    Token(String, Duration),
    /// That its token is worth nothing any more.
    LoggedOut,
}

impl<T: Serialize + DeserializeOwned + Default + Clone> Session<T> {
    /// What is known of the visit.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::load`].
    pub async fn get(&self) -> Result<T, Error> {
        let mut known = self.visit.known.lock().await;
        let session = self.look(&mut known).await?;
        Ok(session.map_or_else(T::default, |session| session.data.clone()))
    }

    /// Who has logged in.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::load`].
    pub async fn user(&self) -> Result<Option<String>, Error> {
        let mut known = self.visit.known.lock().await;
        let session = self.look(&mut known).await?;
        Ok(session.and_then(|session| session.user().map(str::to_owned)))
    }

    /// What the session is called in [`Sessions::list`]. `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::load`].
    pub async fn id(&self) -> Result<Option<String>, Error> {
        let mut known = self.visit.known.lock().await;
        let session = self.look(&mut known).await?;
        Ok(session.map(|session| session.id().to_owned()))
    }

    /// Changes what is known of the visit, and answers what the change does. It is saved when this
    /// returns, if it has changed anything; a visitor who has no session gets one.
    ///
    /// If another request saves the session meanwhile, the change is made anew on what that has
    /// left.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::merge`]. [`Error::Gone`] also if the visitor has just logged in by
    /// another request: the next one brings the token of that.
    pub async fn update<R>(&self, mut change: impl FnMut(&mut T) -> R) -> Result<R, Error> {
        let sessions = &self.visit.sessions;
        let mut known = self.visit.known.lock().await;
        let mut result = None;
        if let Some(session) = self.look(&mut known).await? {
            let merged = sessions.merge(session, |data| result = Some(change(data)));
            if let Err(error) = merged.await {
                *known = Known::NotAsked;
                return Err(error);
            }
            self.tell_if_new(session);
        } else {
            if let Some(shown) = &self.visit.shown
                && sessions.has_logged_in(shown).await?
            {
                return Err(Error::Gone);
            }
            let mut data = T::default();
            result = Some(change(&mut data));
            let made = sessions.create_anonymous(data).await?;
            self.now(&mut known, made);
        }
        // A merge that has succeeded has made the change.
        result.ok_or(Error::Gone)
    }

    /// Makes this the session of a user who has just shown who they are. It keeps what it holds and
    /// gets another token; the old one is void at once (session fixation), as
    /// [`Sessions::log_in`] says.
    ///
    /// The session of another user, who has not logged out, ends, and what it held is not handed on.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::log_in`]. The visitor is not logged in then, and may try again.
    pub async fn log_in(&self, user: &str) -> Result<(), Error> {
        let sessions = &self.visit.sessions;
        let mut known = self.visit.known.lock().await;
        let from = match self.look(&mut known).await? {
            Some(session) if session.user().is_some_and(|owner| owner != user) => {
                sessions.destroy(session.token()).await?;
                None
            }
            Some(session) => Some(session.token().to_owned()),
            // It may have logged in already, and the answer was lost.
            None => self.visit.shown.clone(),
        };
        let handed_over = match from {
            Some(token) => sessions.log_in(&token, user).await,
            None => Err(Error::Gone),
        };
        let session = match handed_over {
            Err(Error::Gone) => sessions.create(user, T::default()).await?,
            handed_over => handed_over?,
        };
        self.now(&mut known, session);
        Ok(())
    }

    /// Gives the session another token: see [`Sessions::rotate`]. Answers whether there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::rotate`].
    pub async fn rotate(&self) -> Result<bool, Error> {
        let mut known = self.visit.known.lock().await;
        let Some(session) = self.look(&mut known).await? else {
            return Ok(false);
        };
        if self.visit.shown.as_deref() != Some(session.token()) {
            // It is another one than the browser knows already.
            return Ok(true);
        }
        match self.visit.sessions.rotate(session.token()).await? {
            Some(rotated) => {
                self.now(&mut known, rotated);
                Ok(true)
            }
            None => {
                *known = Known::Nobody;
                Ok(false)
            }
        }
    }

    /// Ends the session, and takes its token from the browser. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::destroy`]. The browser keeps its token then, and may try again.
    pub async fn log_out(&self) -> Result<bool, Error> {
        let mut known = self.visit.known.lock().await;
        let token = match &*known {
            Known::Somebody(session) => Some(session.token()),
            Known::Nobody | Known::NotAsked => self.visit.shown.as_deref(),
        };
        let is_ended = match token {
            Some(token) => self.visit.sessions.destroy(token).await?,
            None => false,
        };
        *known = Known::Nobody;
        self.tell(News::LoggedOut);
        Ok(is_ended)
    }

    /// Ends all sessions of the user who has logged in, this one too, and takes its token from the
    /// browser. Answers how many there were; none if nobody has logged in.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::destroy_all`].
    pub async fn log_out_everywhere(&self) -> Result<u64, Error> {
        let Some(user) = self.user().await? else {
            return Ok(0);
        };
        let ended = self.visit.sessions.destroy_all(&user).await?;
        *self.visit.known.lock().await = Known::Nobody;
        self.tell(News::LoggedOut);
        Ok(ended)
    }

    /// Loads the session, if nobody has yet.
    async fn look<'a>(&self, known: &'a mut Known<T>) -> Result<Option<&'a mut Stored<T>>, Error> {
        if let (Known::NotAsked, Some(shown)) = (&*known, &self.visit.shown) {
            *known = match self.visit.sessions.load(shown).await? {
                Some(session) => {
                    self.tell_if_new(&session);
                    Known::Somebody(Box::new(session))
                }
                // Its cookie stays: another answer may just have brought the browser a better one.
                None => Known::Nobody,
            };
        }
        Ok(match known {
            Known::Somebody(session) => Some(session),
            Known::Nobody | Known::NotAsked => None,
        })
    }

    /// Goes on with a session of which the browser does not know.
    fn now(&self, known: &mut Known<T>, session: Stored<T>) {
        self.tell_if_new(&session);
        *known = Known::Somebody(Box::new(session));
    }

    fn tell_if_new(&self, session: &Stored<T>) {
        if self.visit.shown.as_deref() != Some(session.token()) {
            // Both are times of the store: its clock may not be ours.
            let lasts = session.ends().duration_since(session.seen());
            let token = session.token().to_owned();
            self.tell(News::Token(token, lasts.unwrap_or_default()));
        }
    }
}

impl<T> Session<T> {
    pub(super) fn new(sessions: Sessions<T>, shown: Option<String>) -> Session<T> {
        Session {
            visit: Arc::new(Visit {
                sessions,
                shown,
                known: tokio::sync::Mutex::new(Known::NotAsked),
                news: Mutex::default(),
            }),
        }
    }

    /// All sessions: to list those of a user, say, or to end one of them.
    pub fn sessions(&self) -> &Sessions<T> {
        &self.visit.sessions
    }

    /// What the browser has to be told.
    pub(super) fn news(&self) -> Option<News> {
        let news = self.visit.news.lock();
        news.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, news: News) {
        let told = self.visit.news.lock();
        *told.unwrap_or_else(PoisonError::into_inner) = Some(news);
    }
}

impl<T> Clone for Session<T> {
    fn clone(&self) -> Session<T> {
        Session {
            visit: Arc::clone(&self.visit),
        }
    }
}

impl<T> fmt::Debug for Session<T> {
    /// Shows nothing: the token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
