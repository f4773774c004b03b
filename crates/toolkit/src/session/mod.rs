//! Sessions: who is logged in, and what is known of the visit.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::session::Sessions;
//!
//! let sessions = Sessions::<Vec<u32>>::new(&store, "shop");
//! let session = sessions.create("ann", &vec![]).await?;
//! let cookie = session.token().to_owned();
//!
//! let mut session = sessions.load(&cookie).await?.expect("she has just logged in");
//! session.data.push(42);
//! sessions.save(&mut session).await?;
//!
//! assert_eq!(sessions.destroy_all("ann").await?, 1);
//! assert!(sessions.load(&cookie).await?.is_none());
//! # Ok(()) });
//! ```
//!
//! All sessions of a user are in two keys, in one hash slot:
//!
//! ```text
//! {ns:session:TAG}         hash: the data and the times of each session
//! {ns:session:TAG}:index   sorted set: the sessions by when they expire
//! ```
//!
//! `TAG` is a digest of the user's name. A token is `TAG.SECRET`: it leads to the keys, and its
//! secret is 256 random bits. The store sees only the digest of a token, and the user's name and
//! the data only sealed with a key that comes from the token. So whoever can read the store, or a
//! backup of it, can neither take over a session nor read what it holds.
//!
//! # What is promised
//!
//! - **Each operation is one round trip**, and one script: nobody sees it half done. Only
//!   [`Sessions::rotate`] reads the session before.
//! - **A session that has ended stays ended.** Nothing but [`Sessions::create`] makes one: a change
//!   that was under way when its session was destroyed, or expired, is answered with
//!   [`SaveError::Gone`].
//! - **No change is overwritten unseen.** [`Sessions::save`] is refused with
//!   [`SaveError::Conflict`] if the session was saved by somebody else since it was loaded.
//! - **[`Sessions::destroy_all`] ends all**, also those that are being made at the same time, unless
//!   they are made after it.
//! - **Sessions end in two ways**: when they have not been seen for a time, and when they have
//!   lasted for a time. The store's clock decides. What has expired is removed by the next operation
//!   on the user's sessions, and with the last session the keys go as well.

mod sessions;
mod token;

#[cfg(test)]
mod tests;

pub use sessions::{Error, Listed, SaveError, Session, Sessions};
