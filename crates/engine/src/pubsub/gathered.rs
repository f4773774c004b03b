//! Messages that a connection publishes one after the other, given to their listeners at once.
//!
//! A pipeline of a hundred PUBLISHes to a hundred listeners is ten thousand messages, each a lock, a
//! place in a queue and a copy. Gathered, those to one channel are put into each mailbox as one
//! [`Batch`], whose bytes all listeners share.
//!
//! Nobody can tell:
//!
//! - they are given out before the connection's next command of another kind runs, before it
//!   publishes to another channel, and before its answers are written;
//! - they go to those who listened to the channel when they were published, and still do;
//! - they stay together and in their order, as messages of one sender may.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use bytes::Bytes;

use super::mailbox::{Mailbox, Message};
use super::{Listeners, PubSub, Topic};
use crate::engine::Engine;
use crate::session::Session;

/// From how many bytes on they are given out.
const BYTES_MAX: usize = 16 * 1024;

/// Where messages wait that a connection publishes. It is there as long as they may.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Option<Gathered>);

/// Messages to one channel that nobody has received yet.
#[derive(Debug)]
struct Gathered {
    channel: Bytes,
    payloads: Vec<Bytes>,
    bytes: usize,
    /// Who listened when they were published.
    receivers: Receivers,
}

/// All who listened to a channel at a time.
#[derive(Debug)]
struct Receivers {
    /// The state of the registry that says so.
    version: u64,
    /// By the name of the channel, and by each pattern.
    deliveries: Vec<(Topic, Bytes, Vec<Arc<Mailbox>>)>,
    count: usize,
}

/// Messages to one channel that listeners receive together.
#[derive(Debug)]
pub struct Batch {
    messages: Vec<Arc<Message>>,
    len: usize,
    /// As they go over a socket, in RESP2 and in RESP3, once somebody has wanted them so.
    encoded: [OnceLock<Bytes>; 2],
}

impl Batch {
    fn new(messages: Vec<Arc<Message>>) -> Batch {
        Batch {
            len: messages.iter().map(|message| message.len()).sum(),
            messages,
            encoded: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// The messages, in the order in which they were published.
    pub fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// The messages as a subscriber receives them, in RESP3 or in RESP2. They are encoded once, for
    /// all who receive them.
    pub fn encoded(&self, resp3: bool) -> &Bytes {
        self.encoded[usize::from(resp3)].get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.len);
            for message in &self.messages {
                message.write(&mut bytes, resp3);
            }
            Bytes::from(bytes)
        })
    }

    /// The bytes that it holds, with what it costs to hold them.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Gathering {
    /// Publishes a message, soon. Answers how many receive it, as [`PubSub::publish`] does.
    pub(super) fn publish(&mut self, pubsub: &PubSub, channel: &[u8], payload: &[u8]) -> usize {
        let is_full = |held: &Gathered| held.bytes >= BYTES_MAX;
        let version = pubsub.version();
        let fits = |held: &Gathered| held.receivers.version == version && held.channel == channel;
        if !self
            .0
            .as_ref()
            .is_some_and(|held| fits(held) && !is_full(held))
        {
            self.give_out(pubsub);
            let receivers = pubsub.receivers(channel);
            if receivers.count == 0 {
                return 0;
            }
            self.0 = Some(Gathered::new(channel, receivers));
        }
        self.0.as_mut().map_or(0, |held| held.add(payload))
    }

    /// Gives what waits here to its listeners.
    fn give_out(&mut self, pubsub: &PubSub) {
        if let Some(gathered) = self.0.take() {
            pubsub.give_out(&gathered);
        }
    }
}

impl Gathered {
    fn new(channel: &[u8], receivers: Receivers) -> Gathered {
        Gathered {
            channel: Bytes::copy_from_slice(channel),
            payloads: Vec::new(),
            bytes: 0,
            receivers,
        }
    }

    /// Adds a message. Answers how many receive it.
    fn add(&mut self, payload: &[u8]) -> usize {
        self.payloads.push(Bytes::copy_from_slice(payload));
        self.bytes += payload.len();
        self.receivers.count
    }
}

impl Session {
    /// Has messages that the requests of this connection publish wait until [`Session::give_out`]: for
    /// whoever knows that more requests are there.
    pub fn gather_messages(&mut self) {
        self.gathering.get_or_insert_default();
    }

    /// Whether messages may wait.
    #[inline]
    pub fn gathers_messages(&self) -> bool {
        self.gathering.is_some()
    }

    /// Gives messages that wait to their listeners, and has none wait any more: to be called before a
    /// request that does not publish, and before answers are written.
    pub fn give_out(&mut self, engine: &Engine) {
        if let Some(mut gathering) = self.gathering.take() {
            gathering.give_out(&engine.pubsub);
        }
    }
}

impl PubSub {
    /// Who listens to a channel now.
    fn receivers(&self, channel: &[u8]) -> Receivers {
        let listeners = self.listeners.read();
        let deliveries = listeners.of_channel(channel).into_iter();
        let deliveries: Vec<(_, _, Vec<_>)> = deliveries
            .map(|(topic, name, mailboxes)| (topic, name.clone(), mailboxes.into()))
            .collect();
        Receivers {
            // Nobody changes it meanwhile.
            version: self.version(),
            count: { deliveries.iter() }
                .map(|(_, _, mailboxes)| mailboxes.len())
                .sum(),
            deliveries,
        }
    }

    fn give_out(&self, gathered: &Gathered) {
        let turn = self.turn(&gathered.channel).lock();
        let listeners = self.listeners.read();
        let is_current = self.version() == gathered.receivers.version;
        let mut readers: Vec<Waker> = Vec::new();
        for (topic, name, mailboxes) in &gathered.receivers.deliveries {
            let message = |payload: &Bytes| {
                let (channel, payload) = (gathered.channel.clone(), payload.clone());
                Arc::new(Message::new(*topic, name, channel, payload))
            };
            let batch = Batch::new(gathered.payloads.iter().map(message).collect());
            let batch = Arc::new(batch);
            let left = (!is_current).then(|| listeners.now(*topic, name));
            let stays = |mailbox: &&Arc<Mailbox>| match &left {
                None => true,
                Some(left) => left.contains(&Arc::as_ptr(mailbox)),
            };
            let mailboxes = mailboxes.iter().filter(stays);
            readers.extend(mailboxes.filter_map(|mailbox| mailbox.put_batch(&batch)));
        }
        drop(listeners);
        drop(turn);
        // Waking takes as long as a system call, and nobody has to wait for that.
        readers.into_iter().for_each(Waker::wake);
    }
}

impl Listeners {
    /// Who listens now by this name.
    fn now(&self, topic: Topic, name: &Bytes) -> HashSet<*const Mailbox> {
        let mailboxes = self.of(topic).get(name);
        mailboxes.into_iter().flatten().map(Arc::as_ptr).collect()
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        self.messages == other.messages
    }
}

impl Eq for Batch {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Now;
    use crate::pubsub::{Mail, Overflow, Subscriber};

    const CUT_OFF: Overflow = Overflow::CutOff(usize::MAX);

    fn listener(
        engine: &Arc<Engine>,
        overflow: Overflow,
        name: &[u8],
    ) -> (Arc<Mailbox>, Subscriber) {
        let mailbox = Arc::new(Mailbox::new(overflow));
        let mut subscriber = Subscriber::new(engine, Arc::clone(&mailbox));
        match name.contains(&b'*') {
            true => subscriber.subscribe_pattern(name),
            false => subscriber.subscribe(name),
        }
        (mailbox, subscriber)
    }

    /// What has come into a mailbox, each piece of mail by its payloads.
    fn heard(mailbox: &Mailbox) -> Vec<String> {
        let text = |message: &Arc<Message>| String::from_utf8_lossy(&message.payload).into_owned();
        let mail = std::iter::from_fn(|| mailbox.take());
        let texts = mail.map(|mail| match mail {
            Mail::Message(message) => text(&message),
            Mail::Batch(batch) => batch
                .messages()
                .iter()
                .map(text)
                .collect::<Vec<_>>()
                .join("+"),
            mail => panic!("{mail:?} was not published"),
        });
        texts.collect()
    }

    #[test]
    fn messages_go_together_where_they_are_not_counted() {
        let engine = Engine::new([0; 32], Now::from_unix_us(1));
        let (bounded, _one) = listener(&engine, Overflow::DropOldest(10), b"news");
        let (by_name, _two) = listener(&engine, CUT_OFF, b"news");
        let (by_pattern, _three) = listener(&engine, CUT_OFF, b"n*");
        let mut gathering = Gathering::default();
        assert_eq!(gathering.publish(&engine.pubsub, b"news", b"a"), 3);
        assert_eq!(gathering.publish(&engine.pubsub, b"news", b"b"), 3);
        assert!(heard(&by_name).is_empty());
        // One to another channel comes behind them.
        assert_eq!(gathering.publish(&engine.pubsub, b"nuts", b"c"), 1);
        assert_eq!(heard(&by_name), ["a+b"]);
        gathering.give_out(&engine.pubsub);
        assert_eq!(heard(&bounded), ["a", "b"]);
        assert_eq!(heard(&by_pattern), ["a+b", "c"]);
    }

    #[test]
    fn who_comes_later_hears_nothing_of_before_and_who_has_gone_hears_nothing() {
        let engine = Engine::new([0; 32], Now::from_unix_us(1));
        let (stays, _stays) = listener(&engine, CUT_OFF, b"news");
        let (goes, leaver) = listener(&engine, CUT_OFF, b"news");
        let mut gathering = Gathering::default();
        assert_eq!(gathering.publish(&engine.pubsub, b"news", b"a"), 2);
        drop(leaver);
        let (comes, _comes) = listener(&engine, CUT_OFF, b"news");
        assert_eq!(gathering.publish(&engine.pubsub, b"news", b"b"), 2);
        gathering.give_out(&engine.pubsub);
        assert_eq!(heard(&stays), ["a", "b"]);
        assert!(heard(&goes).is_empty());
        assert_eq!(heard(&comes), ["b"]);
    }

    #[test]
    fn messages_of_many_bytes_do_not_wait() {
        let engine = Engine::new([0; 32], Now::from_unix_us(1));
        let (mailbox, _subscriber) = listener(&engine, CUT_OFF, b"news");
        let mut gathering = Gathering::default();
        for _ in 0..2 {
            gathering.publish(&engine.pubsub, b"news", &[b'x'; BYTES_MAX]);
        }
        assert_eq!(heard(&mailbox).len(), 1);
    }
}
