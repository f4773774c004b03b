//! Events from channels.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use larder_store::Keys;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::codec::{self, DecodeError};

/// What a subscription tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event<T> {
    /// A message was published.
    Message {
        /// The channel on which it was.
        channel: String,
        /// The pattern by which it was received, if it was by one.
        pattern: Option<String>,
        /// What was published.
        body: T,
    },
    /// Something was published that is no `T`.
    Undecodable {
        /// The channel on which it was.
        channel: String,
        /// What was published.
        #[serde(serialize_with = "bytes")]
        payload: Bytes,
        /// What is wrong with it.
        #[serde(serialize_with = "text")]
        error: DecodeError,
    },
    /// This many messages were lost because the subscription was not read in time.
    Lagged(u64),
    /// The connection was lost and is there again. What was published in between is lost; in a cluster a
    /// message that came before may come again, from another node.
    Gap,
}

fn bytes<S: Serializer>(payload: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(payload)
}

fn text<S: Serializer>(error: &DecodeError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// A stream of events from a channel, or from those that match a pattern. Dropping it unsubscribes.
pub struct Subscription<T> {
    events: larder_store::Subscription,
    keys: Keys,
    heard: Heard,
    bodies: PhantomData<fn() -> T>,
}

/// What a subscription listens to, as its caller calls it: the store's names can't always be read
/// back, as those of patterns have escapes in them and long ones are shortened.
#[derive(Debug)]
pub(super) enum Heard {
    Channel(String),
    Pattern(String),
}

impl<T: DeserializeOwned> Subscription<T> {
    pub(super) fn new(
        events: larder_store::Subscription,
        keys: Keys,
        heard: Heard,
    ) -> Subscription<T> {
        Subscription {
            events,
            keys,
            heard,
            bodies: PhantomData,
        }
    }

    /// The next event, or `None` when there will be no more because the store was closed.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<Event<T>> {
        loop {
            let event = self.events.next().await?;
            if let Some(event) = self.typed(event) {
                return Some(event);
            }
        }
    }

    /// `None` for a kind of event that this version does not know.
    fn typed(&self, event: larder_store::Event) -> Option<Event<T>> {
        Some(match event {
            larder_store::Event::Message(message) => self.message(message),
            larder_store::Event::Lagged(lost) => Event::Lagged(lost),
            larder_store::Event::Gap => Event::Gap,
            _ => return None,
        })
    }

    fn message(&self, message: larder_store::Message) -> Event<T> {
        let (channel, pattern) = match &self.heard {
            Heard::Channel(channel) => (channel.clone(), None),
            Heard::Pattern(pattern) => (self.name(&message.channel), Some(pattern.clone())),
        };
        match codec::decode(&message.payload) {
            Ok(body) => Event::Message {
                channel,
                pattern,
                body,
            },
            Err(error) => Event::Undecodable {
                channel,
                payload: message.payload,
                error,
            },
        }
    }

    /// What the caller calls the channel that has this name in the store.
    fn name(&self, stored: &[u8]) -> String {
        let stored = String::from_utf8_lossy(stored);
        self.keys
            .name_of(&stored)
            .unwrap_or_else(|| stored.into_owned())
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Event<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        loop {
            let Some(event) = ready!(Pin::new(&mut self.events).poll_next(context)) else {
                return Poll::Ready(None);
            };
            if let Some(event) = self.typed(event) {
                return Poll::Ready(Some(event));
            }
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}
