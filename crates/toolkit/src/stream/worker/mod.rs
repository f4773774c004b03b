//! Workers: they take entries of a group, hand them to a function, and finish them.
//!
//! ```text
//! run.rs       the task that takes, ends and looks after the rest, each by a script, so that any
//!              number of workers agree
//! beat.rs      the task that shows that the worker is alive
//! handle.rs    the handlers, most in tasks of their own: everything of the caller's runs there
//! hands.rs     what is in hand, which these tasks share
//! ```
//!
//! An entry that was delivered is in the store always with one consumer, who alone can end it:
//!
//! ```text
//!            read               end: done, dead
//! new -------------> a worker -------------------> finished
//!                     ^  |  ^
//!        claim if due |  |  | claim if the worker is dead, or has left
//!                     |  |  |
//!           larder:parked   another worker
//! ```
//!
//! A consumer is dead when its last sign of life is older than [`Builder::idle`], so what others have
//! in hand is never looked through; and what waits for a retry is with a consumer of its own, which
//! is not looked through either. A store that was away, or was full, heard of nobody: then nobody is
//! taken for dead before everybody has had time for a sign (`contact.rs`).
//!
//! A store that is full can't note that an entry waits for a retry, or is a dead letter. The entry
//! then stays pending and is handled again when [`Builder::idle`] is over, as after a crash; entries
//! that were handled are finished all the same.

mod backoff;
mod beat;
mod builder;
mod calls;
mod contact;
mod control;
mod end;
mod handle;
mod hands;
mod job;
mod metrics;
mod pause;
mod run;
mod running;
mod settings;
mod twins;

pub use backoff::Backoff;
pub use builder::Builder;
pub use job::{Failure, Job};
pub use metrics::Metrics;
pub use running::Worker;
