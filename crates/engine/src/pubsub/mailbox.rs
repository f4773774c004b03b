//! What waits for one listener.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Batch, Topic};
use crate::reply::{Reply, RespReply};
use crate::sync::Mutex;

/// A message, or a line for monitors, shared by all who receive it in the same way.
#[derive(Debug)]
pub struct Message {
    /// The pattern by which it is received, if it is by one.
    pub pattern: Option<Bytes>,
    /// Whether its channel is one of a shard.
    pub is_sharded: bool,
    /// Where it was published.
    pub channel: Bytes,
    /// What was published.
    pub payload: Bytes,
    /// As it goes over a socket, in RESP2 and in RESP3, once somebody has wanted it so.
    encoded: [OnceLock<Bytes>; 2],
}

/// What happens to a listener that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// When more than so many messages wait, the oldest go.
    DropOldest(usize),
    /// When messages of more than so many bytes wait, the listener is cut off.
    CutOff(usize),
}

/// What waits for one listener: a bounded queue.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    overflow: Overflow,
    messages: VecDeque<Mail>,
    bytes: usize,
    lost: u64,
    is_closed: bool,
    reader: Option<Waker>,
}

/// What a mailbox has for its listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// A message.
    Message(Arc<Message>),
    /// Several messages to one channel. Only a listener that may be cut off receives them so.
    Batch(Arc<Batch>),
    /// What the listener has read may not be so any more.
    Invalidation(Invalidation),
    /// So many messages were dropped before the next one.
    Lost(u64),
}

/// Says to a client with CLIENT TRACKING that what it remembers may not be so any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    pub(crate) about: About,
    /// Whether it comes instead of another connection, which has redirected it.
    pub(crate) is_redirected: bool,
}

/// What an [`Invalidation`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// These keys have changed.
    Keys(Arc<[Bytes]>),
    /// Everything may have changed.
    Everything,
    /// The connection that was to be told, by its number, is gone.
    BrokenRedirection(u64),
}

impl Mail {
    /// What the listener receives, in RESP3 or in RESP2; nothing if it can't be said there.
    pub fn encoded(&self, resp3: bool) -> Option<Cow<'_, Bytes>> {
        match self {
            Mail::Message(message) => Some(Cow::Borrowed(message.encoded(resp3))),
            Mail::Batch(batch) => Some(Cow::Borrowed(batch.encoded(resp3))),
            Mail::Invalidation(invalidation) => {
                let mut bytes = Vec::new();
                invalidation.write(&mut RespReply::new(&mut bytes, resp3));
                (!bytes.is_empty()).then(|| Cow::Owned(Bytes::from(bytes)))
            }
            Mail::Lost(_) => None,
        }
    }

    /// The bytes that it holds, with what it costs to hold them.
    fn len(&self) -> usize {
        match self {
            Mail::Message(message) => message.len(),
            Mail::Batch(batch) => batch.len(),
            Mail::Invalidation(invalidation) => invalidation.len(),
            Mail::Lost(_) => 0,
        }
    }
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(overflow: Overflow) -> Mailbox {
        Mailbox {
            state: Mutex::new(State {
                overflow,
                messages: VecDeque::new(),
                bytes: 0,
                lost: 0,
                is_closed: false,
                reader: None,
            }),
        }
    }

    /// Puts a message in. Answers who is to be woken when no lock is held any more.
    pub(crate) fn put(&self, message: &Arc<Message>) -> Option<Waker> {
        self.put_mail(Mail::Message(Arc::clone(message)))
    }

    /// Puts messages in, together if they need not be counted. Answers who is to be woken when no lock
    /// is held any more.
    pub(super) fn put_batch(&self, batch: &Arc<Batch>) -> Option<Waker> {
        let overflow = self.state.lock().overflow;
        match (batch.messages(), overflow) {
            ([_, _, ..], Overflow::CutOff(_)) => self.put_mail(Mail::Batch(Arc::clone(batch))),
            (messages, _) => {
                let readers = messages.iter().filter_map(|message| self.put(message));
                readers.last()
            }
        }
    }

    /// Says that what the listener has read may not be so any more. Answers who is to be woken.
    pub(crate) fn put_invalidation(&self, invalidation: Invalidation) -> Option<Waker> {
        self.put_mail(Mail::Invalidation(invalidation))
    }

    fn put_mail(&self, message: Mail) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        state.bytes += message.len();
        state.messages.push_back(message);
        match state.overflow {
            Overflow::DropOldest(len_max) if state.messages.len() > len_max => state.drop_oldest(),
            Overflow::CutOff(bytes_max) if state.bytes > bytes_max => state.close(),
            _ => {}
        }
        state.reader.take()
    }

    /// Ends the mailbox: what waits is forgotten, and the listener is told that there is no more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.close();
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// What there is next; `None` when the mailbox was closed, or the listener cut off.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Mail>> {
        let mut state = self.state.lock();
        match state.take() {
            Some(mail) => Poll::Ready(Some(mail)),
            None => state.wait(context),
        }
    }

    /// Takes all messages that wait into `messages`, which is empty, for a listener that is cut off when
    /// messages of more than `bytes_max` bytes wait for it. `None` when the mailbox was closed, or it is
    /// cut off.
    pub fn poll_all(
        &self,
        context: &mut Context<'_>,
        bytes_max: usize,
        messages: &mut VecDeque<Mail>,
    ) -> Poll<Option<()>> {
        let mut state = self.state.lock();
        state.overflow = Overflow::CutOff(bytes_max);
        if state.messages.is_empty() {
            return state.wait(context);
        }
        state.bytes = 0;
        std::mem::swap(&mut state.messages, messages);
        Poll::Ready(Some(()))
    }

    /// What there is next, without waiting.
    pub fn take(&self) -> Option<Mail> {
        self.state.lock().take()
    }
}

impl State {
    fn take(&mut self) -> Option<Mail> {
        if self.lost > 0 {
            return Some(Mail::Lost(std::mem::take(&mut self.lost)));
        }
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    /// There is nothing: has the listener woken when there is.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        match &mut self.reader {
            Some(reader) => reader.clone_from(context.waker()),
            None => self.reader = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.bytes -= oldest.len();
            self.lost += 1;
        }
    }

    fn close(&mut self) {
        self.messages.clear();
        self.bytes = 0;
        self.is_closed = true;
    }
}

impl Message {
    /// A message that is received by a name of this kind.
    pub(crate) fn new(topic: Topic, name: &Bytes, channel: Bytes, payload: Bytes) -> Message {
        Message {
            pattern: (topic == Topic::Pattern).then(|| name.clone()),
            is_sharded: topic == Topic::ShardChannel,
            channel,
            payload,
            encoded: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// A line for a monitor, which goes over a socket as a status does.
    pub(crate) fn line(text: &str) -> Message {
        let mut line = Vec::new();
        RespReply::new(&mut line, false).status(text);
        let line = Bytes::from(line);
        Message {
            pattern: None,
            is_sharded: false,
            channel: Bytes::new(),
            payload: line.clone(),
            encoded: [line.clone().into(), line.into()],
        }
    }

    /// The message as a subscriber receives it, in RESP3 or in RESP2. It is encoded once, for all who
    /// receive it.
    pub fn encoded(&self, resp3: bool) -> &Bytes {
        self.encoded[usize::from(resp3)].get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.len());
            self.write(&mut bytes, resp3);
            Bytes::from(bytes)
        })
    }

    /// Writes the message as a subscriber receives it.
    pub(super) fn write(&self, out: &mut Vec<u8>, resp3: bool) {
        let mut reply = RespReply::new(out, resp3);
        match &self.pattern {
            None => {
                reply.push(3);
                reply.bulk(match self.is_sharded {
                    true => b"smessage",
                    false => b"message",
                });
            }
            Some(pattern) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(pattern);
            }
        }
        reply.bulk(&self.channel);
        reply.bulk(&self.payload);
    }

    /// The bytes that it holds, with what it costs to hold them.
    pub(super) fn len(&self) -> usize {
        let pattern = self.pattern.as_ref().map_or(0, Bytes::len);
        size_of::<Message>() + pattern + self.channel.len() + self.payload.len()
    }
}

impl Invalidation {
    fn write(&self, reply: &mut dyn Reply) {
        if let About::BrokenRedirection(id) = self.about {
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            return reply.int(id as i64);
        }
        match reply.is_resp3() {
            true => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
            // There is no push in RESP2: whoever receives it listens to a channel.
            false if self.is_redirected => {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(b"__redis__:invalidate");
            }
            false => return,
        }
        match &self.about {
            About::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            _ => reply.null_array(),
        }
    }

    fn len(&self) -> usize {
        let keys = match &self.about {
            About::Keys(keys) => keys.iter().map(|key| size_of::<Bytes>() + key.len()).sum(),
            _ => 0,
        };
        size_of::<Mail>() + keys
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        (self.is_sharded, &self.pattern) == (other.is_sharded, &other.pattern)
            && (&self.channel, &self.payload) == (&other.channel, &other.payload)
    }
}

impl Eq for Message {}
