//! The seam between what uses a store and what is one.
//!
//! Above the seam stand the patterns (caches, sessions, limiters, ...), which know a [`Store`] and
//! nothing of what is behind it. Below it stand the backends: the embedded engine, and servers
//! reached over a wire. What passes through is the commands of Redis: a [`Command`] goes down, a
//! [`Value`] or an [`Error`] comes up.
//!
//! - [`Backend`] is what a store has to be: three functions; one in the process may have a short road
//!   to single keys as well, [`Direct`].
//! - [`Store`] is a cheap handle on a backend; [`Command`] is what it is asked.
//! - [`Delivery`] is how a command gets there: within which time, to which [`Part`] of the store, and
//!   whether again. [`Store::within`] gives all calls of a handle a deadline.
//! - [`Capabilities`] is what a store can do that not every store can.
//! - [`Near`] answers reads in this process, as long as the store vouches for what is kept: [`near`].
//! - [`shape`] says where the keys of a command stand, whether it only reads, and how long it waits.
//! - [`Script`] is a Lua program that runs inside the store, atomically; it may have a [`Twin`] in Rust.
//! - [`NodeStatus`] is how the servers of a store are seen from here, [`ConnectionEvent`] what happens to
//!   the connections, and an [`Observer`] is told of each call.
//! - [`Keys`] makes key names so that all keys of one thing share a hash slot of a cluster.

#![forbid(unsafe_code)]

pub mod near;
pub mod shape;
pub mod span;

mod backend;
mod direct;
mod store;

mod answer;
mod capabilities;
mod command;
mod connection_events;
mod delivery;
mod error;
mod from_value;
mod jitter;
mod keys;
mod nodes;
mod observe;
mod part;
mod place;
mod refusal;
mod scan;
mod script;
mod shared;
mod subscription;
mod trail;
mod twin;
mod value;
mod within;

pub use answer::Answer;
pub use backend::Backend;
pub use capabilities::{Capabilities, Capability, Server};
pub use command::{Command, ToArgument};
pub use connection_events::{Announcer, ConnectionEvent, ConnectionEvents};
pub use delivery::Delivery;
pub use direct::{ByName, Direct};
pub use error::{Awaited, Away, BoxError, Cause, Error};
pub use from_value::FromValue;
pub use jitter::{jitter, seed_jitter};
/// What [`Command::arguments`] gives.
pub use larder_resp::Arguments;

pub use keys::{Key, Keys, literal, slot};
pub use near::{Freshness, Near, NearStats};
pub use nodes::{BreakerState, NodeStatus, Role};
pub use observe::{Call, Observer, Outcome};
pub use part::Part;
pub use place::slot_of;
pub use refusal::Refusal;
pub use scan::Scan;
pub use script::{Script, ScriptCall};
pub use shared::{refuse_batch, refuse_state};
pub use store::Store;
pub use subscription::{Channels, Event, Listen, Message, Subscription};
pub use trail::Trail;
pub use twin::{End, Expires, InStep, Native, Step, Twin, TwinCall, Words};
pub use value::{Kind, Value};
