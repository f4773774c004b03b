//! The engine of Larder: data types and commands of Redis, in process, without I/O.

mod hash;
mod keyspace;
mod types;
