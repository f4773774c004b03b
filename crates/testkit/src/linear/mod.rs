//! Histories of concurrent requests on one engine, and a checker that finds an order for them.
//!
//! ```text
//! threads ── request ── engine ── answer ──> history ── by keys that belong together ── search(model)
//!          (a counter says when each began and ended)
//! ```
//!
//! A history is *linearizable* if its requests can be put in an order in which one that ended before
//! another began stands before it, and in which a store that runs one request after the other gives the
//! same answers. [`Model`] is that store. A transaction and a script are one request each; WATCH is one,
//! and the EXEC behind it another.
//!
//! What is known, and what is not:
//!
//! - The model knows numbers and lists of numbers under a few keys, and the commands of [`Command`].
//!   Expiry, waiting and messages are not in it.
//! - Keys that no request brings together are searched on their own, since they can be put in order on
//!   their own; of the others the whole state is searched.
//! - A search of more than [`OPERATIONS_MAX`] requests is refused, and one of more than [`STEPS_MAX`]
//!   steps ends undecided, which is no proof of anything and fails a test.
//! - A history that has an order proves nothing about another one: threads meet as the machine has them
//!   meet.
//!
//! The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), with Lowe's
//! memory of what has been tried ("Testing for linearizability", 2017).

mod checker;
mod history;
mod model;
mod run;

pub use checker::{OPERATIONS_MAX, STEPS_MAX, Verdict, check};
pub use history::{Answer, Command, Operation, Request};
pub use model::Model;
pub use run::{Fault, Histories};
