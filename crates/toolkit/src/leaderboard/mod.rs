//! Leaderboards: members ranked by score.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::Ttl;
//! use larder_toolkit::leaderboard::{Best, Leaderboard};
//!
//! let buyers = Leaderboard::new(&store, "shop", "buyers", Best::Highest, Ttl::forever());
//! buyers.add("ann", 30).await?;
//! buyers.add("bob", 50).await?;
//! let placed = buyers.add("ann", 30).await?;
//! assert_eq!((placed.score, placed.rank), (60, Some(1)));
//!
//! let top = buyers.top(10).await?;
//! assert_eq!(top[0].member, "ann");
//! # Ok(()) });
//! ```
//!
//! A board has up to three keys, in one hash slot:
//!
//! ```text
//! {ns:leaderboard:NAME}            sorted set: `arrival member` by points
//! {ns:leaderboard:NAME}:arrivals   hash: member to arrival
//! {ns:leaderboard:NAME}:distinct   sorted set: the points that occur; only with `Ties::Dense`
//! ```
//!
//! *Points* are the score where the lowest is best, and its negative where the highest is: fewer
//! points are better, so the scripts know one direction only. An *arrival* is a number of 16 digits
//! that a member gets when its score changes: the microsecond by the store's clock, or one more than the
//! last arrival at the same points, where that is later. It stands before the member's name, so that
//! members with equal scores are in the order in which they came to them, exactly and whichever way the
//! clock goes, and no part of a score is spent on that. On a board with `Ties::Dense` arrivals are counted
//! from another epoch: so its entries alone say what it is.
//!
//! A store that is full and evicts may take one of the keys alone. Without the first the board is empty; the
//! others are made again.
//!
//! Every operation is one round trip and O(log n) in the members of the board, plus the members
//! that it answers.
//!
//! For a board of a day, put the day into its name and let it last for as long as it is looked at.

mod board;
mod score;
mod twins;

#[cfg(test)]
mod tests;

pub use board::{Entry, Leaderboard, Placed};
pub use score::{Best, SCORE_MAX, Ties};
