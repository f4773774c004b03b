//! What is said on one connection, without the connection: bytes come in, bytes go out.
//!
//! ```text
//! room() ──> Input ── requests ──> Session, in the engine ──> Chunks ──> output()
//!                       run()          │                        ^
//!                                      └── an answer that comes later, messages: poll()
//! ```
//!
//! Here is everything that a connection is: what was received and not run, what was answered and not
//! written, the wait that it is in, what it listens to. Nothing here knows a socket, a task or a
//! runtime; whoever drives it reads, calls, writes, and waits where [`Next`] says so.
//!
//! Requests go on being run while answers wait to be written, up to the client's limit
//! (`client-output-buffer-limit`): many clients write all of a pipeline before they read an answer.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use larder_engine::{
    Buffers, Client, ClientInfo, Mail, Mailbox, Outcome, OutputClass, Overflow, Parked, RespReply,
    Session, Ticks, TimeSource as _, Waiting,
};
use larder_resp::{self as resp, Chunks, Limits, ProtocolError};
use larder_store::Value;

use crate::input::Input;
use crate::shared::Shared;

/// How many bytes of answers one run makes: Redis's `NET_MAX_WRITES_PER_EVENT`. They should be
/// written before there are more.
const RUN_OUTPUT: usize = 64 * 1024;

/// Why a client is closed that reaches its hard limit.
const UNREAD: &str = "it does not read its messages";
const TOO_MUCH: &str = "more answers wait for it than it may have";

/// The state of a connection.
pub(crate) struct Conversation {
    shared: Arc<Shared>,
    session: Session,
    input: Input,
    output: Chunks,
    mailbox: Arc<Mailbox>,
    /// Messages on their way from the mailbox to the output.
    mail: VecDeque<Mail>,
    /// How many bytes of messages have been put into the output since it was empty.
    mail_len: usize,
    /// The answer that is waited for.
    blocked: Option<Waiting>,
    /// What the next request waits for before it is run: others hold its keys.
    parked: Option<Parked>,
    /// How many bytes of answers the memory of all clients leaves to this one.
    memory_left: usize,
    /// Since when more waits for the client than the soft limit allows.
    slow_since: Option<Ticks>,
}

/// What is to be done after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is more to run.
    Run,
    /// Wait for more bytes, or for what the engine has.
    Wait,
    /// Write what there is, and close.
    Close,
    /// Close now.
    Cut,
}

impl Conversation {
    /// A conversation with a client that has said nothing yet.
    pub(crate) fn new(shared: Arc<Shared>, info: ClientInfo) -> Conversation {
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(usize::MAX)));
        let session = Session::connected(shared.engine(), info, Arc::clone(&mailbox));
        Conversation {
            shared,
            session,
            input: Input::default(),
            output: Chunks::default(),
            mailbox,
            mail: VecDeque::new(),
            mail_len: 0,
            blocked: None,
            parked: None,
            memory_left: usize::MAX,
            slow_since: None,
        }
    }

    /// What others see of the client.
    pub(crate) fn client(&self) -> Option<&Arc<Client>> {
        self.session.client()
    }

    /// Whether the client waits for a key or for messages, so that its silence is no sign that it is
    /// idle.
    pub(crate) fn is_waiting(&self) -> bool {
        self.blocked.is_some() || self.parked.is_some() || self.session.is_listening()
    }

    // --- bytes ---------------------------------------------------------------------------------

    /// Room for what is received. What is put there is received. While the client waits for a key it
    /// gets as much as at any other time, so that its end is noticed.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.input.room()
    }

    /// Frees the buffers that nothing is in.
    pub(crate) fn shrink(&mut self) {
        self.input.shrink();
        self.mail.shrink_to_fit();
        if self.output.is_empty() {
            self.output = Chunks::default();
        }
    }

    /// What is to be written.
    pub(crate) fn output(&mut self) -> &mut Chunks {
        &mut self.output
    }

    /// Whether a request that has been received waits for its keys, and is run when they are free.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Nobody is there any more: what would come for the client is somebody else's.
    pub(crate) fn hang_up(&mut self) {
        self.blocked = None;
    }

    // --- requests ------------------------------------------------------------------------------

    /// Runs requests that have been received: at most so many, and not many more than fill a write.
    pub(crate) fn run(&mut self, requests_max: usize) -> Next {
        let next = self.run_requests(requests_max);
        self.session.give_out(self.shared.engine());
        next
    }

    fn run_requests(&mut self, requests_max: usize) -> Next {
        let query_max = self.shared.engine().query_buffer_max();
        let output_max = self.output_max();
        let full = self.output.len() + RUN_OUTPUT;
        for _ in 0..requests_max {
            if self.blocked.is_some() || self.parked.is_some() {
                return self.wait(query_max);
            }
            if !self.input.has_next() {
                match self.input.find(self.limits(), query_max) {
                    Ok(false) => return self.wait(query_max),
                    Ok(true) => self.look_ahead(),
                    Err(error) => return self.refuse(error),
                }
            }
            match self.run_next(output_max) {
                Outcome::Done => {}
                Outcome::Blocked(waiting) => self.blocked = Some(waiting),
                Outcome::Parked(parked) => self.parked = Some(parked),
                Outcome::Close => return Next::Close,
            }
            let unwritten = self.output.len();
            if unwritten > output_max {
                return self.cut_for_answers(TOO_MUCH);
            }
            if unwritten >= full {
                return Next::Run;
            }
        }
        Next::Run
    }

    /// Waits, if the client has sent no more than so many bytes that are not answered.
    fn wait(&mut self, query_max: usize) -> Next {
        if self.input.unanswered() <= query_max {
            return Next::Wait;
        }
        self.shared.engine().note_beyond_query_limit();
        self.cut("its request is longer than the query buffer limit")
    }

    /// Has the engine look ahead over the requests that have been found.
    fn look_ahead(&mut self) {
        let engine = self.shared.engine();
        self.session.seen(&self.shared.embedded);
        self.input.foresee(engine);
        let mut foreseen = self.input.foreseen();
        if foreseen.len() > 1 {
            engine.look_ahead(&self.session, foreseen.clone());
            if foreseen.next().is_some_and(|(_, first)| first.publishes()) {
                self.session.gather_messages();
            }
        }
    }

    /// Runs the next request that has been found.
    #[inline]
    fn run_next(&mut self, output_max: usize) -> Outcome {
        let subscriptions = self.session.subscriptions();
        if subscriptions > 0 {
            return self.run_for_subscriber(subscriptions, output_max);
        }
        let reply = RespReply::chunked(&mut self.output, self.session.is_resp3());
        let mut reply = reply.up_to(output_max);
        execute(&self.shared, &mut self.session, &mut self.input, &mut reply)
    }

    /// Runs the next request of a client that listens to messages. If it listens to less then, what
    /// has come until then goes before the answer, which says that no more will.
    #[cold]
    fn run_for_subscriber(&mut self, subscriptions: usize, output_max: usize) -> Outcome {
        let mut answer = Chunks::default();
        let reply = RespReply::chunked(&mut answer, self.session.is_resp3());
        let mut reply = reply.up_to(output_max);
        let outcome = execute(&self.shared, &mut self.session, &mut self.input, &mut reply);
        if self.session.subscriptions() < subscriptions {
            while let Some(mail) = self.mailbox.take() {
                if let Some(bytes) = mail.encoded(self.session.is_resp3()) {
                    self.output.push(&bytes);
                }
            }
        }
        self.output.append(answer);
        outcome
    }

    fn limits(&self) -> Limits {
        Limits {
            words_max: self.shared.config.multibulk_max,
            word_max: self.shared.engine().bulk_len_max(),
            is_unauthenticated: !self.session.is_authenticated(),
        }
    }

    /// Answers that what was sent is no request. Nothing behind it can be understood.
    fn refuse(&mut self, error: ProtocolError) -> Next {
        if error == ProtocolError::Http {
            return self.cut("it speaks HTTP, perhaps for a hostile page");
        }
        let text = format!("ERR Protocol error: {error}");
        resp::error(self.output.open(), &text);
        Next::Close
    }

    // --- what the engine has -------------------------------------------------------------------

    /// Takes what the engine has for the client: the answer that it waits for, the keys of the next
    /// request, and messages. Answers with [`Next::Run`] if something came, or [`Next::Cut`].
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let mut is_new = false;
        if let Some(parked) = &mut self.parked
            && Pin::new(parked).poll(context).is_ready()
        {
            self.parked = None;
            self.end_waiting();
            is_new = true;
        }
        if let Some(waiting) = &mut self.blocked
            && let Poll::Ready(value) = Pin::new(waiting).poll(context)
        {
            self.unblock(&value);
            self.end_waiting();
            is_new = true;
        }
        if self.session.is_listening() {
            match self.poll_mail(context) {
                Poll::Ready(Next::Cut) => return Poll::Ready(Next::Cut),
                mail => is_new |= mail.is_ready(),
            }
        }
        match is_new {
            true if self.output.len() > self.output_max() => {
                Poll::Ready(self.cut_for_answers(TOO_MUCH))
            }
            true => Poll::Ready(Next::Run),
            false => Poll::Pending,
        }
    }

    /// The client has not been idle while it waited: that begins now.
    fn end_waiting(&self) {
        self.session.seen(&self.shared.embedded);
    }

    /// Writes the answer that was waited for.
    fn unblock(&mut self, value: &Value) {
        if let Some(waiting) = self.blocked.take() {
            let mut reply = RespReply::chunked(&mut self.output, self.session.is_resp3());
            waiting.write(value, &mut reply);
        }
    }

    fn poll_mail(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if self.output.is_empty() {
            self.mail_len = 0;
        }
        // Also of a client that is no subscriber, but hears of changes of what it has read.
        let mail_max = self.hard_limit(OutputClass::PubSub);
        let mail_left = mail_max.saturating_sub(self.mail_len);
        let left = self.output_max().saturating_sub(self.output.len());
        let came = self
            .mailbox
            .poll_all(context, left.min(mail_left), &mut self.mail);
        came.map(|came| match came {
            Some(()) => {
                let resp3 = self.session.is_resp3();
                for mail in self.mail.drain(..) {
                    if let Some(bytes) = mail.encoded(resp3) {
                        self.mail_len += bytes.len();
                        self.output.push(&bytes);
                    }
                }
                match self.mail_len > mail_max {
                    true => self.cut_for_answers(UNREAD),
                    false => Next::Run,
                }
            }
            None => self.cut_for_answers(UNREAD),
        })
    }

    // --- limits --------------------------------------------------------------------------------

    /// How many bytes may wait for the client. More than that is its end.
    fn output_max(&self) -> usize {
        self.hard_limit(self.class()).min(self.memory_left)
    }

    fn hard_limit(&self, class: OutputClass) -> usize {
        match self.shared.engine().output_limit(class).hard {
            0 => usize::MAX,
            hard => usize::try_from(hard).unwrap_or(usize::MAX),
        }
    }

    fn class(&self) -> OutputClass {
        match self.session.is_subscribed() || self.session.is_monitor() {
            true => OutputClass::PubSub,
            false => OutputClass::Normal,
        }
    }

    /// Says how many bytes of answers the memory of all clients leaves to this one.
    pub(crate) fn leave_memory(&mut self, bytes: usize) {
        self.memory_left = bytes;
    }

    /// Shows others what is held here. Answers how many bytes that is.
    pub(crate) fn show_memory(&self) -> usize {
        let Some(client) = self.session.client() else {
            return 0;
        };
        client.show_buffers(Buffers {
            unanswered: self.input.unanswered(),
            input_capacity: self.input.capacity(),
            unwritten: self.output.open_len(),
            output_capacity: self.output.open_capacity(),
            chunks: self.output.sealed_count(),
            chunk_bytes: self.output.sealed_bytes(),
        });
        client.bytes()
    }

    /// Whether more waits for the client than the soft limit allows, which it may for a while.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow_since.is_some()
    }

    /// Looks whether the client is slow, and answers with [`Next::Cut`] if it has been for too long.
    /// To be called after each run, and from time to time while it is slow.
    pub(crate) fn check_soft_limit(&mut self) -> Next {
        let limit = self.shared.engine().output_limit(self.class());
        if limit.soft == 0 || self.output.len() as u64 <= limit.soft {
            self.slow_since = None;
            return Next::Wait;
        }
        let now = self.shared.embedded.ticks();
        let since = *self.slow_since.get_or_insert(now);
        match u128::from(now.us_since(since)) > limit.soft_for.as_micros() {
            true => self.cut_for_answers("it takes its answers too slowly"),
            false => Next::Wait,
        }
    }

    /// More waits for the client than may, and that is its end.
    fn cut_for_answers(&mut self, why: &str) -> Next {
        self.shared.engine().note_beyond_output_limit();
        self.cut(why)
    }

    fn cut(&mut self, why: &str) -> Next {
        tracing::warn!("a client is closed: {why}");
        self.output.clear();
        Next::Cut
    }
}

/// Runs the request that stands first in the input, and takes it out if it has been run.
#[inline]
fn execute(
    shared: &Shared,
    session: &mut Session,
    input: &mut Input,
    reply: &mut RespReply<'_>,
) -> Outcome {
    let Some((arguments, foreseen)) = input.next() else {
        return Outcome::Done;
    };
    let engine = shared.engine();
    if session.gathers_messages() && !foreseen.publishes() {
        session.give_out(engine);
    }
    let before = reply.written();
    let outcome = engine.execute_foreseen(session, arguments, foreseen, &shared.embedded, reply);
    if !matches!(outcome, Outcome::Parked(_)) {
        let written = reply.written().saturating_sub(before);
        engine.note_if_large(session, arguments, written, &shared.embedded);
        input.pop();
    }
    outcome
}

#[cfg(test)]
mod tests;
