//! The socket of a connection, and what is known of it: whether a read or a write is worth a try.
//!
//! The system says once that a socket has become readable or writable, and says it again only after a
//! read or a write that found it otherwise. So a socket remembers what it was told.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

use crate::tls::Tls;

/// A peer that is gone is an error of the write, and no signal.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const QUIETLY: SendFlags = SendFlags::NOSIGNAL;
/// Rust's programs ignore the signal, where it can't be switched off for a write.
#[cfg(target_vendor = "apple")]
pub(crate) const QUIETLY: SendFlags = SendFlags::empty();

/// A connected socket that never blocks, and the TLS that is spoken over it, if any is.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    readiness: Readiness,
    tls: Option<Box<Tls>>,
}

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

impl Socket {
    /// This must not block.
    pub(crate) fn new(fd: OwnedFd) -> Socket {
        Socket {
            fd,
            readiness: Readiness::UNKNOWN,
            tls: None,
        }
    }

    /// Has this spoken over it from its first byte.
    pub(crate) fn with_tls(self, tls: Tls) -> Socket {
        let tls = Some(Box::new(tls));
        Socket { tls, ..self }
    }

    /// Whether the client has still to show that it may come in.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// How many bytes it holds for its TLS.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.memory())
    }

    /// The number by which the system knows it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Notes what the system says of it.
    #[inline]
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.readiness.add(readiness);
    }

    /// Whether a read is worth a try.
    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        self.readiness.is_readable
    }

    /// Reads into the room that there is behind `bytes`.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<Received> {
        if let Some(tls) = &mut self.tls {
            return tls.read(&self.fd, &mut self.readiness, bytes);
        }
        if !self.readiness.is_readable {
            return Ok(Received::Nothing);
        }
        let room = bytes.capacity() - bytes.len();
        let received = retry(|| recv(&self.fd, spare_capacity(bytes), RecvFlags::empty()));
        let received = received?.map(|(_, count)| count);
        // Less than there was room for is all that there is: the next bytes will be told of.
        let has_more = received.is_some_and(|count| count == room || self.readiness.is_ending);
        self.readiness.is_readable = has_more;
        Ok(match received {
            None => Received::Nothing,
            Some(0) => Received::End,
            Some(count) => Received::Bytes(count),
        })
    }

    /// Writes what it takes of these bytes. Answers how much, or `None` if it takes nothing now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if let Some(tls) = &mut self.tls {
            return tls.write(&self.fd, &mut self.readiness, bytes);
        }
        self.try_write(|fd| send(fd, bytes, QUIETLY))
    }

    /// The same for several pieces.
    pub(crate) fn write_all_of(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        if let Some(tls) = &mut self.tls {
            let first = pieces.first().map_or(&[][..], |piece| piece);
            return tls.write(&self.fd, &mut self.readiness, first);
        }
        self.try_write(|fd| sendmsg(fd, pieces, &mut SendAncillaryBuffer::default(), QUIETLY))
    }

    /// Sends what has been taken and not sent, which is nothing without TLS. Answers whether something
    /// was sent.
    #[inline]
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = self.tls.as_mut().filter(|tls| tls.has_unsent()) else {
            return Ok(false);
        };
        tls.flush(&self.fd, &mut self.readiness)?;
        Ok(self.readiness.is_writable)
    }

    /// Whether something was taken and not sent.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// Writes this before anything else, unless the client would not understand it.
    pub(crate) fn say_at_once(&mut self, text: &str) -> io::Result<()> {
        if self.tls.is_none() {
            self.write(text.as_bytes())?;
        }
        Ok(())
    }

    #[inline]
    fn try_write(
        &mut self,
        write: impl Fn(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> io::Result<Option<usize>> {
        if !self.readiness.is_writable {
            return Ok(None);
        }
        let written = retry(|| write(self.fd.as_fd()))?;
        self.readiness.is_writable = written.is_some();
        Ok(written)
    }

    /// Sends no more.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.say_end(&self.fd, &mut self.readiness);
        }
        match shutdown(&self.fd, Shutdown::Write) {
            // The peer was faster.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
