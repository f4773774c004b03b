//! What waits for one listener.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

/// A message for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The pattern by which it is received, if it is by one.
    pub pattern: Option<Bytes>,
    /// Where it was published.
    pub channel: Bytes,
    /// What was published.
    pub payload: Bytes,
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
    overflow: Overflow,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    lost: u64,
    is_closed: bool,
    reader: Option<Waker>,
}

/// What a mailbox has for its listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// The oldest message.
    Message(Message),
    /// So many messages were dropped before the next one.
    Lost(u64),
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(overflow: Overflow) -> Mailbox {
        Mailbox {
            overflow,
            state: Mutex::default(),
        }
    }

    pub(super) fn put(&self, message: Message) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        state.bytes += message.len();
        state.messages.push_back(message);
        match self.overflow {
            Overflow::DropOldest(len_max) if state.messages.len() > len_max => state.drop_oldest(),
            Overflow::CutOff(bytes_max) if state.bytes > bytes_max => state.close(),
            _ => {}
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
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
        if let Some(mail) = state.take() {
            return Poll::Ready(Some(mail));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until the mailbox is closed, or the listener cut off, and takes nothing out of it.
    pub fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
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
        Some(Mail::Message(message))
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
    /// The bytes that it holds, with what it costs to hold them.
    fn len(&self) -> usize {
        size_of::<Message>() + self.channel.len() + self.payload.len()
    }
}
