//! Clients that listen to a channel and throw away what they hear.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use anyhow::{Result, ensure};

use crate::servers::Server;

/// Listeners, until this is dropped.
pub(super) struct Listeners(Vec<(TcpStream, JoinHandle<()>)>);

impl Listeners {
    /// Lets so many clients listen to the channel `news`.
    pub(super) fn to(server: &Server, count: usize) -> Result<Listeners> {
        let listener = |_| {
            let mut stream = server.connect()?;
            stream.write_all(b"SUBSCRIBE news\r\n")?;
            let mut buffer = [0; 16 * 1024];
            // It listens once that is answered.
            ensure!(stream.read(&mut buffer)? > 0, "the server hung up");
            let mut heard = stream.try_clone()?;
            let thread =
                std::thread::spawn(
                    move || {
                        while heard.read(&mut buffer).is_ok_and(|len| len > 0) {}
                    },
                );
            Ok((stream, thread))
        };
        Ok(Listeners((0..count).map(listener).collect::<Result<_>>()?))
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (stream, thread) in self.0.drain(..) {
            // Its thread ends with its connection, however that ends.
            let _ = stream.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}
