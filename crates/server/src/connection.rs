//! A connection: a conversation, and the socket that it is held over.
//!
//! A connection does its work in turns: one read, the requests that are there, one write. After a
//! turn that leaves something to do it lets the others of its thread have theirs, so whoever sends
//! without end delays his neighbours by a turn.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut as _;
use larder_resp::Chunks;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio_util::io::poll_read_buf;

use crate::connections::{Listed, Order, Refused};
use crate::conversation::{Conversation, Next};
use crate::listener::Socket;
use crate::shared::Shared;

/// How many requests are run in a turn. A read has fewer, mostly: this is for those that came while
/// the client waited for a key.
const TURN_REQUESTS: usize = 2048;

/// How many bytes are written at once.
const WRITE_MAX: usize = 256 * 1024;

/// How many chunks are written at once.
const WRITE_CHUNKS: usize = 64;

/// A connection that is being served.
struct Connection<S> {
    socket: S,
    conversation: Conversation,
    phase: Phase,
    /// Whether requests that have been received wait for the next turn.
    has_more: bool,
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
enum Turn {
    /// A look at whether there is anything else.
    Look,
    /// The turns of others, and then the next one.
    Yield,
    /// The end.
    End,
}

/// What a turn has done.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Something has happened.
    is_any: bool,
    /// More of it can happen at once.
    has_more: bool,
}

/// Serves a connection to its end.
pub(crate) async fn serve<S: Socket>(mut socket: S, shared: Arc<Shared>) -> io::Result<()> {
    let info = socket.info(shared.embedded.now());
    let conversation = Conversation::new(Arc::clone(&shared), info);
    let Some(client) = conversation.client() else {
        return Ok(());
    };
    let clients_max = shared.engine().clients_max();
    let listed = match shared.connections.add(client, clients_max) {
        Ok(listed) => listed,
        Err(Refused::Ending) => return Ok(()),
        Err(Refused::Full) => {
            shared.engine().note_rejected_connection();
            let refusal = b"-ERR max number of clients reached\r\n";
            return socket.write_all(refusal).await;
        }
    };
    let mut connection = Connection {
        socket,
        conversation,
        phase: Phase::Open,
        has_more: false,
        listed,
        shared,
    };
    connection.run().await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            self.listed.on_order(context.waker());
            Poll::Ready(())
        })
        .await;
        loop {
            match poll_fn(|context| self.poll_turn(context)).await? {
                Turn::Look => {}
                Turn::Yield => yield_now().await,
                Turn::End => break,
            }
        }
        // Before the client can know that it is gone.
        self.conversation.hang_up();
        self.socket.shutdown().await
    }

    /// Takes a turn. Waits if there is nothing to do in it.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        match self.listed.order() {
            Order::Serve => {}
            Order::Finish => self.phase = self.phase.max(Phase::Ending),
            Order::Stop => return Poll::Ready(Ok(Turn::End)),
        }
        let memory_max = self.shared.engine().clients_memory_max();
        let memory_left = self.listed.memory_left(memory_max);
        self.conversation.leave_memory(memory_left);

        let mut progress = Progress::default();
        if self.take_from_engine(context, &mut progress) == Next::Cut {
            return Poll::Ready(Ok(Turn::End));
        }
        self.read(context, &mut progress)?;
        if self.run_requests(&mut progress) == Next::Cut {
            return Poll::Ready(Ok(Turn::End));
        }
        self.write(context, &mut progress)?;
        if self.phase == Phase::Closing && self.conversation.output().is_empty() {
            return Poll::Ready(Ok(Turn::End));
        }
        self.listed
            .hold(self.conversation.show_memory(), memory_max);
        if self.conversation.check_soft_limit() == Next::Cut {
            return Poll::Ready(Ok(Turn::End));
        }
        self.listed.set_slow(self.conversation.is_slow());
        self.listed.set_waiting(self.conversation.is_waiting());
        match progress {
            Progress { has_more: true, .. } => Poll::Ready(Ok(Turn::Yield)),
            Progress { is_any: true, .. } => Poll::Ready(Ok(Turn::Look)),
            _ => Poll::Pending,
        }
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
    fn read(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> io::Result<()> {
        if self.phase > Phase::Open || self.has_more {
            return Ok(());
        }
        let mut room = self.conversation.room();
        let free = room.remaining_mut();
        match poll_read_buf(Pin::new(&mut self.socket), context, &mut room)? {
            Poll::Pending => return Ok(()),
            Poll::Ready(0) if self.conversation.is_parked() => self.phase = Phase::Ending,
            // All requests that have been received are run, or will never be.
            Poll::Ready(0) => self.close(),
            // A read that fills the room has left something behind, most likely.
            Poll::Ready(read) => {
                self.shared.engine().note_read(read);
                progress.has_more |= read == free;
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
    fn write(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> io::Result<()> {
        let output = self.conversation.output();
        if output.is_empty() {
            return Ok(());
        }
        match poll_write(Pin::new(&mut self.socket), context, output)? {
            Poll::Pending => {}
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(written) => {
                self.shared.engine().note_written(written);
                output.advance(written);
                progress.is_any = true;
                progress.has_more |= !output.is_empty();
            }
        }
        Ok(())
    }
}

/// Writes what stands first in the output.
fn poll_write<S: AsyncWrite>(
    socket: Pin<&mut S>,
    context: &mut Context<'_>,
    output: &Chunks,
) -> Poll<io::Result<usize>> {
    if output.sealed_count() == 0 {
        let open = output.slices().next().unwrap_or_default();
        return socket.poll_write(context, open);
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
    socket.poll_write_vectored(context, &slices[..count])
}

#[cfg(test)]
mod tests {
    use larder_embedded::Embedded;
    use larder_engine::{ClientInfo, Now};
    use larder_resp::write_request;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::config::Config;

    impl Socket for DuplexStream {
        fn info(&self, _: Now) -> ClientInfo {
            ClientInfo::default()
        }
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            embedded: Embedded::open(Default::default()).unwrap(),
            config: Config::default(),
            connections: Arc::default(),
        })
    }

    /// Serves a client on this thread. Answers its end of the connection.
    fn connect(shared: &Arc<Shared>) -> DuplexStream {
        let (client, socket) = duplex(1 << 20);
        tokio::spawn(serve(socket, Arc::clone(shared)));
        client
    }

    /// A neighbour had to wait until a flood had been read and answered 64 times.
    #[tokio::test]
    async fn a_flood_delays_its_neighbour_by_a_turn_or_two() {
        let shared = shared();
        let (mut flood, mut neighbour) = (connect(&shared), connect(&shared));
        let mut requests = Vec::new();
        (0..30_000).for_each(|_| write_request(&mut requests, &["INCR", "counter"]));
        flood.write_all(&requests).await.unwrap();
        neighbour.write_all(b"GET counter\r\n").await.unwrap();

        let mut answer = [0; 32];
        let len = neighbour.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..len]);
        let counter = text.lines().nth(1).map_or(0, |line| line.parse().unwrap());
        assert!(counter < 3000, "{counter} requests of the flood came first");
    }

    #[tokio::test]
    async fn a_client_that_half_closes_gets_all_its_answers() {
        let shared = shared();
        let mut client = connect(&shared);
        client.write_all(&b"PING\r\n".repeat(10_000)).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.unwrap();
        assert_eq!(answers.len(), 10_000 * "+PONG\r\n".len());
    }
}
