//! A connection: a conversation, and the socket that it is held over.
//!
//! A connection does its work in turns: one read, the requests that are there, one write. After a
//! turn that leaves something to do it lets the others of its thread have theirs, so whoever sends
//! without end delays his neighbours by a turn. The write may wait until some of the others have had
//! theirs ([`Turn::Write`]): a client process that holds several connections is woken once for all then.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_resp::Chunks;

use crate::connections::{Listed, Order, Refused};
use crate::conversation::{Conversation, Next};
use crate::listener::Accepted;
use crate::readiness::{Readiness, Received};
use crate::shared::Shared;
use crate::socket::Socket;

/// How many requests are run in a turn. A read has fewer, mostly: this is for those that came while
/// the client waited for a key.
const TURN_REQUESTS: usize = 2048;

/// How often is looked in a turn whether the engine has something. Others may publish to the client
/// without end.
const LOOKS_MAX: usize = 4;

/// How many bytes of answers may wait until others have had their turns.
const LATER_MAX: usize = 16 * 1024;

/// How many bytes are written at once.
const WRITE_MAX: usize = 256 * 1024;

/// How many chunks are written at once.
const WRITE_CHUNKS: usize = 64;

/// A connection that is being served.
pub(crate) struct Connection {
    socket: Socket,
    conversation: Conversation,
    phase: Phase,
    /// Whether requests that have been received wait for the next turn.
    has_more: bool,
    /// What a turn has done that is to end with a write.
    unwritten: Option<Progress>,
    listed: Listed,
    shared: Arc<Shared>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Requests are received, run and answered.
    Open,
    /// No more is received; what was is run.
    Ending,
    /// No more is run; answers are written.
    Closing,
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// [`Connection::write_turn`], soon.
    Write,
    /// Nothing, until the socket or the engine has something.
    Wait,
    /// The turns of others, and then the next one.
    Yield,
    /// The end.
    End,
}

/// What a part of a turn has done.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Something has happened.
    is_any: bool,
    /// More of it can happen at once.
    has_more: bool,
}

/// What a client from another machine is told as long as there is no password, in Redis's words.
const DENIED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback \
    interface. If you want to connect from external computers to Redis you may adopt one of the following \
    solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the \
    loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE \
    Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change \
    permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration \
    file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
    the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an \
    authentication password for the default user. NOTE: You only need to do one of the above things in \
    order for the server to start accepting connections from the outside.\r\n";

impl Connection {
    /// Puts a connection on the list. Answers `None` if it was refused.
    pub(crate) fn new(accepted: Accepted, shared: Arc<Shared>) -> io::Result<Option<Connection>> {
        let is_denied = shared.engine().is_protected() && !accepted.is_local();
        let info = accepted.info(shared.embedded.now());
        let mut socket = accepted.into_socket(&shared)?;
        if is_denied {
            shared.engine().note_rejected_connection();
            tracing::debug!("a client from another machine is refused: protected mode");
            socket.say_at_once(DENIED)?;
            return Ok(None);
        }
        let conversation = Conversation::new(Arc::clone(&shared), info);
        let Some(client) = conversation.client() else {
            return Ok(None);
        };
        let clients_max = shared.engine().clients_max();
        let listed = match shared.connections.add(client, clients_max) {
            Ok(listed) => listed,
            Err(Refused::Ending) => return Ok(None),
            Err(Refused::Full) => {
                shared.engine().note_rejected_connection();
                socket.say_at_once("-ERR max number of clients reached\r\n")?;
                return Ok(None);
            }
        };
        listed.set_handshaking(socket.is_handshaking());
        Ok(Some(Connection {
            socket,
            conversation,
            phase: Phase::Open,
            has_more: false,
            unwritten: None,
            listed,
            shared,
        }))
    }

    /// The number by which the system knows its socket.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.descriptor()
    }

    /// Has `waker` woken at every order.
    pub(crate) fn on_order(&self, waker: &Waker) {
        self.listed.on_order(waker);
    }

    /// Takes a turn, in which the system says this of the socket. If [`Turn::Wait`] follows, `context`
    /// is woken when the engine has something.
    pub(crate) fn turn(
        &mut self,
        context: &mut Context<'_>,
        readiness: Readiness,
    ) -> io::Result<Turn> {
        self.socket.note(readiness);
        take_looks(|| self.look(context))
    }

    /// Writes the answers of a turn that was followed by [`Turn::Write`], and goes on with it.
    pub(crate) fn write_turn(&mut self) -> io::Result<Turn> {
        let Some(progress) = self.unwritten.take() else {
            return Ok(Turn::Yield);
        };
        let ended = self.end_look(progress)?;
        Ok(match self.after_look(ended)? {
            ControlFlow::Break(turn) => turn,
            ControlFlow::Continue(()) => Turn::Yield,
        })
    }

    /// Does once what there is to do, and says whether the turn is over.
    fn look(&mut self, context: &mut Context<'_>) -> io::Result<ControlFlow<Turn>> {
        let Some(progress) = self.begin_look(context)? else {
            return self.after_look(None);
        };
        if self.may_write_later() {
            self.unwritten = Some(progress);
            return Ok(ControlFlow::Break(Turn::Write));
        }
        let ended = self.end_look(progress)?;
        self.after_look(ended)
    }

    /// Whether what is to be written can wait until others have had their turns. More than a little is
    /// written at once, so that it takes no memory.
    #[inline]
    fn may_write_later(&mut self) -> bool {
        let unwritten = self.conversation.output().len();
        self.phase == Phase::Open && (1..=LATER_MAX).contains(&unwritten)
    }

    /// Says what follows what was done, which is nothing at the end.
    fn after_look(&mut self, progress: Option<Progress>) -> io::Result<ControlFlow<Turn>> {
        let Some(progress) = progress else {
            // Before the client can know that it is gone.
            self.conversation.hang_up();
            self.socket.shutdown()?;
            return Ok(ControlFlow::Break(Turn::End));
        };
        if !progress.is_any && !progress.has_more {
            self.shrink_if_told();
        }
        Ok(match progress {
            Progress { has_more: true, .. } => ControlFlow::Break(Turn::Yield),
            Progress { is_any: true, .. } if self.has_to_look() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(Turn::Wait),
        })
    }

    /// Frees what is not used, if the connection was told to. For a turn in which nothing came.
    fn shrink_if_told(&mut self) {
        if self.listed.take_shrinking() {
            self.conversation.shrink();
            let memory_max = self.shared.engine().clients_memory_max();
            self.hold_memory(memory_max);
        }
    }

    /// Shows how much is held here, of which all together may hold so much.
    fn hold_memory(&self, memory_max: Option<u64>) {
        let memory = self.conversation.show_memory() + self.socket.memory();
        let engine = self.shared.engine();
        if let Some(client) = self.conversation.client() {
            engine.account_for(client, memory, &self.shared.embedded);
        }
        match self.listed.hold(memory, memory_max) {
            0 => {}
            evicted => engine.note_evicted_clients(evicted),
        }
    }

    /// Whether nobody would tell that there is more, since it has not been asked for.
    fn has_to_look(&self) -> bool {
        let reads = self.phase == Phase::Open && self.socket.is_readable();
        reads || self.conversation.is_waiting() || self.conversation.is_parked()
    }

    /// Reads and runs what there is. Answers `None` at the end.
    fn begin_look(&mut self, context: &mut Context<'_>) -> io::Result<Option<Progress>> {
        match self.listed.order() {
            Order::Serve => {}
            Order::Finish => self.phase = self.phase.max(Phase::Ending),
            Order::Stop => return Ok(None),
        }
        let memory_max = self.shared.engine().clients_memory_max();
        let memory_left = self.listed.memory_left(memory_max);
        self.conversation.leave_memory(memory_left);

        let mut progress = Progress::default();
        if self.take_from_engine(context, &mut progress) == Next::Cut {
            return Ok(None);
        }
        self.read(&mut progress)?;
        match self.run_requests(&mut progress) {
            Next::Cut => Ok(None),
            _ => Ok(Some(progress)),
        }
    }

    /// Writes what there is. Answers `None` at the end.
    fn end_look(&mut self, mut progress: Progress) -> io::Result<Option<Progress>> {
        self.write(&mut progress)?;
        let is_all = self.conversation.output().is_empty() && !self.socket.has_unsent();
        if self.phase == Phase::Closing && is_all {
            return Ok(None);
        }
        self.hold_memory(self.shared.engine().clients_memory_max());
        if self.conversation.check_soft_limit() == Next::Cut {
            return Ok(None);
        }
        self.listed.set_slow(self.conversation.is_slow());
        self.listed.set_waiting(self.conversation.is_waiting());
        self.listed.set_handshaking(self.socket.is_handshaking());
        Ok(Some(progress))
    }

    /// Takes the answer that is waited for, and messages.
    fn take_from_engine(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> Next {
        if self.phase == Phase::Closing {
            return Next::Close;
        }
        match self.conversation.poll(context) {
            Poll::Pending => Next::Wait,
            Poll::Ready(next) => {
                progress.is_any = true;
                next
            }
        }
    }

    /// Reads once, unless there is enough to do already.
    fn read(&mut self, progress: &mut Progress) -> io::Result<()> {
        if self.phase > Phase::Open || self.has_more || !self.socket.is_readable() {
            return Ok(());
        }
        match self.socket.read(self.conversation.room())? {
            Received::Nothing => return Ok(()),
            Received::Unseen => progress.has_more = true,
            Received::End if self.conversation.is_parked() => self.phase = Phase::Ending,
            // All requests that have been received are run, or will never be.
            Received::End => self.close(),
            Received::Bytes(read) => {
                self.shared.engine().note_read(read);
                progress.has_more |= self.socket.is_readable();
            }
        }
        progress.is_any = true;
        Ok(())
    }

    /// Runs requests, if there may be any.
    fn run_requests(&mut self, progress: &mut Progress) -> Next {
        let mut next = Next::Wait;
        if self.phase < Phase::Closing && (self.has_more || progress.is_any) {
            next = self.conversation.run(TURN_REQUESTS);
            self.has_more = next == Next::Run;
            // Also if it was the last of what was left: then there is to be read again.
            progress.is_any = true;
            progress.has_more |= self.has_more;
        }
        let is_all = !self.has_more && !self.conversation.is_parked();
        if next == Next::Close || (self.phase == Phase::Ending && is_all) {
            self.close();
        }
        next
    }

    /// Runs nothing any more. What would come for the client from now on is somebody else's.
    fn close(&mut self) {
        self.conversation.hang_up();
        self.phase = Phase::Closing;
    }

    /// Writes once, if there is something to write.
    fn write(&mut self, progress: &mut Progress) -> io::Result<()> {
        progress.is_any |= self.socket.flush()?;
        let output = self.conversation.output();
        if output.is_empty() {
            return Ok(());
        }
        match write(&mut self.socket, output)? {
            None => {}
            Some(0) => return Err(io::ErrorKind::WriteZero.into()),
            Some(written) => {
                self.shared.engine().note_written(written);
                output.advance(written);
                progress.is_any = true;
                progress.has_more |= !output.is_empty();
            }
        }
        Ok(())
    }
}

/// Looks until the turn is over, [`LOOKS_MAX`] times at most.
#[inline]
fn take_looks(mut look: impl FnMut() -> io::Result<ControlFlow<Turn>>) -> io::Result<Turn> {
    for _ in 0..LOOKS_MAX {
        if let ControlFlow::Break(turn) = look()? {
            return Ok(turn);
        }
    }
    Ok(Turn::Yield)
}

/// Writes what stands first in the output.
fn write(socket: &mut Socket, output: &Chunks) -> io::Result<Option<usize>> {
    if output.sealed_count() == 0 {
        let open = output.slices().next().unwrap_or_default();
        return socket.write(open);
    }
    let mut slices = [IoSlice::new(&[]); WRITE_CHUNKS];
    let (mut count, mut left) = (0, WRITE_MAX);
    for (slice, chunk) in slices.iter_mut().zip(output.slices()) {
        let part = &chunk[..chunk.len().min(left)];
        *slice = IoSlice::new(part);
        count += 1;
        left -= part.len();
        if left == 0 {
            break;
        }
    }
    socket.write_all_of(&slices[..count])
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use larder_embedded::{Clock, Embedded};
    use larder_resp::write_request;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::config::Config;
    use crate::rounds::{Letter, Rounds};

    /// A worker without a thread: its rounds are called for.
    struct Worker {
        rounds: Option<Box<Rounds>>,
        shared: Arc<Shared>,
    }

    impl Worker {
        fn new() -> Worker {
            Worker {
                rounds: Some(Rounds::new(&Arc::default()).unwrap()),
                shared: Arc::new(Shared {
                    embedded: Embedded::open(
                        larder_embedded::Config::default().clock(Clock::manual()),
                    )
                    .unwrap(),
                    config: Config::default(),
                    keys: None,
                    connections: Arc::default(),
                }),
            }
        }

        /// A client's end of a connection.
        fn connect(&self) -> UnixStream {
            let (client, socket) = UnixStream::pair().unwrap();
            client.set_nonblocking(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            let accepted = Accepted::Unix(socket);
            let counted = TaskTracker::new().token();
            let letter = Letter::Serve(accepted, Arc::clone(&self.shared), counted);
            self.rounds.as_ref().unwrap().letters().send(letter);
            client
        }

        fn wake_all(&self) {
            let letters = self.rounds.as_ref().unwrap().letters();
            (0..4).for_each(|place| letters.send(Letter::Wake(place)));
        }

        fn round(&mut self) {
            self.rounds = self.rounds.take().and_then(Rounds::round);
        }
    }

    /// A neighbour had to wait until a flood had been read and answered 64 times.
    #[test]
    fn a_flood_delays_its_neighbour_by_a_turn_or_two() {
        let mut worker = Worker::new();
        let (mut flood, mut neighbour) = (worker.connect(), worker.connect());
        let mut requests = Vec::new();
        (0..30_000).for_each(|_| write_request(&mut requests, &["INCR", "counter"]));
        let sent = flood.write(&requests).unwrap();
        assert!(
            sent > 4000 * requests.len() / 30_000,
            "{sent} bytes are no flood"
        );
        neighbour.write_all(b"GET counter\r\n").unwrap();

        let mut answer = [0; 32];
        let len = loop {
            worker.round();
            if let Ok(len) = neighbour.read(&mut answer) {
                break len;
            }
        };
        let text = String::from_utf8_lossy(&answer[..len]);
        let counter = text.lines().nth(1).map_or(0, |line| line.parse().unwrap());
        assert!(counter < 3000, "{counter} requests of the flood came first");
    }

    /// The answer to a request, and the rounds until it comes.
    fn ask(worker: &mut Worker, client: &mut UnixStream, request: &[u8]) -> Vec<u8> {
        client.write_all(request).unwrap();
        let mut answer = [0; 4096];
        loop {
            worker.round();
            if let Ok(len) = client.read(&mut answer) {
                break answer[..len].to_vec();
            }
        }
    }

    #[test]
    fn a_silent_connection_holds_no_buffers_and_is_served_when_it_speaks() {
        let mut worker = Worker::new();
        let mut client = worker.connect();
        let name = b"CLIENT SETNAME silent\r\n";
        assert_eq!(ask(&mut worker, &mut client, name), b"+OK\r\n");
        let held = |worker: &Worker| worker.shared.connections.memory();
        let before = held(&worker);
        assert!(before > 16 * 1024, "{before}");

        let pass = |worker: &mut Worker, seconds| {
            worker.shared.embedded.pass(Duration::from_secs(seconds));
            let now = worker.shared.embedded.now();
            worker.shared.connections.shrink_silent(now);
            // It is woken in any case, so that the round does not wait.
            worker.wake_all();
            worker.round();
        };
        pass(&mut worker, 1);
        assert_eq!(held(&worker), before, "it may speak again soon");
        pass(&mut worker, 1);
        assert!(held(&worker) < 2048, "{}", held(&worker));

        assert_eq!(ask(&mut worker, &mut client, b"PING\r\n"), b"+PONG\r\n");
        // A part of a request is kept.
        client.write_all(b"*1\r\n$4\r\nPI").unwrap();
        worker.round();
        pass(&mut worker, 2);
        assert_eq!(ask(&mut worker, &mut client, b"NG\r\n"), b"+PONG\r\n");
    }

    #[test]
    fn who_always_has_something_to_do_lets_others_have_their_turns_after_four_looks() {
        let mut looks = 0;
        let turn = take_looks(|| {
            looks += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!((turn.unwrap(), looks), (Turn::Yield, 4));
    }

    #[test]
    fn a_client_that_half_closes_gets_all_its_answers() {
        let mut worker = Worker::new();
        let mut client = worker.connect();
        client.write_all(&b"PING\r\n".repeat(10_000)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut answers, mut chunk) = (0, [0; 4096]);
        loop {
            match client.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => answers += len,
                Err(_) => worker.round(),
            }
        }
        assert_eq!(answers, 10_000 * "+PONG\r\n".len());
    }
}
