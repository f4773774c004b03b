//! What the tests have in common: an engine, a clock that they move, and those who send requests.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "lua")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use larder_engine::{
    ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, RespReply, Session, Ticks, TimeSource,
    Waiting,
};
use larder_resp::ArgumentBuffer;

/// The time at which each test begins.
pub(crate) const START: Now = Now::from_unix_us(1_700_000_000_000_000);

/// So long after the beginning.
pub(crate) const fn later_ms(ms: u64) -> Now {
    Now::from_unix_us(START.unix_us() + ms * 1000)
}

/// An empty engine.
pub(crate) fn engine() -> Arc<Engine> {
    Engine::new([7; 32], START)
}

// --- clocks -----------------------------------------------------------------------------------

/// A clock that stands still until a test moves it, or on which each look at its ticks takes time.
#[derive(Default)]
pub(crate) struct Clock {
    /// What has passed since the beginning.
    pub(crate) us: Cell<u64>,
    /// What a look at the ticks takes.
    pub(crate) look_us: Cell<u64>,
}

impl TimeSource for Clock {
    fn now(&self) -> Now {
        Now::from_unix_us(START.unix_us() + self.us.get())
    }

    fn ticks(&self) -> Ticks {
        self.us.set(self.us.get() + self.look_us.get());
        Ticks::from_us(self.now().unix_us())
    }
}

/// A clock that is six seconds later each time that it is read, so that a script is overdue soon.
#[cfg(feature = "lua")]
#[derive(Default)]
pub(crate) struct Hasty {
    reads: AtomicU64,
}

#[cfg(feature = "lua")]
impl TimeSource for Hasty {
    fn now(&self) -> Now {
        later_ms(6000 * (1 + self.reads.fetch_add(1, Ordering::Relaxed)))
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(self.now().unix_us())
    }
}

// --- callers ----------------------------------------------------------------------------------

/// A request of these words.
pub(crate) fn request(words: impl IntoIterator<Item = impl AsRef<[u8]>>) -> ArgumentBuffer {
    let mut request = ArgumentBuffer::new();
    for word in words {
        request.push(word.as_ref());
    }
    request
}

/// Calls the engine from inside the process, and gives the answer in RESP2.
pub(crate) fn call<W: AsRef<[u8]>>(
    engine: &Arc<Engine>,
    clock: &dyn TimeSource,
    words: &[W],
) -> String {
    call_in(engine, &mut Session::local(), clock, words)
}

/// Does what [`call`] does, in a session that goes on.
pub(crate) fn call_in<W: AsRef<[u8]>>(
    engine: &Arc<Engine>,
    session: &mut Session,
    clock: &dyn TimeSource,
    words: &[W],
) -> String {
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let _ = engine.execute(session, request(words).as_arguments(), clock, &mut reply);
    String::from_utf8_lossy(&out).into_owned()
}

/// A connection to an engine, with a clock of its own.
pub(crate) struct Connection {
    pub(crate) engine: Arc<Engine>,
    pub(crate) session: Session,
    /// What it is told. Who leaves more than 128 kB of it unread is cut off.
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) clock: Clock,
    /// The wait of the last request, if that waits.
    pub(crate) waiting: Option<Waiting>,
}

impl Connection {
    /// A connection to an engine that nobody else has.
    pub(crate) fn open() -> Connection {
        Connection::to(&engine())
    }

    pub(crate) fn to(engine: &Arc<Engine>) -> Connection {
        Connection::from(engine, "127.0.0.1:5000")
    }

    /// A connection from this address.
    pub(crate) fn from(engine: &Arc<Engine>, address: &str) -> Connection {
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(1 << 17)));
        let info = ClientInfo {
            address: address.to_owned(),
            local_address: "127.0.0.1:6379".to_owned(),
            descriptor: Some(7),
            since_us: START.unix_us(),
        };
        Connection {
            engine: Arc::clone(engine),
            session: Session::connected(engine, info, Arc::clone(&mailbox)),
            mailbox,
            clock: Clock::default(),
            waiting: None,
        }
    }

    /// A caller from inside the process, who is answered in RESP3.
    pub(crate) fn local(engine: &Arc<Engine>) -> Connection {
        Connection {
            session: Session::local(),
            ..Connection::to(engine)
        }
    }

    /// Sets the clock.
    pub(crate) fn at(&mut self, now: Now) -> &mut Connection {
        self.clock.us.set(now.unix_us() - START.unix_us());
        self
    }

    /// Executes a request once. Gives what came of it, and its answer in RESP.
    pub(crate) fn execute<W: AsRef<[u8]>>(&mut self, words: &[W]) -> (Outcome, Vec<u8>) {
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, self.session.is_resp3());
        let request = request(words);
        let words = request.as_arguments();
        let engine = &self.engine;
        let outcome = engine.execute(&mut self.session, words, &self.clock, &mut reply);
        (outcome, out)
    }

    /// Sends a request, and gives its answer in RESP with line feeds alone.
    pub(crate) fn send(&mut self, request: &str) -> String {
        let words: Vec<&str> = request.split(' ').collect();
        self.send_words(&words)
    }

    /// Does what [`Connection::send`] does with words that may have spaces in them.
    pub(crate) fn send_words<W: AsRef<[u8]>>(&mut self, words: &[W]) -> String {
        let (outcome, mut out) = self.execute(words);
        self.waiting = None;
        match outcome {
            Outcome::Done => {}
            Outcome::Blocked(waiting) => self.waiting = Some(waiting),
            Outcome::Parked(_) => out.extend_from_slice(b"(parked)"),
            Outcome::Close => out.extend_from_slice(b"(closed)"),
        }
        String::from_utf8_lossy(&out).replace("\r\n", "\n")
    }

    /// Sends a request until no other thread holds its keys, and gives its answer on one line.
    pub(crate) fn call(&mut self, request: &str) -> String {
        loop {
            let answer = self.send(request);
            if answer != "(parked)" {
                return on_one_line(&answer);
            }
            thread::yield_now();
        }
    }

    /// Calls with a request that must be answered with this.
    pub(crate) fn expect(&mut self, request: &str, wanted: &str) {
        assert_eq!(self.call(request), wanted, "{request}");
    }

    /// Calls with a request that must wait.
    pub(crate) fn wait(&mut self, request: &str) -> Waiting {
        let answer = self.call(request);
        let waiting = self.waiting.take();
        waiting.unwrap_or_else(|| panic!("{request} is answered at once: {answer}"))
    }

    /// What CLIENT ID answers.
    pub(crate) fn id(&self) -> u64 {
        self.session.client().map_or(0, |client| client.id())
    }

    /// The line of INFO that begins so, without that beginning.
    pub(crate) fn info(&mut self, beginning: &str) -> Option<String> {
        let info = self.send("INFO everything");
        let mut lines = info.lines();
        let line = lines.find_map(|line| line.strip_prefix(beginning));
        line.map(str::to_owned)
    }

    /// A figure of INFO.
    pub(crate) fn figure(&mut self, name: &str) -> u64 {
        let figure = self.info(&format!("{name}:"));
        let figure = figure.and_then(|figure| figure.parse().ok());
        figure.unwrap_or_else(|| panic!("INFO has no figure {name}"))
    }
}

// --- answers ----------------------------------------------------------------------------------

/// RESP with spaces between its parts.
pub(crate) fn text(resp: &[u8]) -> String {
    on_one_line(&String::from_utf8_lossy(resp).replace("\r\n", "\n"))
}

fn on_one_line(answer: &str) -> String {
    answer.trim_end().replace('\n', " ")
}

/// The answer of a wait, if it has come.
pub(crate) fn poll(waiting: &mut Waiting) -> Option<String> {
    poll_with(waiting, Waker::noop())
}

/// The answer of a wait, if it has come. If not, whoever waits is woken when it does.
pub(crate) fn poll_with(waiting: &mut Waiting, waker: &Waker) -> Option<String> {
    match Pin::new(&mut *waiting).poll(&mut Context::from_waker(waker)) {
        Poll::Pending => None,
        Poll::Ready(value) => {
            let mut out = Vec::new();
            waiting.write(&value, &mut RespReply::new(&mut out, false));
            Some(text(&out))
        }
    }
}
