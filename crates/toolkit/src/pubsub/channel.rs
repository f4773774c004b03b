//! Publishing and subscribing.

use larder_store::{Channels, Command, Error, Keys, Store};
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
        }
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
        let command = Command::new("PUBLISH")
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
        let channels = Channels::default().channel(self.keys.of(channel).to_string());
        self.listen(channels, Heard::Channel(channel.to_owned()))
            .await
    }

    /// Listens to the channels whose names match a glob pattern (`*`, `?`, `[a-z]`, and `\` before
    /// what is meant literally), until the subscription is dropped.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn subscribe_pattern<T>(&self, pattern: &str) -> Result<Subscription<T>, Error>
    where
        T: DeserializeOwned,
    {
        let channels = Channels::default().pattern(self.keys.matching(pattern));
        self.listen(channels, Heard::Pattern(pattern.to_owned()))
            .await
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
