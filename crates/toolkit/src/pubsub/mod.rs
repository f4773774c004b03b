//! Messages to whoever listens at the moment.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::pubsub::{Event, PubSub};
//!
//! let events = PubSub::new(&store, "shop");
//! let mut orders = events.subscribe::<String>("orders").await?;
//!
//! assert_eq!(events.publish("orders", "a book").await?, 1);
//! let Some(Event::Message { body, .. }) = orders.next().await else { panic!() };
//! assert_eq!(body, "a book");
//! # Ok(()) });
//! ```
//!
//! A message reaches a subscription at most once, and in the order of publishing on one channel.
//! What is lost is told where that can be known: a subscription that is read too slowly gets
//! [`Event::Lagged`], one whose connection was lost gets [`Event::Gap`]. Nothing is kept for those
//! who are not there: for that, use a [`stream`](crate::stream).
//!
//! Channels and patterns are apart: a channel may be called `a*`, and only a pattern is matched.
//! The channel of NAME is `{ns:pubsub:NAME}` in the store. Messages are typed by serde; one that
//! can't be read as the type is an event of its own, and what follows it arrives.

mod channel;
mod subscription;

#[cfg(test)]
mod tests;

pub use channel::PubSub;
pub use subscription::{Event, Subscription};
