//! Commands on keys of any type.

pub(crate) mod commands;
pub(crate) mod expiry;
pub(crate) mod object;
pub(crate) mod sort;
