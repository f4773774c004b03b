//! Sessions: who is logged in, and what is known of the visit.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::session::Sessions;
//!
//! let sessions = Sessions::<Vec<u32>>::new(&store, "shop");
//! let visit = sessions.create_anonymous(vec![]).await?;
//!
//! // The token goes into a cookie, and comes back with the next request.
//! let visit = sessions.update(visit.token(), |cart| cart.push(42)).await?;
//!
//! // Who logs in keeps the cart, and gets another token.
//! let session = sessions.log_in(visit.token(), "ann").await?;
//! assert_eq!((session.user(), &session.data[..]), (Some("ann"), &[42][..]));
//! assert!(sessions.load(visit.token()).await?.is_none());
//!
//! assert_eq!(sessions.destroy_all("ann").await?, 1);
//! assert!(sessions.load(session.token()).await?.is_none());
//! # Ok(()) });
//! ```
//!
//! All sessions of a user are in two keys, in one hash slot; so is each session without a user:
//!
//! ```text
//! {ns:session:TAG}              hash: the data and the times of each session
//! {ns:session:TAG}:index        sorted set: the sessions by when they expire
//! {ns:session:TAG}:went:DIGEST  for moments: where the session went that had this token
//! ```
//!
//! `TAG` is a digest of the user's name, or random. A token is `TAG.SECRET`: it leads to the keys,
//! and its secret is 256 random bits. The store sees only the digest of a token, and the user's name
//! and the data only sealed with a key that comes from the token. So whoever can read the store, or
//! a backup of it, can neither take over a session nor read what it holds. Whoever can *write* it
//! can end sessions, and put all of a session back as it was, but not its data alone: that is sealed
//! with its version. A [`Secret`] of the application makes the digests ones that nobody else can
//! compute: then nobody finds out by guessing whose sessions they are, or makes one up. What is told of
//! the [`Device`] is sealed with a key that comes from the user's name and that secret.
//!
//! # What is promised
//!
//! - **Each operation is one round trip**, and one script: nobody sees it half done. Only
//!   [`Sessions::update`], [`Sessions::rotate`] and [`Sessions::log_in`] read the session before, and
//!   to follow a token that was exchanged is one more.
//! - **Reading needs no writing.** A store that is full, or may only be read, still gives sessions;
//!   what is not there is not written about.
//! - **A session that has ended stays ended.** Nothing but [`Sessions::create`],
//!   [`Sessions::create_anonymous`] and [`Sessions::log_in`] makes one: a change that was under way
//!   when its session was destroyed, or expired, is answered with [`Error::Gone`].
//! - **No change is overwritten unseen.** [`Sessions::save`] is refused with [`Error::Conflict`] if
//!   the session was saved by somebody else since it was loaded; [`Sessions::update`] makes the
//!   change anew. A lost answer is asked for again, and nothing conflicts with itself.
//! - **No session is lost with an answer**: see [`Sessions::rotate`] and [`Sessions::log_in`].
//! - **[`Sessions::destroy_all`] ends all**, also those that are being made at the same time, unless
//!   they are made after it.
//! - **Sessions end in two ways**: when they have not been seen for a time, and when they have
//!   lasted for a time, both as they were set when the session was made. The store's clock decides:
//!   if it is set forwards they end earlier, and if it is set back none lasts longer than these
//!   times, counted from what the clock says then. What has expired is removed by the next write to
//!   the user's sessions, and with the last session the keys go as well.
//! - **If the store evicts a key**, the sessions in it have ended; an index is made anew.
//!
//! [`Error::Gone`]: larder_store::Error::Gone
//! [`Error::Conflict`]: larder_store::Error::Conflict

mod device;
mod exchange;
mod save;
mod sessions;
mod vault;

mod calls;
mod loaded;
mod secret;
mod token;
mod twins;

#[cfg(test)]
mod tests;

pub use device::Device;
pub use loaded::{Listed, Session};
pub use secret::Secret;
pub use sessions::{AtMost, Sessions, TOO_MANY};
pub use vault::Vault;
