//! A proxy before a server, which does to connections what networks do.
//!
//! ```text
//! client  -- read --> queue -- write -->  server      requests
//! client  <-- write -- queue <-- read --  server      answers
//! ```
//!
//! A chunk waits in its queue for its delay, so that a slow way is long and not narrow: what follows is
//! read meanwhile. All that may be changed stands in [`Rules`] and is looked at for each chunk.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_resp::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// A proxy on a free port of 127.0.0.1. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `Some` until the proxy is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    rules: Mutex<Rules>,
    /// Connections that were made before it was last sent are cut.
    cut: watch::Sender<()>,
    /// Whether nothing gets through.
    hole: watch::Sender<bool>,
}

/// What is done to connections.
#[derive(Debug, Default)]
struct Rules {
    delay: [Duration; 2],
    bytes_per_second: Option<usize>,
    turns_away: bool,
    /// After how many bytes of the next answer the connection is cut.
    truncate_at: Option<usize>,
    /// How many answers are let through before the connection is cut.
    answers_left: Option<usize>,
    /// The request whose answer is lost, by a word in it.
    lost: Option<Vec<u8>>,
    accepted: usize,
    open: usize,
}

/// Which way a chunk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Answers,
}

impl Proxy {
    /// A proxy before the server on this port of 127.0.0.1, which passes everything on.
    ///
    /// # Panics
    ///
    /// If the system gives no port or no thread.
    pub fn before(port: u16) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("the system gives a thread");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        listener.set_nonblocking(true).expect("a socket can be set");
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            rules: Mutex::default(),
            cut: watch::Sender::new(()),
            hole: watch::Sender::new(false),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Proxy {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of the server behind the proxy.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Delays all that goes this way from now on.
    pub fn delay(&self, direction: Direction, time: Duration) {
        self.rules().delay[direction as usize] = time;
    }

    /// Lets no more than this pass in a second, each way of each connection. `None` lets all pass.
    pub fn throttle(&self, bytes_per_second: Option<usize>) {
        self.rules().bytes_per_second = bytes_per_second;
    }

    /// Lets nothing through, both ways, and tells nobody: connections stay open, and new ones are made.
    /// What was sent meanwhile arrives when the hole is closed, as TCP sends again what got lost.
    pub fn black_hole(&self, is_open: bool) {
        self.shared.hole.send_replace(is_open);
    }

    /// Whether nothing gets through.
    pub fn is_black_hole(&self) -> bool {
        *self.shared.hole.borrow()
    }

    /// Closes new connections as soon as they are made.
    pub fn turn_away(&self, turns_away: bool) {
        self.rules().turns_away = turns_away;
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// Lets this many bytes of the next answer through, and cuts its connection then.
    pub fn truncate_answer(&self, bytes: usize) {
        self.rules().truncate_at = Some(bytes);
    }

    /// Lets this many answers through, over all connections, and cuts the connection of the next one
    /// instead of giving it: its command has run.
    pub fn cut_after(&self, answers: usize) {
        self.rules().answers_left = Some(answers);
    }

    /// Loses the answer to the next request with this word in it: the server gets the request, runs it and
    /// answers, and then the connection is cut.
    pub fn lose_answer_to(&self, word: &str) {
        self.rules().lost = Some(word.as_bytes().to_vec());
    }

    /// Whether what [`Proxy::truncate_answer`], [`Proxy::cut_after`] or [`Proxy::lose_answer_to`] asked
    /// for last has come to pass.
    pub fn is_done(&self) -> bool {
        let rules = self.rules();
        rules.truncate_at.is_none() && rules.answers_left.is_none() && rules.lost.is_none()
    }

    /// How many connections it has accepted, those that it turned away included.
    pub fn accepted(&self) -> usize {
        self.rules().accepted
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.rules().open
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that is dropped in an asynchronous test may not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the socket does not block");
    while let Ok((client, _)) = listener.accept().await {
        let turns_away = {
            let mut rules = shared.rules();
            rules.accepted += 1;
            rules.open += usize::from(!rules.turns_away);
            rules.turns_away
        };
        if !turns_away {
            let cut = shared.cut.subscribe();
            tokio::spawn(serve(client, Arc::clone(&shared), cut));
        }
    }
}

/// Passes on what comes, until one side ends or the connection is cut.
async fn serve(client: TcpStream, shared: Arc<Shared>, mut cut: watch::Receiver<()>) {
    let loses_next = Arc::new(AtomicBool::new(false));
    let pass = async {
        let server = TcpStream::connect(shared.server).await?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let way = |direction| Way {
            direction,
            shared: Arc::clone(&shared),
            loses_next: Arc::clone(&loses_next),
            answers: Vec::new(),
        };
        // One side's end is that of both: nobody here closes half of a connection.
        tokio::select! {
            () = way(Direction::Requests).pass(from_client, to_server) => {}
            () = way(Direction::Answers).pass(from_server, to_client) => {}
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        _ = pass => {}
        _ = cut.changed() => {}
    }
    shared.rules().open -= 1;
}

/// One way of one connection.
struct Way {
    direction: Direction,
    shared: Arc<Shared>,
    /// Whether the next answer on this connection is lost.
    loses_next: Arc<AtomicBool>,
    /// The begin of an answer of which more is to come.
    answers: Vec<u8>,
}

impl Way {
    async fn pass(mut self, mut from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (queue, queued) = mpsc::unbounded_channel();
        let shared = Arc::clone(&self.shared);
        let writing = write(queued, to, &shared);
        let reading = async move {
            let mut chunk = vec![0; CHUNK];
            while let Ok(len @ 1..) = from.read(&mut chunk).await {
                let delay = self.shared.rules().delay[self.direction as usize];
                let verdict = self.judge(&chunk[..len]);
                // Nobody takes what is sent when the other side has ended: then this does too.
                let _ = queue.send((Instant::now() + delay, verdict.passed));
                if verdict.is_end {
                    break;
                }
            }
        };
        // The queue ends when the reading does, and the writing with the queue.
        tokio::join!(reading, writing);
    }

    /// What of a chunk is passed on, and whether the connection ends with it.
    fn judge(&mut self, chunk: &[u8]) -> Verdict {
        let shared = Arc::clone(&self.shared);
        let mut rules = shared.rules();
        match self.direction {
            Direction::Requests => self.judge_request(&mut rules, chunk),
            Direction::Answers => self.judge_answer(&mut rules, chunk),
        }
    }

    fn judge_request(&self, rules: &mut Rules, chunk: &[u8]) -> Verdict {
        let has = |word: &[u8]| chunk.windows(word.len()).any(|part| part == word);
        if rules.lost.take_if(|word| has(word)).is_some() {
            self.loses_next.store(true, Ordering::SeqCst);
        }
        Verdict::go_on(chunk)
    }

    fn judge_answer(&mut self, rules: &mut Rules, chunk: &[u8]) -> Verdict {
        if self.loses_next.load(Ordering::SeqCst) {
            return Verdict::end(&[]);
        }
        if let Some(bytes) = rules.truncate_at.take() {
            return Verdict::end(&chunk[..bytes.min(chunk.len())]);
        }
        let Some(left) = &mut rules.answers_left else {
            return Verdict::go_on(chunk);
        };
        let before = self.answers.len();
        self.answers.extend_from_slice(chunk);
        let mut read = 0;
        while let Ok(Some((_, len))) = Frame::read(&self.answers[read..]) {
            if *left == 0 {
                rules.answers_left = None;
                return Verdict::end(&chunk[..read.saturating_sub(before)]);
            }
            *left -= 1;
            read += len;
        }
        self.answers.drain(..read);
        Verdict::go_on(chunk)
    }
}

struct Verdict {
    passed: Vec<u8>,
    is_end: bool,
}

impl Verdict {
    fn go_on(passed: &[u8]) -> Verdict {
        Verdict {
            passed: passed.to_vec(),
            is_end: false,
        }
    }

    fn end(passed: &[u8]) -> Verdict {
        Verdict {
            passed: passed.to_vec(),
            is_end: true,
        }
    }
}

/// Writes what is queued when its time has come, as fast as may be.
async fn write(
    mut queued: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    shared: &Shared,
) {
    let mut hole = shared.hole.subscribe();
    while let Some((when, chunk)) = queued.recv().await {
        tokio::time::sleep_until(when).await;
        // The sender lives as long as the connection.
        let _ = hole.wait_for(|is_open| !is_open).await;
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let rate = shared.rules().bytes_per_second;
            // A tenth of a second's at once.
            let part = rate.map_or(rest.len(), |rate| (rate / 10).clamp(1, rest.len()));
            if to.write_all(&rest[..part]).await.is_err() {
                return;
            }
            rest = &rest[part..];
            if let Some(rate) = rate {
                let time = Duration::from_secs_f64(part as f64 / rate.max(1) as f64);
                tokio::time::sleep(time).await;
            }
        }
    }
}
