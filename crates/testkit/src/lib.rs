//! What the tests of Larder share: real servers, stores of every kind, and a clock to move.
//!
//! - [`Server`] is a real `redis-server` on a free port of 127.0.0.1, which ends when it is
//!   dropped. A machine that has none skips the tests that need one, and says which; with
//!   `LARDER_TEST_REQUIRE=all` in the environment they fail instead.
//! - [`Cluster`] and [`Sentinels`] are several of them that belong together, whose nodes can be killed,
//!   stopped and made to fail over, and whose slots can be moved. [`Proxy`] stands before a server and
//!   does what networks do. [`lend`] gives a test one that others have used before, which takes no time:
//!   from the shelf that `LARDER_TEST_TOPOLOGIES` names, or from this process.
//! - [`every_store!`] writes a test once and runs it on every kind of store.
//! - [`words`] makes a command of a line, [`open`] a store on servers, and [`until`] waits for what must
//!   come within [`PATIENCE`].
//! - [`Browser`] is a real browser, for pages.
//! - [`Transcript`] is a conversation with a server as text, run on the engine and on real servers.
//! - [`Differential`] runs random programs on the engine and on a real server.
//! - [`fuzz`] runs hostile cases until their time is over, among them those of [`Wild`].
//! - [`linear`] looks for an order of what several threads have done on one engine.
//! - [`compare_twins`] runs random calls of scripts in Lua and as their twins.
//! - [`TestStore::pass`] lets time pass: it moves the clock of a memory store, and waits on a real
//!   server.

#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a test that can not go on fails")]

mod browser;
mod differential;
mod doctest;
mod every_store;
mod everywhere;
pub mod fuzz;
mod household;
pub mod linear;
mod open;
pub mod options;
mod port;
mod process;
mod proxy;
mod server;
mod sharded;
mod test_store;
mod topology;
mod transcript;
mod twins;
mod until;
mod without_twins;

pub use browser::Browser;
pub use differential::{Differential, Family, Length, Ran, Subject, Tally, Wild};
pub use doctest::doctest;
pub use open::{open, words};
pub use port::free_port;
pub use proxy::{Direction, Proxy};
pub use server::{Server, ServerKind, skip};
pub use sharded::Sharded;
pub use test_store::TestStore;
pub use topology::{
    Cluster, ClusterOptions, Conversation, Lease, Lent, Migration, Node, SentinelOptions,
    Sentinels, Shelf, lend,
};
pub use transcript::{Target, Transcript};
pub use twins::{Turn, compare_twins, one_of};
pub use until::{PATIENCE, until};

#[doc(hidden)]
pub mod private {
    pub use crate::every_store::run;
    pub use crate::test_store::StoreKind;
}
