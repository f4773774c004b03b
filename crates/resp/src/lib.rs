//! RESP2 and RESP3, the wire protocol of Redis: decoding and encoding, without I/O.

#![forbid(unsafe_code)]

mod arguments;
mod chunks;
mod decode;
mod double;
mod encode;
mod frame;
mod grisu;
mod text;

pub use arguments::{ArgumentBuffer, Arguments, Places, Span};
pub use chunks::{CHUNK, Chunks, Sealed};
pub use decode::{Decoded, Decoder, Limits, ProtocolError, words_of_line};
pub use double::{with_double, write_double};
pub use encode::*;
pub use frame::{Frame, FrameError, write_request};
pub use text::{bytes_of, text_of};
