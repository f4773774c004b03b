//! The data types: their structures, and the commands on them.

pub(crate) mod hash;
mod limits;
pub(crate) mod list;
pub(crate) mod set;
pub(crate) mod sorted_set;
pub(crate) mod stream;
pub(crate) mod string;
mod varint;

pub(crate) use limits::Limits;
