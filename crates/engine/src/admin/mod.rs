//! What administrators ask: INFO, CONFIG, COMMAND, MEMORY, SLOWLOG, LATENCY, MONITOR and their kin; DEBUG,
//! which tests ask; and what belongs to replicas, clusters, modules and disks, which there are none of.

pub(crate) mod cluster;
pub(crate) mod command_commands;
pub(crate) mod commands;
pub(crate) mod config;
pub(crate) mod config_commands;
pub(crate) mod debug;
pub(crate) mod help;
pub(crate) mod info;
mod keeper;
pub(crate) mod latency_commands;
pub(crate) mod lolwut;
pub(crate) mod memory;
pub(crate) mod modules;
mod observed;
mod output_limits;
mod parameters;
pub(crate) mod replication;
mod rewrite;
pub(crate) mod shutdown;
pub(crate) mod slowlog_commands;
mod syntax;

pub use config::{ClientsMemory, CpuTime, Host};
pub use debug::DebugAccess;
pub use info::{AbsentFields, absent_fields};
pub use keeper::{Change, Keeper};
pub use output_limits::{OutputClass, OutputLimit, OutputLimits};
pub use parameters::{Described, Group, ParameterError, described, memory_size, recognize};
pub use shutdown::Ending;

/// The version of Redis whose behaviour the engine has.
pub(crate) const REDIS_VERSION: &str = "7.2.0";
