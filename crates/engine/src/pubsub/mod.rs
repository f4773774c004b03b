//! Messages: who listens to what.
//!
//! A [`Mailbox`] holds what waits for one listener. The registry knows which mailboxes listen to
//! which channel or pattern; PUBLISH puts the message into each of them. Messages are kept for
//! nobody: who does not listen when one is published never sees it.
//!
//! The registry's lock is taken after shards, if at all, and never the other way round.

pub(crate) mod commands;
pub(crate) mod glob;
mod mailbox;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::engine::Engine;

pub(crate) use mailbox::About;
pub use mailbox::{Invalidation, Mail, Mailbox, Message, Overflow};

/// How many channels can be published to at once.
const TURNS: usize = 32;

/// Who listens to what.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    listeners: RwLock<Listeners>,
    /// Whoever publishes holds the one of the channel, so that all who listen to a channel hear its
    /// messages in one order. Taken before `listeners`.
    turns: [Mutex<()>; TURNS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Listeners {
    channels: HashMap<Bytes, Vec<Arc<Mailbox>>>,
    patterns: HashMap<Bytes, Vec<Arc<Mailbox>>>,
}

/// Channels by name, or by pattern. A channel that is named like a pattern is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channel,
    Pattern,
}

impl PubSub {
    /// Gives a message to all who listen to its channel. Answers how many they are; one who
    /// listens to the channel in several ways counts, and hears, as often.
    pub(crate) fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        let turn = self.turns[self.hasher.hash_one(channel) as usize % TURNS].lock();
        let listeners = self.listeners.read();
        let deliveries = listeners.of_channel(channel);
        if deliveries.is_empty() {
            return 0;
        }
        let (channel, payload) = (
            Bytes::copy_from_slice(channel),
            Bytes::copy_from_slice(payload),
        );
        let mut receivers = 0;
        let mut readers = Vec::new();
        for (pattern, mailboxes) in deliveries {
            let message = Message::new(pattern.cloned(), channel.clone(), payload.clone());
            let message = Arc::new(message);
            readers.extend(mailboxes.iter().filter_map(|mailbox| mailbox.put(&message)));
            receivers += mailboxes.len();
        }
        drop(listeners);
        drop(turn);
        // Waking takes as long as a system call, and nobody has to wait for that.
        readers.into_iter().for_each(Waker::wake);
        receivers
    }

    fn add(&self, topic: Topic, name: &Bytes, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.write();
        listeners
            .of(topic)
            .entry(name.clone())
            .or_default()
            .push(Arc::clone(mailbox));
    }

    fn remove(&self, topic: Topic, name: &[u8], mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.write();
        let names = listeners.of(topic);
        let Some(mailboxes) = names.get_mut(name) else {
            return;
        };
        mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
        if mailboxes.is_empty() {
            names.remove(name);
        }
    }

    /// The channels to which somebody listens by name.
    pub(crate) fn channels(&self) -> Vec<Bytes> {
        self.listeners.read().channels.keys().cloned().collect()
    }

    /// How many listen to a channel by name.
    pub(crate) fn listeners_of(&self, channel: &[u8]) -> usize {
        self.listeners
            .read()
            .channels
            .get(channel)
            .map_or(0, Vec::len)
    }

    /// Whether nobody listens to anything.
    pub(crate) fn is_unheard(&self) -> bool {
        let listeners = self.listeners.read();
        listeners.channels.is_empty() && listeners.patterns.is_empty()
    }

    /// How many patterns somebody listens to.
    pub(crate) fn patterns_len(&self) -> usize {
        self.listeners.read().patterns.len()
    }
}

/// Mailboxes that receive the same message, and the pattern by which they do.
type Delivery<'a> = (Option<&'a Bytes>, &'a [Arc<Mailbox>]);

impl Listeners {
    /// Who listens to a channel: by its name, and by each pattern that matches it.
    fn of_channel(&self, channel: &[u8]) -> SmallVec<[Delivery<'_>; 4]> {
        let by_name = self.channels.get(channel);
        let by_name = by_name.map(|mailboxes| (None, &mailboxes[..]));
        let by_pattern = self.patterns.iter();
        let by_pattern = by_pattern.filter(|(pattern, _)| glob::matches(pattern, channel));
        let by_pattern = by_pattern.map(|(pattern, mailboxes)| (Some(pattern), &mailboxes[..]));
        by_name.into_iter().chain(by_pattern).collect()
    }

    fn of(&mut self, topic: Topic) -> &mut HashMap<Bytes, Vec<Arc<Mailbox>>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }
}

/// What one listener listens to. Dropping it ends all its subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    engine: Arc<Engine>,
    mailbox: Arc<Mailbox>,
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
    /// How many bytes all of them take, here and where messages find them.
    bytes: usize,
}

/// How many bytes a subscription takes beside its name.
const SUBSCRIPTION_BYTES: usize = 160;

impl Subscriber {
    /// A listener without subscriptions, whose messages go into `mailbox`.
    pub fn new(engine: &Arc<Engine>, mailbox: Arc<Mailbox>) -> Subscriber {
        let engine = Arc::clone(engine);
        Subscriber {
            engine,
            mailbox,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Listens to a channel by name.
    pub fn subscribe(&mut self, channel: &[u8]) {
        self.add(Topic::Channel, channel);
    }

    /// Listens to the channels that match a glob pattern.
    pub fn subscribe_pattern(&mut self, pattern: &[u8]) {
        self.add(Topic::Pattern, pattern);
    }

    pub(crate) fn add(&mut self, topic: Topic, name: &[u8]) {
        if self.names(topic).contains(name) {
            return;
        }
        let name = Bytes::copy_from_slice(name);
        self.engine.pubsub.add(topic, &name, &self.mailbox);
        self.bytes += SUBSCRIPTION_BYTES + name.len();
        self.names_mut(topic).insert(name);
    }

    pub(crate) fn remove(&mut self, topic: Topic, name: &[u8]) {
        self.engine.pubsub.remove(topic, name, &self.mailbox);
        if self.names_mut(topic).remove(name) {
            self.bytes -= SUBSCRIPTION_BYTES + name.len();
        }
    }

    pub(crate) fn names(&self, topic: Topic) -> &BTreeSet<Bytes> {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
        }
    }

    fn names_mut(&mut self, topic: Topic) -> &mut BTreeSet<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for topic in [Topic::Channel, Topic::Pattern] {
            for name in self.names(topic) {
                self.engine.pubsub.remove(topic, name, &self.mailbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Now;

    /// Messages of two who speak at once were heard in different orders.
    #[test]
    fn all_who_listen_to_a_channel_hear_one_order() {
        let engine = Engine::new([0; 32], Now::from_unix_us(1));
        let mailboxes: Vec<_> = (0..8)
            .map(|_| Arc::new(Mailbox::new(Overflow::DropOldest(usize::MAX))))
            .collect();
        let listen = |mailbox: &Arc<Mailbox>| Subscriber::new(&engine, Arc::clone(mailbox));
        let mut subscribers: Vec<_> = mailboxes.iter().map(listen).collect();
        for (place, subscriber) in subscribers.iter_mut().enumerate() {
            match place % 2 {
                0 => subscriber.subscribe(b"news"),
                _ => subscriber.subscribe_pattern(b"n*"),
            }
        }
        std::thread::scope(|scope| {
            for speaker in 0..3 {
                let engine = &engine;
                scope.spawn(move || {
                    for round in 0..3000 {
                        let text = format!("{speaker} {round}");
                        engine.pubsub.publish(b"news", text.as_bytes());
                    }
                });
            }
        });
        let heard = |mailbox: &Arc<Mailbox>| {
            let mail = std::iter::from_fn(|| mailbox.take());
            let payload = |mail| match mail {
                Mail::Message(message) => message.payload.clone(),
                Mail::Lost(_) | Mail::Invalidation(_) => panic!("nothing is dropped"),
            };
            mail.map(payload).collect::<Vec<Bytes>>()
        };
        let first = heard(&mailboxes[0]);
        assert_eq!(first.len(), 9000);
        assert!(mailboxes[1..].iter().all(|mailbox| heard(mailbox) == first));
    }
}
