//! How often something may happen, for each caller.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::rate_limit::{Decision, Limit, Limiter, Quota};
//!
//! let logins = Limiter::new(&store, "login", Limit::gcra(Quota::per_minute(2)));
//!
//! assert!(logins.take_one("ann").await?.is_allowed());
//! assert!(logins.take_one("ann").await?.is_allowed());
//! let Decision::Denied { retry_after, .. } = logins.take_one("ann").await? else { panic!() };
//! assert!(retry_after <= std::time::Duration::from_secs(30));
//! # Ok(()) });
//! ```
//!
//! | | promises | state of a caller |
//! |---|---|---|
//! | [`Limit::gcra`] | an even flow with bursts of a size; the choice if there is no reason for another | one number |
//! | [`Limit::sliding_window`] | never more than so many in any stretch of the window's length | an entry for each permit |
//! | [`Limit::sliding_counter`] | nearly that: it takes the window before for evenly used, and may be wrong by as much as it was not | three numbers |
//! | [`Limit::fixed_window`] | never more than so many in a window that begins with the first; around the end of a window, up to twice as many | two numbers |
//!
//! A [`Limiter`] has one limit or several, and takes from all of them or from none. It decides in
//! the store, in one round trip and at once, by the store's clock: callers on machines whose clocks
//! differ share a limit exactly. A request that is denied takes nothing. The state of a caller lives
//! until it is as if there was none: not a moment less, and not longer.
//!
//! The keys of a caller share a hash slot: `{ns:limit:CALLER}:block` and, for limit 0 of kind gcra,
//! `{ns:limit:CALLER}:gcra0`. A caller's name that is long is kept as its digest.

mod limiter;

mod decision;
mod limit;
#[cfg(test)]
mod tests;

pub use decision::Decision;
pub use limit::{InvalidQuota, Limit, Quota};
pub use limiter::{Error, Limiter, WithoutStore};
