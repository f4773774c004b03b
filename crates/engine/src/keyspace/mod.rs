//! The keyspace: keys to values.

pub(crate) mod agenda;
pub(crate) mod entry;
mod prefetch;
pub(crate) mod table;
