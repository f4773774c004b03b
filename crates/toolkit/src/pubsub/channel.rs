//! Publishing and subscribing.

use larder_store::{Capability, Channels, Command, Error, Keys, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Subscription;
use super::subscription::Heard;
use crate::codec;

/// The channels of a namespace. Cloning it is cheap and shares it.
#[derive(Clone, Debug)]
pub struct PubSub {
    store: Store,
    keys: Keys,
    buffer: usize,
    is_sharded: bool,
}

impl PubSub {
    /// How many events wait for a subscription to be read, unless [`PubSub::buffer`] says.
    pub const BUFFER: usize = Channels::BUFFER;

    /// The channels of this namespace.
    pub fn new(store: &Store, namespace: &str) -> PubSub {
        PubSub {
            store: store.clone(),
            keys: Keys::new(namespace, "pubsub"),
            buffer: PubSub::BUFFER,
            is_sharded: false,
        }
    }

    /// The same channels, whose messages stay on one shard of a cluster, where others are carried to
    /// every node: so many more can be published. Patterns hear nothing of them. On other stores it
    /// changes nothing but that.
    ///
    /// All who publish and subscribe have to agree on it.
    ///
    /// ```
    /// # larder_testkit::doctest(async |store| {
    /// use larder_toolkit::pubsub::PubSub;
    ///
    /// let prices = PubSub::new(&store, "shop").sharded();
    /// let mut book = prices.subscribe::<u32>("book").await?;
    /// assert_eq!(prices.publish("book", &1999).await?, 1);
    /// assert!(prices.subscribe_pattern::<u32>("*").await.is_err());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn sharded(mut self) -> PubSub {
        self.is_sharded = true;
        self
    }

    /// The same channels; subscriptions made from here on let this many events wait. When there
    /// are more the oldest go, and the subscription is told how many.
    ///
    /// # Panics
    ///
    /// If `events` is zero.
    #[must_use]
    pub fn buffer(mut self, events: usize) -> PubSub {
        assert!(events > 0, "a subscription has room for at least one event");
        self.buffer = events;
        self
    }

    /// Publishes a message, and says how many subscriptions it was handed to.
    ///
    /// That counts those that listen on the channel itself and those that listen by pattern; on a
    /// cluster, only those on the node that was asked. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the message can't be encoded, and then nothing was published; those of the
    /// store, and then it may have been.
    pub async fn publish<T>(&self, channel: &str, message: &T) -> Result<u64, Error>
    where
        T: Serialize + ?Sized,
    {
        let publish = match self.has_shards().await? {
            true => "SPUBLISH",
            false => "PUBLISH",
        };
        let command = Command::new(publish)
            .arg(self.keys.of(channel))
            .arg(codec::encode(message)?);
        self.store.run(command).await
    }

    /// Listens to the channel of this name, until the subscription is dropped.
    ///
    /// The store has confirmed it when this is done: what is published after that arrives.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn subscribe<T>(&self, channel: &str) -> Result<Subscription<T>, Error>
    where
        T: DeserializeOwned,
    {
        let name = self.keys.of(channel).to_string();
        let channels = match self.has_shards().await? {
            true => Channels::default().shard(name),
            false => Channels::default().channel(name),
        };
        self.listen(channels, Heard::Channel(channel.to_owned()))
            .await
    }

    /// Listens to the channels whose names match a glob pattern (`*`, `?`, `[a-z]`, and `\` before
    /// what is meant literally), until the subscription is dropped.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::Invalid`] if these channels are [sharded](PubSub::sharded).
    pub async fn subscribe_pattern<T>(&self, pattern: &str) -> Result<Subscription<T>, Error>
    where
        T: DeserializeOwned,
    {
        if self.is_sharded {
            return Err(Error::invalid(
                "patterns hear nothing of sharded channels: subscribe to them by name",
            ));
        }
        let channels = Channels::default().pattern(self.keys.matching(pattern));
        self.listen(channels, Heard::Pattern(pattern.to_owned()))
            .await
    }

    /// Whether messages go by the shards of a cluster.
    async fn has_shards(&self) -> Result<bool, Error> {
        if !self.is_sharded {
            return Ok(false);
        }
        let capabilities = self.store.capabilities().await?;
        Ok(capabilities.has(Capability::ShardedMessages))
    }

    async fn listen<T>(&self, channels: Channels, heard: Heard) -> Result<Subscription<T>, Error>
    where
        T: DeserializeOwned,
    {
        let channels = channels.buffer(self.buffer);
        let events = self.store.subscribe(channels).await?;
        Ok(Subscription::new(events, self.keys.clone(), heard))
    }
}
