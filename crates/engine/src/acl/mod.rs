//! Access control: users, and what each of them may do.
//!
//! ```text
//! commands.rs   ACL and its subcommands
//! guard.rs      requests before they run                      Engine::guard
//! users.rs      all users, and who is logged in as whom        Engine::log_in
//!   login.rs    the login of a connection: a bit on it says whether anything is to be checked
//!   file.rs     the file of users: ACL LOAD, ACL SAVE
//!   log.rs      what was denied: ACL LOG
//! rules.rs      a user: passwords and selectors
//!   selector.rs what one selector lets do: keys, channels, commands
//!   allowed.rs  the commands among that
//! check.rs      a request against the rules of a user
//! ```
//!
//! The rules of a user never change: a change makes new ones, and gives them to all connections that are
//! logged in as this user, under the lock of the users. So a request is checked against the rules that
//! its connection has, without a lock that others hold, and a connection whose user may do everything is
//! recognized by a bit. Calls from inside the process are no user's, and may do everything.
//!
//! The behaviour is that of Redis 7.2: <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>.

mod allowed;
mod check;
pub(crate) mod commands;
mod file;
mod guard;
mod log;
mod login;
mod rules;
mod selector;
mod users;

pub use file::UserFile;
pub(crate) use login::Login;
pub(crate) use users::Acl;

/// The user that every connection is until it says otherwise.
pub(crate) const DEFAULT: &[u8] = b"default";
