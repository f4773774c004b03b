//! A connection: from bytes to bytes.
//!
//! The straight line: [`Connection::serve`] reads what has come, decodes the requests that are
//! whole, has each executed, and writes all their answers at once. Nothing on this line waits for
//! more than the socket. Only a connection that listens to channels, or waits for a key, waits for
//! that as well; while it waits no thread is tied up.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use larder_engine::{
    ClientInfo, Error, Mail, Mailbox, Message, Outcome, Overflow, Reply, RespReply, Session,
    Waiting,
};
use larder_resp::{Arguments, Decoded, Decoder, Limits, ProtocolError, Span};
use larder_store::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::server::Shared;

/// How many bytes are read at a time, at least.
const READ: usize = 16 * 1024;

/// Answers that are longer than this are written before the next request is executed.
const WRITE: usize = 256 * 1024;

/// An idle connection keeps no larger buffers than this.
const KEEP: usize = 64 * 1024;

/// How many bytes of requests are read ahead while a connection waits for a key.
const READ_AHEAD: usize = 1024 * 1024;

/// How many bytes of messages may wait for a connection that does not read. Redis's limit for
/// subscribers.
const MAIL_MAX: usize = 32 * 1024 * 1024;

/// A connection.
pub(crate) struct Connection<S> {
    shared: Arc<Shared>,
    stream: S,
    session: Session,
    mailbox: Arc<Mailbox>,
    decoder: Decoder,
    input: Vec<u8>,
    /// How much of the input has been executed.
    done: usize,
    spans: Vec<Span>,
    output: Vec<u8>,
}

/// What is to be waited for.
enum Next {
    /// More requests, or messages.
    Input,
    /// The answer of a command that waits for a key.
    Answer(Waiting),
    /// Nothing: the output is long enough to be written first.
    Nothing,
    /// Nothing: the connection is to be closed.
    Close,
}

/// What has come.
enum Came {
    Requests,
    Mail(Mail),
    Answer(Value),
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(shared: Arc<Shared>, stream: S, info: ClientInfo) -> Connection<S> {
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(MAIL_MAX)));
        let session = Session::connected(shared.embedded.engine(), info, Arc::clone(&mailbox));
        Connection {
            shared,
            stream,
            session,
            mailbox,
            decoder: Decoder::new(Limits::default()),
            input: Vec::new(),
            done: 0,
            spans: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Serves the connection until either end closes it.
    pub(crate) async fn serve(mut self) -> io::Result<()> {
        let Some(client) = self.session.client().cloned() else {
            return Ok(());
        };
        let is_welcome = self.shared.enter(&client);
        let result = match self.shared.connections() > self.shared.config.maxclients {
            true => self.turn_away().await,
            false if is_welcome => self.serve_until_closed().await,
            false => Ok(()),
        };
        self.shared.leave(client.id());
        result
    }

    async fn turn_away(&mut self) -> io::Result<()> {
        self.stream
            .write_all(b"-ERR max number of clients reached\r\n")
            .await
    }

    async fn serve_until_closed(&mut self) -> io::Result<()> {
        // The waker of a task is the same at every poll, so it is left here once.
        let client = self.session.client().cloned();
        std::future::poll_fn(|context| {
            client
                .iter()
                .for_each(|client| client.on_kill(context.waker()));
            Poll::Ready(())
        })
        .await;

        loop {
            let mut next = self.execute_all();
            self.flush().await?;
            let came = match &mut next {
                Next::Close => return self.stream.shutdown().await,
                Next::Nothing => continue,
                Next::Input => self.come(None).await?,
                Next::Answer(waiting) => self.come(Some(waiting)).await?,
            };
            match (came, next) {
                (Came::End, _) => return Ok(()),
                (Came::Requests, _) => {}
                (Came::Mail(mail), _) => self.deliver(mail),
                (Came::Answer(value), Next::Answer(waiting)) => {
                    let resp3 = self.session.is_resp3();
                    waiting.write(&value, &mut RespReply::new(&mut self.output, resp3));
                }
                (Came::Answer(_), _) => {}
            }
        }
    }

    // --- requests ----------------------------------------------------------------------------

    /// Executes all requests that have come whole.
    fn execute_all(&mut self) -> Next {
        while self.done < self.input.len() {
            if self.output.len() > WRITE {
                return Next::Nothing;
            }
            self.decoder.set_limits(Limits {
                is_stranger: !self.session.is_authenticated(),
                ..Limits::default()
            });
            let decoded = self
                .decoder
                .decode(&mut self.input[self.done..], &mut self.spans);
            let len = match decoded {
                Ok(Decoded::Complete { consumed }) => consumed,
                Ok(Decoded::Incomplete { missing }) => {
                    self.make_room(missing);
                    return Next::Input;
                }
                Err(error) => return self.refuse(&error),
            };
            let request = self.done..self.done + len;
            self.done += len;
            // A request without words asks for nothing.
            let outcome = match self.spans.is_empty() {
                true => Outcome::Done,
                false => self.execute(request),
            };
            self.spans.clear();
            match outcome {
                Outcome::Done => {}
                Outcome::Close => return Next::Close,
                Outcome::Blocked(waiting) => return Next::Answer(waiting),
            }
        }
        self.input.clear();
        self.done = 0;
        Next::Input
    }

    #[inline]
    fn execute(&mut self, request: std::ops::Range<usize>) -> Outcome {
        let arguments = Arguments::new(&self.input[request], &self.spans);
        let mut reply = RespReply::new(&mut self.output, self.session.is_resp3());
        let now = self.shared.embedded.now();
        self.shared
            .embedded
            .engine()
            .execute(&mut self.session, arguments, now, &mut reply)
    }

    /// Answers bytes that are no request. What comes behind them can't be understood.
    fn refuse(&mut self, error: &ProtocolError) -> Next {
        let text = format!("ERR Protocol error: {error}");
        let mut reply = RespReply::new(&mut self.output, self.session.is_resp3());
        reply.error(&Error::Text(text.into()));
        Next::Close
    }

    /// Makes room for the rest of a request: at the end of the input, and by moving what has come
    /// to its front.
    fn make_room(&mut self, missing: usize) {
        self.input.drain(..self.done);
        self.done = 0;
        // A length that was only announced takes no memory before its bytes come.
        self.input.reserve(missing.clamp(READ, READ_AHEAD));
    }

    // --- messages ----------------------------------------------------------------------------

    fn deliver(&mut self, mail: Mail) {
        self.write_message(mail);
        // What else there is goes out with the same write.
        while self.output.len() < WRITE {
            match self.mailbox.take() {
                Some(mail) => self.write_message(mail),
                None => break,
            }
        }
    }

    fn write_message(&mut self, mail: Mail) {
        let Mail::Message(Message {
            pattern,
            channel,
            payload,
        }) = mail
        else {
            return;
        };
        let mut reply = RespReply::new(&mut self.output, self.session.is_resp3());
        match pattern {
            None => {
                reply.push(3);
                reply.bulk(b"message");
            }
            Some(pattern) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(&pattern);
            }
        }
        reply.bulk(&channel);
        reply.bulk(&payload);
    }

    // --- the socket --------------------------------------------------------------------------

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        if self.output.capacity() > 2 * WRITE {
            self.output.shrink_to(KEEP);
        }
        Ok(())
    }

    /// Waits until something has come.
    async fn come(&mut self, waiting: Option<&mut Waiting>) -> io::Result<Came> {
        let Some(timeout) = self.shared.config.timeout.filter(|_| waiting.is_none()) else {
            return self.wait(waiting).await;
        };
        match tokio::time::timeout(timeout, self.wait(None)).await {
            Ok(came) => came,
            Err(_) if self.session.is_subscribed() => Ok(Came::Requests),
            Err(_) => Ok(Came::End),
        }
    }

    async fn wait(&mut self, mut waiting: Option<&mut Waiting>) -> io::Result<Came> {
        let is_subscribed = self.session.is_subscribed();
        std::future::poll_fn(|context| {
            if let Some(waiting) = &mut waiting
                && let Poll::Ready(value) = Pin::new(&mut **waiting).poll(context)
            {
                return Poll::Ready(Ok(Came::Answer(value)));
            }
            if is_subscribed && let Poll::Ready(mail) = self.mailbox.poll(context) {
                return Poll::Ready(Ok(mail.map_or(Came::End, Came::Mail)));
            }
            if self
                .session
                .client()
                .is_some_and(|client| client.is_killed())
            {
                return Poll::Ready(Ok(Came::End));
            }
            loop {
                // Whoever waits for a key is woken by the key, however much has been read ahead.
                if waiting.is_some() && self.input.len() - self.done > READ_AHEAD {
                    return Poll::Pending;
                }
                match ready!(self.poll_read(context))? {
                    0 => return Poll::Ready(Ok(Came::End)),
                    // What comes while the connection waits for a key is kept for later.
                    _ if waiting.is_some() => {}
                    _ => return Poll::Ready(Ok(Came::Requests)),
                }
            }
        })
        .await
    }

    /// Reads what has come to the end of the input. Answers how much that was, 0 at the end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = Vec::new();
        }
        self.input.reserve(READ);
        tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input)
    }
}
