//! RESP2 and RESP3, the wire protocol of Redis: decoding and encoding, without I/O.

#![forbid(unsafe_code)]

mod arguments;
mod double;
mod encode;

pub use arguments::{ArgumentBuffer, Arguments, Places, Span};
pub use double::write_double;
pub use encode::*;
