//! The keyspace: keys to values.

pub(crate) mod agenda;
mod prefetch;
pub(crate) mod table;
