//! The engine of Larder: data types and commands of Redis, in process, without I/O.
//!
//! [`Engine::execute`] takes a request and answers it, on its caller's thread. Time, randomness
//! and bytes come in as arguments: the engine has no clock, no sockets, no files and no threads,
//! so a run can be replayed and a test can move the clock.

mod ahead;
mod engine;
mod eviction;
mod execute;
mod serve;

mod direct;

mod access;
mod args;
mod command;
mod commands;
mod error;
mod float;
mod long_double;
mod natural;
mod reply;

mod hash;
mod keyspace;
mod near;
mod per_thread;
mod persist;
mod random;
mod rdb;
mod sync;
mod text;
mod types;
mod wakes;

mod observe;

mod acl;
mod admin;
mod generic;
mod pubsub;
#[cfg(feature = "lua")]
mod scripting;
#[cfg(not(feature = "lua"))]
#[path = "scripting/absent.rs"]
mod scripting;
mod session;

#[cfg(all(test, larder_model))]
mod models;

pub use access::Access;
pub use acl::UserFile;
pub use admin::{
    AbsentFields, Change, ClientsMemory, CpuTime, DebugAccess, Described, Ending, Group, Host,
    Keeper, OutputClass, OutputLimit, OutputLimits, ParameterError, absent_fields, described,
    memory_size, recognize,
};
pub use ahead::Foreseen;
pub use command::{Arity, Flags, KeySpec, Row};
pub use commands::commands;
pub use engine::{Alarm, Disposal, Engine, Now, Ticks, TimeSource};
pub use error::Error;
pub use eviction::{EvictionPolicy, UnknownPolicy};
pub use execute::Outcome;
pub use keyspace::waiting::Waiting;
pub use keyspace::{Garbage, Parked};
pub use near::{Invalidate, Invalidated, NearCache, NearTracking};
pub use persist::{Archive, Loaded, Piece, Snapshot};
pub use pubsub::{Batch, Invalidation, Mail, Mailbox, Message, Overflow, Subscriber};
pub use rdb::file::LoadError;
pub use reply::{Reply, RespReply, ValueReply, write_value};
pub use scripting::twin::TwinOutcome;
pub use session::{Buffers, Client, ClientInfo, Session};
