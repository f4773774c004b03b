//! Every transcript, on the engine in this process, on ours through a socket, and on real servers.
//!
//! With `LARDER_RECORD_TRANSCRIPTS` in the environment, the answers in the files are replaced by
//! those of the real Valkey server, for the person who writes one.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_embedded::{Config, Embedded};
use larder_engine::{
    ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, RespReply, Session, Waiting,
};
use larder_resp::{ArgumentBuffer, Frame, write_request};
use larder_testkit::transcript::{self, Case, Connection};
use larder_testkit::{Server, ServerKind};

/// The transcripts: the names of the files and what they hold.
fn files() -> Vec<(PathBuf, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/commands");
    let files = std::fs::read_dir(&dir).expect("testdata/commands is there");
    let mut files: Vec<PathBuf> = files
        .map(|file| file.expect("the directory can be read").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a transcript can be read");
            (file, text)
        })
        .collect()
}

/// Runs every case of every file, and fails with all that was wrong.
fn run_all<C: Connection>(mut connect: impl FnMut(&Case) -> Option<C>) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (file, text) in files() {
        for case in transcript::parse(&text) {
            let Some(mut connection) = connect(&case) else {
                continue;
            };
            count += 1;
            if let Some(what) = case.run(&mut connection) {
                wrong.push(format!("{}: {what}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

// --- connections --------------------------------------------------------------------------------

/// A session of an engine in this process, whose clock stands still.
struct InProcess {
    engine: Arc<Engine>,
    session: Session,
}

const NOW: Now = Now::from_unix_us(1_700_000_000_123_456);

impl InProcess {
    fn new() -> InProcess {
        let engine = Engine::new([7; 32], NOW);
        let info = ClientInfo {
            address: "127.0.0.1:5000".to_owned(),
            local_address: "127.0.0.1:6379".to_owned(),
            since_us: NOW.unix_us(),
        };
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(1 << 20)));
        let session = Session::connected(&engine, info, mailbox);
        InProcess { engine, session }
    }
}

impl InProcess {
    /// Lets the time pass for which a request waits.
    fn end_wait(&self, mut waiting: Waiting, resp3: bool, out: &mut Vec<u8>) {
        self.engine.tick(
            self.engine
                .next_deadline()
                .expect("no transcript waits for ever"),
        );
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut waiting).poll(&mut context) {
            Poll::Ready(value) => waiting.write(&value, &mut RespReply::new(out, resp3)),
            Poll::Pending => panic!("a wait goes on behind its deadline"),
        }
    }
}

impl Connection for InProcess {
    fn call(&mut self, words: &[Vec<u8>]) -> Frame {
        let mut arguments = ArgumentBuffer::new();
        words.iter().for_each(|word| arguments.push(word));
        let mut out = Vec::new();
        // HELLO answers in the protocol that it asks for.
        let resp3 = match words {
            [name, version, ..] if name.eq_ignore_ascii_case(b"HELLO") => version == b"3",
            _ => self.session.is_resp3(),
        };
        let mut reply = RespReply::new(&mut out, resp3);
        let arguments = arguments.as_arguments();
        let outcome = self
            .engine
            .execute(&mut self.session, arguments, NOW, &mut reply);
        if let Outcome::Blocked(waiting) = outcome {
            self.end_wait(waiting, resp3, &mut out);
        }
        let (frame, _) = Frame::read(&out)
            .expect("an answer is RESP")
            .expect("an answer is whole");
        frame
    }
}

/// A connection to a server.
struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Socket {
    fn open(address: SocketAddr) -> Socket {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Socket {
            stream,
            input: Vec::new(),
        }
    }

    /// A new connection, after everything has been removed.
    fn to_empty(address: SocketAddr) -> Socket {
        let mut socket = Socket::open(address);
        socket.call(&[b"FLUSHALL".to_vec()]);
        socket
    }

    /// The version of Redis that the server says it is compatible with.
    fn version(&mut self) -> [u64; 3] {
        let Frame::Bulk(info) = self.call(&[b"INFO".to_vec(), b"server".to_vec()]) else {
            panic!("INFO answers a text");
        };
        let info = String::from_utf8_lossy(&info);
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        transcript::version_of(version.expect("INFO names the version"))
    }
}

impl Connection for Socket {
    fn call(&mut self, words: &[Vec<u8>]) -> Frame {
        let mut out = Vec::new();
        write_request(&mut out, words);
        self.stream.write_all(&out).expect("a request can be sent");
        loop {
            if let Some((frame, len)) = Frame::read(&self.input).expect("an answer is RESP") {
                self.input.drain(..len);
                return frame;
            }
            let mut part = [0; 64 * 1024];
            let len = self.stream.read(&mut part).expect("an answer comes");
            assert!(len > 0, "the server has closed the connection");
            self.input.extend_from_slice(&part[..len]);
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

// --- the three ----------------------------------------------------------------------------------

#[test]
fn the_engine_answers_as_in_the_transcripts() {
    run_all(|_| Some(InProcess::new()));
}

#[test]
fn our_server_answers_as_in_the_transcripts() {
    let embedded = Embedded::open(Config::default()).expect("a store opens");
    let config = larder_server::Config {
        listen: vec![local(0)],
        ..Default::default()
    };
    let server = larder_server::Server::start(config, &embedded).expect("a server starts");
    let address = server.addresses()[0];
    run_all(|_| Some(Socket::to_empty(address)));
    server.shutdown();
}

#[test]
fn redis_answers_as_in_the_transcripts() {
    real_server_answers(ServerKind::Redis);
}

#[test]
fn valkey_answers_as_in_the_transcripts() {
    real_server_answers(ServerKind::Valkey);
}

fn real_server_answers(kind: ServerKind) {
    let Some(server) = Server::start(kind) else {
        return;
    };
    let address = local(server.port());
    let version = Socket::open(address).version();
    let connect = |case: &Case| {
        let is_old = case.since.is_some_and(|since| version < since);
        (!is_old).then(|| Socket::to_empty(address))
    };
    if kind == ServerKind::Valkey && std::env::var_os("LARDER_RECORD_TRANSCRIPTS").is_some() {
        for (file, text) in files() {
            let recorded = transcript::recorded(&text, |case| {
                connect(case).map(|socket| Box::new(socket) as Box<dyn Connection>)
            });
            std::fs::write(file, recorded).expect("a transcript can be written");
        }
    }
    run_all(connect);
}
