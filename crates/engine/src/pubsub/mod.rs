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
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::engine::Engine;

pub use mailbox::{Mail, Mailbox, Message, Overflow};

/// Who listens to what.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    listeners: RwLock<Listeners>,
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
        let listeners = self.listeners.read();
        let mut receivers = 0;
        let mut shared: Option<(Bytes, Bytes)> = None;
        let mut send = |mailboxes: &[Arc<Mailbox>], pattern: Option<&Bytes>| {
            let (channel, payload) = shared.get_or_insert_with(|| {
                (
                    Bytes::copy_from_slice(channel),
                    Bytes::copy_from_slice(payload),
                )
            });
            for mailbox in mailboxes {
                let (channel, payload) = (channel.clone(), payload.clone());
                mailbox.put(Message {
                    pattern: pattern.cloned(),
                    channel,
                    payload,
                });
            }
            receivers += mailboxes.len();
        };
        if let Some(mailboxes) = listeners.channels.get(channel) {
            send(mailboxes, None);
        }
        for (pattern, mailboxes) in &listeners.patterns {
            if glob::matches(pattern, channel) {
                send(mailboxes, Some(pattern));
            }
        }
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

    /// How many patterns somebody listens to.
    pub(crate) fn patterns_len(&self) -> usize {
        self.listeners.read().patterns.len()
    }
}

impl Listeners {
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
}

impl Subscriber {
    /// A listener without subscriptions, whose messages go into `mailbox`.
    pub fn new(engine: &Arc<Engine>, mailbox: Arc<Mailbox>) -> Subscriber {
        let engine = Arc::clone(engine);
        Subscriber {
            engine,
            mailbox,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
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
        self.names_mut(topic).insert(name);
    }

    pub(crate) fn remove(&mut self, topic: Topic, name: &[u8]) {
        self.engine.pubsub.remove(topic, name, &self.mailbox);
        self.names_mut(topic).remove(name);
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
