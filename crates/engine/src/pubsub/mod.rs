//! Messages: who listens to what.
//!
//! A [`Mailbox`] holds what waits for one listener. The registry knows which mailboxes listen to
//! which channel or pattern; PUBLISH puts the message into each of them. Messages are kept for
//! nobody: who does not listen when one is published never sees it.
//!
//! The registry's lock is taken after shards, if at all, and never the other way round.

pub(crate) mod commands;
mod gathered;
pub(crate) mod glob;
mod mailbox;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::engine::Engine;
use crate::sync::{Mutex, RwLock};

pub use gathered::Batch;
pub(crate) use gathered::Gathering;
pub(crate) use mailbox::About;
pub use mailbox::{Invalidation, Mail, Mailbox, Message, Overflow};

/// How many channels can be published to at once.
const TURNS: usize = 32;

/// Who listens to what.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    listeners: RwLock<Listeners>,
    /// Is another after each change of `listeners`, which alone changes it.
    version: AtomicU64,
    /// Whoever publishes holds the one of the channel, so that all who listen to a channel hear its
    /// messages in one order. Taken before `listeners`.
    turns: [Mutex<()>; TURNS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Listeners {
    channels: HashMap<Bytes, Vec<Arc<Mailbox>>>,
    patterns: HashMap<Bytes, Vec<Arc<Mailbox>>>,
    shard_channels: HashMap<Bytes, Vec<Arc<Mailbox>>>,
}

/// Channels by name, or by pattern. A channel that is named like a pattern is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channel,
    Pattern,
    /// Channels by name that are others than those of [`Topic::Channel`], and that no pattern matches:
    /// on a cluster they belong to the shard of their slot.
    ShardChannel,
}

impl Topic {
    const ALL: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::ShardChannel];
}

impl PubSub {
    /// Gives a message to all who listen to its channel. Answers how many they are; one who
    /// listens to the channel in several ways counts, and hears, as often.
    pub(crate) fn publish(&self, channel: &[u8], payload: &[u8]) -> usize {
        self.deliver(channel, payload, Listeners::of_channel)
    }

    /// The same for a channel of a shard.
    pub(crate) fn publish_sharded(&self, channel: &[u8], payload: &[u8]) -> usize {
        self.deliver(channel, payload, Listeners::of_shard_channel)
    }

    fn deliver(
        &self,
        channel: &[u8],
        payload: &[u8],
        receivers: impl for<'l> Fn(&'l Listeners, &[u8]) -> Deliveries<'l>,
    ) -> usize {
        let turn = self.turn(channel).lock();
        let listeners = self.listeners.read();
        let deliveries = receivers(&listeners, channel);
        if deliveries.is_empty() {
            return 0;
        }
        let (channel, payload) = (
            Bytes::copy_from_slice(channel),
            Bytes::copy_from_slice(payload),
        );
        let mut count = 0;
        let mut readers = Vec::new();
        for (topic, name, mailboxes) in deliveries {
            let message = Message::new(topic, name, channel.clone(), payload.clone());
            let message = Arc::new(message);
            readers.extend(mailboxes.iter().filter_map(|mailbox| mailbox.put(&message)));
            count += mailboxes.len();
        }
        drop(listeners);
        drop(turn);
        // Waking takes as long as a system call, and nobody has to wait for that.
        readers.into_iter().for_each(Waker::wake);
        count
    }

    /// The turn of a channel.
    fn turn(&self, channel: &[u8]) -> &Mutex<()> {
        &self.turns[self.hasher.hash_one(channel) as usize % TURNS]
    }

    /// A number that is another when somebody has begun or ceased to listen to anything.
    #[inline]
    fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    fn add(&self, topic: Topic, name: &Bytes, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.write();
        self.version.fetch_add(1, Release);
        listeners
            .of_mut(topic)
            .entry(name.clone())
            .or_default()
            .push(Arc::clone(mailbox));
    }

    fn remove(&self, topic: Topic, name: &[u8], mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.write();
        self.version.fetch_add(1, Release);
        let names = listeners.of_mut(topic);
        let Some(mailboxes) = names.get_mut(name) else {
            return;
        };
        mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
        if mailboxes.is_empty() {
            names.remove(name);
        }
    }

    /// The names of this kind to which somebody listens.
    pub(crate) fn names(&self, topic: Topic) -> Vec<Bytes> {
        self.listeners.read().of(topic).keys().cloned().collect()
    }

    /// How many names of this kind somebody listens to.
    pub(crate) fn len(&self, topic: Topic) -> usize {
        self.listeners.read().of(topic).len()
    }

    /// How many listen to a name of this kind.
    pub(crate) fn listeners_of(&self, topic: Topic, name: &[u8]) -> usize {
        let listeners = self.listeners.read();
        listeners.of(topic).get(name).map_or(0, Vec::len)
    }

    /// Who listens to one of the names that `is_wanted`; whoever listens to several, several times.
    pub(crate) fn mailboxes_of(
        &self,
        is_wanted: impl Fn(Topic, &[u8]) -> bool,
    ) -> Vec<Arc<Mailbox>> {
        let listeners = self.listeners.read();
        let names = Topic::ALL.into_iter().flat_map(|topic| {
            let names = listeners.of(topic).iter();
            names.map(move |(name, mailboxes)| (topic, name, mailboxes))
        });
        let wanted = names.filter(|(topic, name, _)| is_wanted(*topic, name));
        wanted
            .flat_map(|(_, _, mailboxes)| mailboxes)
            .cloned()
            .collect()
    }

    /// Whether nobody listens to anything but channels of shards.
    pub(crate) fn is_unheard(&self) -> bool {
        let listeners = self.listeners.read();
        listeners.channels.is_empty() && listeners.patterns.is_empty()
    }
}

/// Mailboxes that receive the same message, and the name by which they do.
type Delivery<'a> = (Topic, &'a Bytes, &'a [Arc<Mailbox>]);

type Deliveries<'a> = SmallVec<[Delivery<'a>; 4]>;

impl Listeners {
    /// Who listens to a channel: by its name, and by each pattern that matches it.
    fn of_channel(&self, channel: &[u8]) -> Deliveries<'_> {
        let by_name = self.channels.get_key_value(channel);
        let by_name = by_name.map(|(name, mailboxes)| (Topic::Channel, name, &mailboxes[..]));
        let by_pattern = self.patterns.iter();
        let by_pattern = by_pattern.filter(|(pattern, _)| glob::matches(pattern, channel));
        let by_pattern =
            by_pattern.map(|(pattern, mailboxes)| (Topic::Pattern, pattern, &mailboxes[..]));
        by_name.into_iter().chain(by_pattern).collect()
    }

    /// Who listens to a channel of a shard.
    fn of_shard_channel(&self, channel: &[u8]) -> Deliveries<'_> {
        let found = self.shard_channels.get_key_value(channel).into_iter();
        found
            .map(|(name, mailboxes)| (Topic::ShardChannel, name, &mailboxes[..]))
            .collect()
    }

    fn of(&self, topic: Topic) -> &HashMap<Bytes, Vec<Arc<Mailbox>>> {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::ShardChannel => &self.shard_channels,
        }
    }

    fn of_mut(&mut self, topic: Topic) -> &mut HashMap<Bytes, Vec<Arc<Mailbox>>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
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
    shard_channels: BTreeSet<Bytes>,
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
            shard_channels: BTreeSet::new(),
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
            Topic::ShardChannel => &self.shard_channels,
        }
    }

    fn names_mut(&mut self, topic: Topic) -> &mut BTreeSet<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much it listens to in all.
    pub(crate) fn count(&self) -> usize {
        Topic::ALL.map(|topic| self.names(topic).len()).iter().sum()
    }

    /// How many subscriptions an answer about a name of this kind counts: channels of shards are
    /// counted on their own.
    pub(crate) fn counted_with(&self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => self.channels.len() + self.patterns.len(),
            Topic::ShardChannel => self.shard_channels.len(),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for topic in Topic::ALL {
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
                _ => panic!("nothing is dropped"),
            };
            mail.map(payload).collect::<Vec<Bytes>>()
        };
        let first = heard(&mailboxes[0]);
        assert_eq!(first.len(), 9000);
        assert!(mailboxes[1..].iter().all(|mailbox| heard(mailbox) == first));
    }
}
