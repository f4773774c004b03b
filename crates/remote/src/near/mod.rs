//! Near reads of servers: what was read is kept here until its server tells that it has changed.
//!
//! ```text
//! Reads ── reserve ── CLIENT CACHING YES, the read, PTTL ── keep        on a connection of their own
//!   └─ Places <── removed ── Nears <── invalidate ── the server         what others have written
//!                              ^────── Changes ───── call, call_all     what this store has written
//! ```
//!
//! A server tells on the connection on which was read, so the reads of a node have one to themselves: its
//! [`Source`] is the generation of what was read on it. When the connection is lost, given up, or leads to
//! what is no master any more, the source ends, and all of it is stale at once.
//!
//! - A place is reserved before its read is sent, and news are heard in order with the answers. So a change
//!   that is told before the reader looks at its answer has taken the place away.
//! - What this store writes is removed before the writer has its answer, whatever that is: the news of it
//!   may come later, on the other connection.
//! - The read of a key asks how long the key lives, since a server may remove what has expired much later.
//! - In a cluster it is not kept that a key is not there: of keys that are, the server tells when they go
//!   to another node with their slot, and of others it has nothing to tell.
//!
//! Not told are SWAPDB by others, which servers pass over, and what another master accepts while ours has
//! lost sight of it: as with every read, until that is noticed here.

mod herd;
mod nears;
mod reads;

pub(crate) use self::nears::Nears;
pub(crate) use self::reads::Reads;
