//! One connection: the straight line from bytes to bytes.
//!
//! Read, find the requests that are there, run each into one buffer of answers, write that buffer.
//! Only a connection that waits for a key or listens to messages waits for more than its socket.
//! Answers that are not taken stop the line, so what one connection holds is bounded by one read,
//! one answer, and [`FLUSH`].

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use larder_embedded::Embedded;
use larder_engine::{
    Buffers, Engine, Mail, Mailbox, Message, Outcome, Overflow, Parked, Reply, RespReply, Session,
    Waiting,
};
use larder_resp::{self as resp, Limits, ProtocolError};
use larder_store::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::io::poll_read_buf;

use crate::config::Config;
use crate::connections::{Connections, Listed, Order, Refused};
use crate::input::Input;
use crate::listener::Socket;

/// How many bytes of answers are collected before they are written.
const FLUSH: usize = 64 * 1024;

/// How many bytes of further requests are read while one waits for a key.
const READ_WHILE_BLOCKED: usize = 64 * 1024;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) embedded: Embedded,
    pub(crate) config: Config,
    pub(crate) connections: Arc<Connections>,
}

impl Shared {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.embedded.engine()
    }
}

/// A connection that is being served.
pub(crate) struct Connection<S> {
    socket: S,
    input: Input,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    session: Session,
    mailbox: Arc<Mailbox>,
    /// The answer that is waited for.
    blocked: Option<Waiting>,
    /// What the next request waits for before it is run.
    parked: Option<Parked>,
    listed: Listed,
    shared: Arc<Shared>,
}

/// What a connection waited for.
enum Event {
    /// Bytes have been read.
    Read,
    /// The answer that was waited for.
    Answer(Value),
    /// The next request may be run.
    Unparked,
    /// Messages, which are in the output now.
    Mail,
    /// The client is gone, or is to go.
    End,
}

/// What is to be done after requests have been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Write, and run more.
    Run,
    /// Write, and wait.
    Wait,
    /// Write, and close.
    Close,
}

/// Serves a connection to its end.
pub(crate) async fn serve<S: Socket>(mut socket: S, shared: Arc<Shared>) -> io::Result<()> {
    let overflow = Overflow::CutOff(shared.config.pubsub_output_limit);
    let mailbox = Arc::new(Mailbox::new(overflow));
    let info = socket.info(shared.embedded.now());
    let session = Session::connected(shared.embedded.engine(), info, Arc::clone(&mailbox));
    let Some(client) = session.client() else {
        return Ok(());
    };
    let listed = match shared
        .connections
        .add(client, shared.engine().clients_max())
    {
        Ok(listed) => listed,
        Err(Refused::Ending) => return Ok(()),
        Err(Refused::Full) => {
            return socket
                .write_all(b"-ERR max number of clients reached\r\n")
                .await;
        }
    };
    let mut connection = Connection {
        socket,
        input: Input::default(),
        output: Vec::new(),
        written: 0,
        session,
        mailbox,
        blocked: None,
        parked: None,
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
            self.show_buffers();
            match poll_fn(|context| self.poll_event(context)).await? {
                Event::Read => self.show_buffers(),
                Event::Mail => {}
                Event::Unparked => self.parked = None,
                Event::Answer(value) => self.unblock(&value),
                Event::End => break,
            }
            loop {
                let next = self.run_requests();
                if !self.output.is_empty() {
                    poll_fn(|context| self.poll_write(context)).await?;
                }
                match next {
                    Next::Run => {}
                    Next::Wait => break,
                    Next::Close => return self.close().await,
                }
            }
        }
        self.close().await
    }

    async fn close(&mut self) -> io::Result<()> {
        // Before the client can know that it is gone: what comes for it then is somebody else's.
        self.blocked = None;
        self.socket.shutdown().await
    }

    /// Shows other connections what this one holds.
    fn show_buffers(&self) {
        if let Some(client) = self.session.client() {
            client.show_buffers(Buffers {
                unanswered: self.input.unanswered(),
                input_capacity: self.input.capacity(),
                unwritten: self.output.len() - self.written,
                output_capacity: self.output.capacity(),
            });
        }
    }

    // --- running requests --------------------------------------------------------------------

    /// Runs the requests that have been read, until their answers should be written.
    fn run_requests(&mut self) -> Next {
        while self.blocked.is_none() && self.parked.is_none() {
            if self.input.next().is_none() {
                match self.input.find(self.limits()) {
                    Ok(false) => return Next::Wait,
                    Ok(true) => self.look_ahead(),
                    Err(error) => return self.refuse(error),
                }
            }
            let Some(arguments) = self.input.next() else {
                return Next::Wait;
            };
            let (start, subscriptions) = (self.output.len(), self.session.subscriptions());
            let output_max = self.shared.config.output_limit.unwrap_or(usize::MAX);
            let reply = RespReply::new(&mut self.output, self.session.is_resp3());
            let mut reply = reply.up_to(output_max);
            let embedded = &self.shared.embedded;
            let engine = embedded.engine();
            let outcome = engine.execute(&mut self.session, arguments, embedded, &mut reply);
            if let Outcome::Parked(parked) = outcome {
                self.parked = Some(parked);
                return Next::Wait;
            }
            self.input.pop();
            if self.session.subscriptions() < subscriptions {
                self.put_mail_before(start);
            }
            match outcome {
                Outcome::Done | Outcome::Parked(_) => {}
                Outcome::Blocked(waiting) => self.blocked = Some(waiting),
                Outcome::Close => return Next::Close,
            }
            if self.output.len() >= FLUSH {
                return self.flush();
            }
        }
        Next::Wait
    }

    /// Has the engine look ahead over the keys of the requests that have been found.
    fn look_ahead(&self) {
        let requests = self.input.requests();
        if requests.len() > 1 {
            let engine = self.shared.embedded.engine();
            engine.look_ahead(&self.session, requests);
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            words_max: self.shared.config.multibulk_max,
            word_max: self.shared.engine().bulk_len_max(),
            is_stranger: !self.session.is_authenticated(),
        }
    }

    /// Answers that what was sent is no request. Nothing behind it can be understood.
    fn refuse(&mut self, error: ProtocolError) -> Next {
        if error == ProtocolError::Http {
            tracing::warn!("a client is closed: it speaks HTTP, perhaps for a hostile page");
            return Next::Close;
        }
        resp::error(&mut self.output, &format!("ERR Protocol error: {error}"));
        Next::Close
    }

    /// Has the answers written, or the client closed that may not have so much.
    fn flush(&mut self) -> Next {
        let limit = self.shared.config.output_limit;
        if limit.is_some_and(|limit| self.output.len() > limit) {
            tracing::warn!("a client is closed: its answer is longer than the output limit");
            self.output.clear();
            return Next::Close;
        }
        Next::Run
    }

    /// Writes the answer that was waited for.
    fn unblock(&mut self, value: &Value) {
        if let Some(waiting) = self.blocked.take() {
            let mut reply = RespReply::new(&mut self.output, self.session.is_resp3());
            waiting.write(value, &mut reply);
        }
    }

    // --- messages ----------------------------------------------------------------------------

    /// Puts the messages that have arrived before the answer that begins at `start`, which says
    /// that there will be no more of them.
    fn put_mail_before(&mut self, start: usize) {
        let answer = self.output.split_off(start);
        while let Some(mail) = self.mailbox.take() {
            self.write_mail(mail);
        }
        self.output.extend_from_slice(&answer);
    }

    fn write_mail(&mut self, mail: Mail) {
        // A connection's mailbox loses nothing: it cuts off who does not read.
        if let Mail::Message(message) = mail {
            let mut reply = RespReply::new(&mut self.output, self.session.is_resp3());
            write_message(&message, &mut reply);
        }
    }

    // --- waiting -----------------------------------------------------------------------------

    /// Waits for the socket, and for whatever else may happen to the connection.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Event>> {
        if self.listed.order() > Order::Serve {
            return Poll::Ready(Ok(Event::End));
        }
        if let Some(parked) = &mut self.parked
            && pin!(parked).poll(context).is_ready()
        {
            return Poll::Ready(Ok(Event::Unparked));
        }
        if self.blocked.is_some() || self.session.is_subscribed() {
            self.listed.set_waiting(true);
            if let Poll::Ready(event) = self.poll_engine(context) {
                self.listed.set_waiting(false);
                return Poll::Ready(Ok(event));
            }
        }
        self.poll_read(context)
    }

    /// Waits for what the engine has for the connection: an answer, or messages.
    fn poll_engine(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(waiting) = &mut self.blocked
            && let Poll::Ready(value) = pin!(waiting).poll(context)
        {
            return Poll::Ready(Event::Answer(value));
        }
        while self.output.len() < FLUSH {
            match self.mailbox.poll(context) {
                Poll::Ready(Some(mail)) => self.write_mail(mail),
                Poll::Ready(None) => {
                    tracing::warn!("a client is closed: it does not read its messages");
                    return Poll::Ready(Event::End);
                }
                Poll::Pending => break,
            }
        }
        match self.output.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Event::Mail),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Event>> {
        let is_held_up = self.blocked.is_some() || self.parked.is_some();
        let held_max = match is_held_up {
            true => READ_WHILE_BLOCKED,
            false => self.shared.config.client_query_buffer_limit,
        };
        if self.input.len() >= held_max {
            if is_held_up {
                return Poll::Pending;
            }
            tracing::warn!("a client is closed: its request is longer than the query buffer limit");
            return Poll::Ready(Ok(Event::End));
        }
        let socket = Pin::new(&mut self.socket);
        match ready!(poll_read_buf(socket, context, self.input.room()))? {
            0 => Poll::Ready(Ok(Event::End)),
            _ => Poll::Ready(Ok(Event::Read)),
        }
    }

    /// Writes the answers.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let rest = &self.output[self.written..];
            match Pin::new(&mut self.socket).poll_write(context, rest)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => self.written += written,
                Poll::Pending if self.is_given_up(context) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                Poll::Pending => {
                    self.show_buffers();
                    return Poll::Pending;
                }
            }
        }
        self.written = 0;
        self.output.clear();
        if self.output.capacity() > 2 * FLUSH {
            self.output = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a client that does not take its answers is not waited for any longer: it is killed,
    /// or too many messages wait behind the answers.
    fn is_given_up(&self, context: &mut Context<'_>) -> bool {
        let is_cut_off =
            self.session.is_subscribed() && self.mailbox.poll_closed(context).is_ready();
        is_cut_off || self.listed.order() == Order::Stop
    }
}

/// Writes a message as a subscriber receives it.
fn write_message(message: &Message, reply: &mut dyn Reply) {
    match &message.pattern {
        None => {
            reply.push(3);
            reply.bulk(b"message");
        }
        Some(pattern) => {
            reply.push(4);
            reply.bulk(b"pmessage");
            reply.bulk(pattern);
        }
    }
    reply.bulk(&message.channel);
    reply.bulk(&message.payload);
}
