//! The socket of a connection, and the TLS that is spoken over it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, Shutdown, recv, send, sendmsg, shutdown};

use crate::readiness::{QUIETLY, Readiness, Received, retry};
use crate::tls::Tls;

/// A connected socket that never blocks, and the TLS that is spoken over it, if any is.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    readiness: Readiness,
    tls: Option<Box<Tls>>,
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
