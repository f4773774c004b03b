//! A server on a free port, and a client that speaks to it in bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder_embedded::{Config as StoreConfig, Embedded};
use larder_resp::{Frame, write_request};
use larder_server::{Config, Server};

/// How long a client waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server with a store of its own.
pub(crate) struct TestServer {
    pub(crate) store: Embedded,
    pub(crate) server: Server,
}

impl TestServer {
    /// A server as most tests want it.
    pub(crate) fn start() -> TestServer {
        TestServer::with(Config::default(), None)
    }

    /// A server on a free port.
    pub(crate) fn with(config: Config, password: Option<&str>) -> TestServer {
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        TestServer::listening(Config { listen, ..config }, password)
    }

    /// A server on addresses of its own choice.
    pub(crate) fn listening(config: Config, password: Option<&str>) -> TestServer {
        let store =
            Embedded::open(StoreConfig::default().password(password.map(str::to_owned))).unwrap();
        let config = Config {
            threads: config.threads.or(Some(2)),
            ..config
        };
        let server = Server::start(config, &store).unwrap();
        TestServer { store, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    /// The only client of a server, which ends with it.
    pub(crate) fn into_client(self) -> Client<TcpStream> {
        let mut client = self.connect();
        client.server = Some(self);
        client
    }

    pub(crate) fn connect(&self) -> Client<TcpStream> {
        let socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client::new(socket)
    }
}

/// A client that speaks in bytes.
pub(crate) struct Client<S> {
    pub(crate) socket: S,
    received: Vec<u8>,
    server: Option<TestServer>,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(socket: S) -> Client<S> {
        Client {
            socket,
            received: Vec::new(),
            server: None,
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request, its words separated by spaces.
    pub(crate) fn request(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        self.send(request(&words));
    }

    /// Sends a request and answers what comes back.
    pub(crate) fn ask(&mut self, words: &str) -> Frame {
        self.request(words);
        self.answer()
    }

    /// What CLIENT LIST says.
    pub(crate) fn list(&mut self) -> String {
        match self.ask("CLIENT LIST") {
            Frame::Bulk(list) => String::from_utf8(list).unwrap(),
            other => panic!("a list is a text, not {other:?}"),
        }
    }

    /// The next value that the server sends.
    pub(crate) fn answer(&mut self) -> Frame {
        self.answer_or_end().expect("the connection was closed")
    }

    /// The next value that the server sends, if it sends one.
    pub(crate) fn answer_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, len)) = Frame::read(&self.received).unwrap() {
                self.received.drain(..len);
                return Some(frame);
            }
            if self.receive() == 0 {
                return None;
            }
        }
    }

    /// Everything that the server sends until it closes the connection.
    pub(crate) fn rest(&mut self) -> String {
        while self.receive() > 0 {}
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    fn receive(&mut self) -> usize {
        let mut bytes = [0; 16 * 1024];
        let len = match self.socket.read(&mut bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        };
        self.received.extend_from_slice(&bytes[..len]);
        len
    }
}

/// A request of these words, in bytes.
pub(crate) fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_request(&mut bytes, words);
    bytes
}

pub(crate) fn status(text: &str) -> Frame {
    Frame::Status(text.to_owned())
}

pub(crate) fn error(text: &str) -> Frame {
    Frame::Error(text.to_owned())
}

pub(crate) fn bulk(bytes: &str) -> Frame {
    Frame::Bulk(bytes.as_bytes().to_vec())
}

pub(crate) fn bulks(items: &[&str]) -> Vec<Frame> {
    items.iter().map(|item| bulk(item)).collect()
}

/// Waits until something is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "it never came to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}
