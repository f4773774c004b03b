//! Near reads: answers that are kept in this process, as long as the store vouches for them.
//!
//! ```text
//! Near ── kept? ── the answer, at once
//!   └──── ReadNear ── the backend: asks, and hears from the store what has changed since
//!            └─ Places ── of each key that was read: its Mark, and the answers that are kept
//!                 └─ Mark ── turns stale once, and is never fresh again
//!                      └─ Freshness ── whoever keeps something made of the answer looks here
//! ```
//!
//! The primitive is the [`Freshness`] of what was read. It is there before the read is sent, so a change
//! that is told before the answer has arrived finds it, and such an answer is given to its caller and not
//! kept. What a store keeps of an answer is one use of it; what a program makes of the answer and keeps
//! itself is another.

mod handle;
mod mark;
mod places;
mod read_near;
mod weight;

pub use self::handle::Near;
pub use self::mark::{Freshness, Life, Source};
pub use self::places::{Places, Reservation};
pub use self::read_near::{Keep, NearStats, ReadNear};

#[cfg(test)]
mod tests;
