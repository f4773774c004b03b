//! Messages from channels.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use crate::span::LONGEST;

/// What to listen to. Channels and patterns are apart: a channel named `a*` is not a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Channels by name.
    pub names: Vec<Bytes>,
    /// Channels by glob pattern.
    pub patterns: Vec<Bytes>,
    /// Channels that belong to the shard of their name's slot, by name: `SSUBSCRIBE`. They are other
    /// channels than those of `names`, and messages come to them by `SPUBLISH` alone. Only a store with
    /// [`Capability::ShardedMessages`](crate::Capability::ShardedMessages) has them.
    pub shards: Vec<Bytes>,
    /// The time within which the channels have to be confirmed, as [`Command::within`] is for a
    /// command.
    ///
    /// [`Command::within`]: crate::Command::within
    pub within: Option<Duration>,
    /// How many events may wait to be read, at least 1. When more come the oldest go, and
    /// [`Event::Lagged`] says how many.
    pub buffer: Option<usize>,
}

impl Channels {
    /// How many events wait where [`Channels::buffer`] does not say.
    pub const BUFFER: usize = 1024;

    /// Listens to this channel as well.
    #[must_use]
    pub fn channel(mut self, name: impl Into<Bytes>) -> Channels {
        self.names.push(name.into());
        self
    }

    /// Listens to the channels that match this glob pattern as well.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<Bytes>) -> Channels {
        self.patterns.push(pattern.into());
        self
    }

    /// Listens to this channel of a shard as well.
    #[must_use]
    pub fn shard(mut self, name: impl Into<Bytes>) -> Channels {
        self.shards.push(name.into());
        self
    }

    /// Has the channels confirmed within this time; the shorter of two such times holds.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Channels {
        self.within = Some(self.within.unwrap_or(LONGEST).min(time));
        self
    }

    /// Lets this many events wait to be read.
    #[must_use]
    pub fn buffer(mut self, events: usize) -> Channels {
        self.buffer = Some(events);
        self
    }
}

/// What a subscription tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message was published.
    Message(Message),
    /// This many messages were lost because nobody read them in time.
    Lagged(u64),
    /// The connection was lost and is there again. What was published in between is lost; in a cluster a
    /// message that came before may come again, from another node.
    Gap,
}

/// A message from a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub channel: Bytes,
    /// The pattern by which it was received, if it was by one.
    pub pattern: Option<Bytes>,
    /// What was published.
    pub payload: Bytes,
}

/// Where a backend's events come from. Dropping it unsubscribes.
pub trait Listen: Send {
    /// The next event, or `None` when there will be no more: the store was closed.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>>;
}

/// A stream of events from channels, until it is dropped.
pub struct Subscription {
    source: Box<dyn Listen>,
}

impl Subscription {
    /// A subscription on this source.
    pub fn new(source: impl Listen + 'static) -> Subscription {
        Subscription {
            source: Box::new(source),
        }
    }

    /// The next event, or `None` when there will be no more because the store was closed.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.source.poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.source.poll_next(context)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
