//! How often something may happen, for each caller.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::rate_limit::{Limit, Limiter, Quota};
//!
//! let logins = Limiter::new(&store, "login", Limit::gcra(Quota::per_minute(2)));
//!
//! logins.take_one("ann").await?.require()?;
//! let permit = logins.take_one("ann").await?.require()?;
//! let denied = logins.take_one("ann").await?.require().expect_err("there were two");
//! assert!(denied.retry_after() <= Some(std::time::Duration::from_secs(30)));
//!
//! // The password was right: only failures count.
//! logins.refund("ann", &permit).await?;
//! assert!(logins.take_one("ann").await?.is_allowed());
//! # Ok(()) });
//! ```
//!
//! | | promises | state of a caller |
//! |---|---|---|
//! | [`Limit::gcra`] | an even flow with bursts of a size; the choice if there is no reason for another | five numbers |
//! | [`Limit::sliding_window`] | never more than so many in any stretch of the window's length | an entry for each take, at most a thousand |
//! | [`Limit::sliding_counter`] | nearly that: it takes the window before for evenly used, and may be wrong by as much as it was not | three numbers |
//! | [`Limit::fixed_window`] | never more than so many in a window that begins with the first; around the end of a window, up to twice as many | two numbers |
//!
//! A [`Limiter`] has one limit or several, and takes from all of them or from none. It decides in
//! the store, in one round trip and at once, by the store's clock: callers on machines whose clocks
//! differ share a limit exactly. A request that is denied takes nothing. The state of a caller lives
//! until it is as if there was none: not a moment less, and not longer.
//!
//! A store's clock may step back, when it is set or when another server takes over. What was taken is
//! then not forgotten, and counts from the earlier time on: nobody waits for longer than the limit alone
//! would have it.
//!
//! The keys of a caller share a hash slot: `{ns:limit:CALLER}:KIND:NAME` for each limit, and
//! `{ns:limit:CALLER}:block:NAME+NAME`. A caller's name that is long is kept as its digest.

mod limiter;

mod decision;
mod denials;
mod limit;
mod quota;
mod twins;

#[cfg(test)]
mod tests;

pub use decision::{Decision, Denied, Permit};
pub use limit::Limit;
pub use limiter::{Limiter, WithoutStore};
pub use quota::Quota;
