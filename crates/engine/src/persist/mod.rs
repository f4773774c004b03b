//! Snapshots: all that a store holds, as a file that Redis reads, and such files read.
//!
//! ```text
//! commands   SAVE, BGSAVE, LASTSAVE
//! saving     what is being saved, when, and what came of it ── Archive: who keeps the files
//! snapshot   what a store held at one moment, in pieces
//! points     after so many seconds and changes: `save`
//! load       a file into a store
//! ```
//!
//! The engine makes bytes and reads bytes. Who runs it gives it an [`Archive`], which keeps them; without
//! one there is nothing to save into, and who asks for it is refused.

pub(crate) mod commands;
mod load;
mod points;
mod saving;
mod snapshot;

pub use load::Loaded;
pub(crate) use points::{Points, read_points};
pub use saving::Archive;
pub(crate) use saving::{Saving, Then, refusal};
pub use snapshot::{Piece, Snapshot};
