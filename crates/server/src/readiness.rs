//! Readiness: whether a read or a write of a socket is worth a try.
//!
//! The system says once that a socket has become readable or writable, and says it again only after a
//! read or a write that found it otherwise. So a socket remembers what it was told.

use std::io;

use rustix::io::Errno;
use rustix::net::SendFlags;

/// A peer that is gone is an error of the write, and no signal.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const QUIETLY: SendFlags = SendFlags::NOSIGNAL;
/// Rust's programs ignore the signal, where it can't be switched off for a write.
#[cfg(target_vendor = "apple")]
pub(crate) const QUIETLY: SendFlags = SendFlags::empty();

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes of the client, which are not 0.
    Bytes(usize),
    /// The client sends no more.
    End,
    /// Nothing yet.
    Nothing,
    /// Something of which the client's bytes are none, such as a handshake; more can be there.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "only TLS reads what is not for clients")
    )]
    Unseen,
}

/// What may be tried on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// The peer sends no more: behind what is still there comes the end.
    pub(crate) is_ending: bool,
}

impl Readiness {
    /// That of a socket of which nothing is known.
    pub(crate) const UNKNOWN: Readiness = Readiness {
        is_readable: true,
        is_writable: true,
        is_ending: false,
    };

    /// Adds what has become known.
    pub(crate) fn add(&mut self, more: Readiness) {
        self.is_readable |= more.is_readable;
        self.is_writable |= more.is_writable;
        self.is_ending |= more.is_ending;
    }
}

/// Calls the system until no signal comes between. Answers `None` where it would have to wait.
#[inline]
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<Option<T>> {
    loop {
        match call() {
            Ok(done) => return Ok(Some(done)),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
