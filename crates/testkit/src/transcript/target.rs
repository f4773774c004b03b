//! What transcripts are run on.

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use larder_embedded::{Clock, Config, Embedded};
use larder_engine::{
    ClientInfo, Mailbox, Outcome, Overflow, Parked, RespReply, Session, TimeSource, Waiting,
};
use larder_resp::{ArgumentBuffer, Frame, write_request};

use super::parse::{Case, Since, parse_version};
use super::value::Came;
use crate::server::{Server, ServerKind};

/// Whoever is as patient as this waits for an answer that has to come.
const ANSWER: Duration = Duration::from_secs(1);

/// How long an answer may take that has to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How much longer a server is waited for: its clock is not ours.
const MARGIN: Duration = Duration::from_millis(5);

/// Something that cases are run on, one after the other.
pub(crate) trait Open {
    /// Begins a case: nothing is stored from here on.
    fn begin(&mut self);

    /// Whether what the case says is meant for this as well.
    fn takes(&mut self, case: &Case) -> bool;

    /// A new connection.
    fn connect(&mut self) -> Box<dyn Connection>;

    /// Lets time pass.
    fn pass(&mut self, time: Duration);
}

/// A connection.
pub(crate) trait Connection {
    /// Sends a command.
    fn send(&mut self, words: &[Vec<u8>]);

    /// Sends commands at once.
    fn send_all(&mut self, requests: &[Vec<Vec<u8>>]) {
        requests.iter().for_each(|words| self.send(words));
    }

    /// What comes next, within `patience`, as it came.
    fn receive_bytes(&mut self, patience: Duration) -> Arrived;

    /// What has come already, as it came.
    fn take_bytes(&mut self) -> Arrived {
        self.receive_bytes(Duration::ZERO)
    }

    /// What comes next, within `patience`.
    fn receive(&mut self, patience: Duration) -> Came {
        match self.receive_bytes(patience) {
            Arrived::Nothing => Came::Nothing,
            Arrived::Closed => Came::Closed,
            Arrived::Bytes(bytes) => {
                let (frame, _) = read(&bytes).expect("a whole value has come");
                Came::Value(frame)
            }
        }
    }
}

/// What came on a connection, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Nothing,
    Closed,
    /// One value.
    Bytes(Vec<u8>),
}

/// The first value of these bytes. What is not RESP is an error of its own, and all of it.
fn read(bytes: &[u8]) -> Option<(Frame, usize)> {
    Frame::read(bytes).unwrap_or_else(|error| Some((Frame::Error(error.to_string()), bytes.len())))
}

fn memory(clock: Clock) -> Embedded {
    let config = Config::default().clock(clock);
    Embedded::open(config).expect("the system gives a thread")
}

// --- the engine in this process ------------------------------------------------------------------

/// The engine, called in this process.
#[derive(Default)]
pub(crate) struct InProcess {
    embedded: Option<Embedded>,
}

impl InProcess {
    fn embedded(&mut self) -> &Embedded {
        self.embedded
            .get_or_insert_with(|| memory(Clock::Manual(Clock::manual())))
    }
}

impl Open for InProcess {
    fn begin(&mut self) {
        self.embedded = None;
    }

    fn takes(&mut self, _: &Case) -> bool {
        true
    }

    fn connect(&mut self) -> Box<dyn Connection> {
        let embedded = self.embedded().clone();
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(1024)));
        let info = ClientInfo::default();
        Box::new(Call {
            session: Session::connected(embedded.engine(), info, Arc::clone(&mailbox)),
            embedded,
            mailbox,
            waiting: None,
            parked: None,
            answers: Vec::new(),
            is_closed: false,
        })
    }

    fn pass(&mut self, time: Duration) {
        self.embedded().pass(time);
    }
}

struct Call {
    embedded: Embedded,
    session: Session,
    mailbox: Arc<Mailbox>,
    waiting: Option<Waiting>,
    /// A request that is to be sent again, and when.
    parked: Option<(Parked, Vec<Vec<u8>>)>,
    answers: Vec<u8>,
    is_closed: bool,
}

impl Connection for Call {
    fn send(&mut self, words: &[Vec<u8>]) {
        let mut arguments = ArgumentBuffer::new();
        words.iter().for_each(|word| arguments.push(word));
        let mut reply = RespReply::new(&mut self.answers, self.session.is_resp3());
        let outcome = self.embedded.engine().execute(
            &mut self.session,
            arguments.as_arguments(),
            &self.embedded,
            &mut reply,
        );
        match outcome {
            Outcome::Done => {}
            Outcome::Close => self.is_closed = true,
            Outcome::Blocked(waiting) => self.waiting = Some(waiting),
            Outcome::Parked(parked) => self.parked = Some((parked, words.to_vec())),
        }
    }

    fn receive_bytes(&mut self, patience: Duration) -> Arrived {
        self.look_at_parked();
        if self.waiting.is_some() && self.is_killed() {
            // Who is killed gets no answer to what it waits for.
            return Arrived::Closed;
        }
        self.look_at_wait();
        if let (Some(_), Some(end)) = (&self.waiting, self.embedded.engine().next_deadline())
            && let Some(left_us) = end.us().checked_sub(self.embedded.ticks().us())
            && patience >= ANSWER
        {
            // What is waited for comes with the time, which here passes at once.
            self.embedded.pass(Duration::from_micros(left_us));
            self.look_at_wait();
        }
        match read(&self.answers) {
            Some((_, len)) => Arrived::Bytes(self.answers.drain(..len).collect()),
            None if self.is_closed || self.is_killed() => Arrived::Closed,
            None => self.take_mail().map_or(Arrived::Nothing, Arrived::Bytes),
        }
    }
}

impl Call {
    fn is_killed(&self) -> bool {
        self.session
            .client()
            .is_some_and(|client| client.is_killed())
    }

    /// Sends a request again that was parked. Nobody holds shards here but the engine's own thread, and
    /// that not for long.
    fn look_at_parked(&mut self) {
        let end = Instant::now() + ANSWER;
        while let Some((mut parked, words)) = self.parked.take() {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut parked).poll(&mut context) {
                Poll::Ready(()) => self.send(&words),
                Poll::Pending => {
                    self.parked = Some((parked, words));
                    if Instant::now() > end {
                        return;
                    }
                    std::thread::yield_now();
                }
            }
        }
    }

    fn look_at_wait(&mut self) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = Pin::new(&mut *waiting).poll(&mut context) {
            let mut reply = RespReply::new(&mut self.answers, self.session.is_resp3());
            waiting.write(&value, &mut reply);
            self.waiting = None;
        }
    }

    fn take_mail(&mut self) -> Option<Vec<u8>> {
        // What can't be said in RESP2 is not said.
        loop {
            let mail = self.mailbox.take()?;
            if let Some(bytes) = mail.encoded(self.session.is_resp3()) {
                return Some(bytes.to_vec());
            }
        }
    }
}

// --- sockets -------------------------------------------------------------------------------------

/// The engine, through a socket.
#[derive(Default)]
pub(crate) struct Sockets {
    served: Option<(Embedded, larder_server::Server)>,
}

impl Sockets {
    fn served(&mut self) -> &(Embedded, larder_server::Server) {
        self.served.get_or_insert_with(|| {
            let embedded = memory(Clock::System);
            let config = larder_server::Config {
                listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
                threads: Some(1),
                ..larder_server::Config::default()
            };
            let server = larder_server::Server::start(config, &embedded);
            (embedded, server.expect("127.0.0.1 has a free port"))
        })
    }
}

impl Open for Sockets {
    fn begin(&mut self) {
        self.served = None;
    }

    fn takes(&mut self, _: &Case) -> bool {
        true
    }

    fn connect(&mut self) -> Box<dyn Connection> {
        let address = self.served().1.addresses()[0];
        Box::new(Socket::connect(address))
    }

    fn pass(&mut self, time: Duration) {
        std::thread::sleep(time + MARGIN);
    }
}

/// A real server.
pub(crate) struct Real {
    kind: ServerKind,
    server: Server,
}

impl Real {
    /// A server of this kind, if this machine has one.
    pub(crate) fn start(kind: ServerKind) -> Option<Box<dyn Open>> {
        let server = Server::start(kind)?;
        Some(Box::new(Real { kind, server }))
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.server.port()))
    }

    fn socket(&self) -> Socket {
        Socket::connect(self.address())
    }

    /// Whether it answers. Whoever ends over a request still takes connections while it writes down why.
    fn is_up(&self) -> bool {
        let Ok(stream) = TcpStream::connect(self.address()) else {
            return false;
        };
        let mut socket = Socket::over(stream);
        socket.send(&[b"PING".to_vec()]);
        matches!(socket.receive_bytes(PATIENCE), Arrived::Bytes(_))
    }

    fn ask(&self, words: &[&str]) -> Came {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut socket = self.socket();
        socket.send(&words);
        socket.receive(PATIENCE)
    }
}

impl Open for Real {
    fn begin(&mut self) {
        // Some requests end a Redis.
        if !self.is_up() {
            self.server.kill();
            self.server.restart();
        }
        self.ask(&["FLUSHALL"]);
        self.ask(&["SCRIPT", "FLUSH"]);
        self.ask(&["FUNCTION", "FLUSH"]);
    }

    fn takes(&mut self, case: &Case) -> bool {
        let Came::Value(Frame::Bulk(info)) = self.ask(&["INFO", "server"]) else {
            return false;
        };
        let info = String::from_utf8_lossy(&info);
        let field = |name| info.lines().find_map(|line| line.strip_prefix(name));
        let is_from = |name, since: &Option<Vec<u32>>| {
            let version = field(name).and_then(|version| parse_version(version.trim()));
            version.is_some() && version >= *since
        };
        let Since { redis, valkey } = &case.since;
        let is_new_enough = match (redis, valkey) {
            (_, Some(_)) if self.kind == ServerKind::Valkey => is_from("valkey_version:", valkey),
            (None, Some(_)) => false,
            (redis, _) => is_from("redis_version:", redis),
        };
        is_new_enough && !case.not_of.contains(&self.kind)
    }

    fn connect(&mut self) -> Box<dyn Connection> {
        Box::new(self.socket())
    }

    fn pass(&mut self, time: Duration) {
        std::thread::sleep(time + MARGIN);
    }
}

struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Socket {
    fn connect(address: SocketAddr) -> Socket {
        Socket::over(TcpStream::connect(address).expect("the server listens"))
    }

    fn over(stream: TcpStream) -> Socket {
        stream
            .set_nodelay(true)
            .expect("a connected socket can be set");
        Socket {
            stream,
            input: Vec::new(),
        }
    }
}

impl Connection for Socket {
    fn send(&mut self, words: &[Vec<u8>]) {
        self.send_all(&[words.to_vec()]);
    }

    fn send_all(&mut self, requests: &[Vec<Vec<u8>>]) {
        let mut request = Vec::new();
        requests
            .iter()
            .for_each(|words| write_request(&mut request, words));
        // Whoever has closed the connection does not answer either, and that is seen.
        let _ = self.stream.write_all(&request);
    }

    fn receive_bytes(&mut self, patience: Duration) -> Arrived {
        let end = Instant::now() + patience;
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((_, len)) = read(&self.input) {
                return Arrived::Bytes(self.input.drain(..len).collect());
            }
            let left = end.saturating_duration_since(Instant::now());
            let timeout = left.max(Duration::from_millis(1));
            self.stream
                .set_read_timeout(Some(timeout))
                .expect("the timeout is not zero");
            match self.stream.read(&mut buffer) {
                Ok(0) => return Arrived::Closed,
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if left.is_zero() {
                        return Arrived::Nothing;
                    }
                }
                Err(_) => return Arrived::Closed,
            }
        }
    }

    /// As [`Connection::receive_bytes`], but for the millisecond that a timeout takes.
    fn take_bytes(&mut self) -> Arrived {
        self.set_nonblocking(true);
        let arrived = self.receive_bytes(Duration::ZERO);
        self.set_nonblocking(false);
        arrived
    }
}

impl Socket {
    fn set_nonblocking(&self, is_nonblocking: bool) {
        self.stream
            .set_nonblocking(is_nonblocking)
            .expect("a connected socket can be set");
    }
}
