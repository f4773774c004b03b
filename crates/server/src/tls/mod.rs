//! Connections over TLS: Redis's `tls-port`.
//!
//! ```text
//! socket ── sealed bytes ──> Tls ── bytes of the client ──> Connection
//!        <── sealed bytes ──      <── answers ────────────
//! ```
//!
//! A [`Tls`] stands between a socket that never blocks and the connection that it belongs to. It holds
//! at most [`UNSENT_MAX`] bytes of answers, a record that has not come whole, and a handshake that may
//! have [`HANDSHAKE_MAX`] bytes; who does not finish that in time is ended by the connections' list.

mod keys;

use std::io::{self, BufRead as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, send};
use rustls::ServerConnection;

pub(crate) use keys::Keys;

use crate::readiness::{QUIETLY, Readiness, Received, retry};

/// How many bytes are taken from the socket at once: a whole record.
const READ_MAX: usize = 16 * 1024 + 512;

/// How many reads in a row may bring nothing for the connection before others have their turns.
const READS_MAX: usize = 4;

/// How many bytes of answers may be sealed and not sent.
const UNSENT_MAX: usize = 64 * 1024;

/// How many bytes a client may send before it has shown that it speaks TLS: a chain of certificates is
/// much shorter.
const HANDSHAKE_MAX: usize = 128 * 1024;

/// How many bytes a connection over TLS holds beside what a plain one does: buffers and keys.
const MEMORY: usize = 20 * 1024;

/// What every record of a handshake begins with.
const HANDSHAKE_RECORD: u8 = 22;

/// What is said to who does not speak TLS, in the words that he understands.
const PLAIN: &[u8] = b"-ERR this port speaks TLS, and what came is something else\r\n";

/// The TLS of a connection.
#[derive(Debug)]
pub(crate) struct Tls {
    session: ServerConnection,
    /// How many bytes have come in the handshake.
    shaken: usize,
    /// Whether the client has said that it sends no more.
    has_ended: bool,
}

impl Tls {
    pub(crate) fn new(keys: &Keys) -> io::Result<Tls> {
        let mut session = ServerConnection::new(keys.current()).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(UNSENT_MAX));
        Ok(Tls {
            session,
            shaken: 0,
            has_ended: false,
        })
    }

    /// Whether the client has not shown yet that it may come in.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether something that was written has not been sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }

    /// How many bytes it holds, about.
    pub(crate) fn memory(&self) -> usize {
        MEMORY
    }

    /// Reads what the client has sent into the room behind `bytes`, which grows if a record is longer.
    pub(crate) fn read(
        &mut self,
        fd: &OwnedFd,
        readiness: &mut Readiness,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Received> {
        let mut sealed = [0; READ_MAX];
        for _ in 0..READS_MAX {
            if self.has_ended {
                return Ok(Received::End);
            }
            if !readiness.is_readable {
                return Ok(Received::Nothing);
            }
            let received = retry(|| recv(fd, &mut sealed[..], RecvFlags::empty()))?;
            let Some((_, count)) = received else {
                readiness.is_readable = false;
                return Ok(Received::Nothing);
            };
            readiness.is_readable = count == READ_MAX || readiness.is_ending;
            if count == 0 {
                return Ok(Received::End);
            }
            let before = bytes.len();
            self.take(&sealed[..count], fd, bytes)?;
            // The end comes with the next read.
            readiness.is_readable |= self.has_ended;
            match bytes.len() - before {
                0 => {}
                read => return Ok(Received::Bytes(read)),
            }
        }
        Ok(Received::Unseen)
    }

    /// Opens what came, up to the word of the client that it sends no more.
    fn take(&mut self, mut sealed: &[u8], fd: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.session.is_handshaking() {
            self.check_handshake(sealed, fd)?;
        }
        while !sealed.is_empty() && !self.has_ended {
            self.session.read_tls(&mut sealed)?;
            let state = match self.session.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // It says why, if it can be told.
                    let _ = self.session.write_tls(&mut Sending(fd));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            self.has_ended = state.peer_has_closed();
            self.open(bytes, state.plaintext_bytes_to_read())?;
        }
        Ok(())
    }

    /// Takes so many bytes that have been opened.
    fn open(&mut self, bytes: &mut Vec<u8>, mut len: usize) -> io::Result<()> {
        bytes.reserve(len);
        while len > 0 {
            let mut reader = self.session.reader();
            let opened = reader.fill_buf()?;
            let count = opened.len();
            bytes.extend_from_slice(opened);
            reader.consume(count);
            len = len.saturating_sub(count.max(1));
        }
        Ok(())
    }

    /// Refuses what is no handshake, or never ends to be one.
    fn check_handshake(&mut self, sealed: &[u8], fd: &OwnedFd) -> io::Result<()> {
        if self.shaken == 0 && sealed.first() != Some(&HANDSHAKE_RECORD) {
            let _ = send(fd, PLAIN, QUIETLY);
            return Err(invalid("a client does not speak TLS on a port for it"));
        }
        self.shaken += sealed.len();
        match self.shaken > HANDSHAKE_MAX {
            true => Err(invalid("a handshake is too long")),
            false => Ok(()),
        }
    }

    /// Seals what it takes of these bytes, and sends what the socket takes of that. Answers how many
    /// were sealed, or `None` if none can be now.
    pub(crate) fn write(
        &mut self,
        fd: &OwnedFd,
        readiness: &mut Readiness,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        if self.is_handshaking() || !self.flush(fd, readiness)? {
            return Ok(None);
        }
        let sealed = self.session.writer().write(bytes)?;
        self.flush(fd, readiness)?;
        Ok(Some(sealed))
    }

    /// Sends what has been sealed. Answers whether all of it went.
    pub(crate) fn flush(&mut self, fd: &OwnedFd, readiness: &mut Readiness) -> io::Result<bool> {
        while self.session.wants_write() {
            if !readiness.is_writable {
                return Ok(false);
            }
            match self.session.write_tls(&mut Sending(fd)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    readiness.is_writable = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that no more comes, if the socket takes it.
    pub(crate) fn say_end(&mut self, fd: &OwnedFd, readiness: &mut Readiness) {
        self.session.send_close_notify();
        // The client is gone otherwise, or takes nothing; nobody waits for it.
        let _ = self.flush(fd, readiness);
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A socket, as what sealed bytes are written to.
struct Sending<'a>(&'a OwnedFd);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = retry(|| -> Result<usize, Errno> { send(self.0.as_fd(), bytes, QUIETLY) })?;
        sent.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
