//! RESP2 and RESP3, the wire protocol of Redis: decoding and encoding, without I/O.
