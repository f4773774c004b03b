//! A connection in raw RESP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use larder_resp::{Frame, write_request};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a server, on which one request follows the other.
#[derive(Debug)]
pub struct Conversation {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Conversation {
    /// Connects to the server on this port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn open(port: u16) -> io::Result<Conversation> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Conversation {
            stream,
            input: Vec::new(),
        })
    }

    /// Sends a request and answers what comes back, be it an error.
    ///
    /// # Errors
    ///
    /// If nothing comes back.
    pub fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Frame> {
        let mut request = Vec::new();
        write_request(&mut request, words);
        self.stream.write_all(&request)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = Frame::read(&self.input)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if let Some((frame, len)) = read {
                self.input.drain(..len);
                return Ok(frame);
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => self.input.extend_from_slice(&buffer[..len]),
            }
        }
    }
}
