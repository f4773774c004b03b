//! Subscriptions: a connection for each, made again when it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::StreamExt;
use larder_store::{Channels, Error, Event, Listen, Message, Subscription};
use parking_lot::Mutex;
use redis::aio::PubSub;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::may_pass;
use crate::link::Link;

/// Listens to channels, and answers when the server has confirmed them.
pub(crate) async fn subscribe(link: Arc<Link>, channels: Channels) -> Result<Subscription, Error> {
    link.refuse_if_unusable()?;
    let queue = Arc::new(Queue::new(
        channels.buffer.unwrap_or(Channels::BUFFER).max(1),
    ));
    let (confirm, confirmed) = oneshot::channel();
    let task = tokio::spawn(listen(link, channels, Arc::clone(&queue), confirm));
    let events = Events { queue, task };
    match confirmed.await {
        Ok(Ok(())) => Ok(Subscription::new(events)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::Closed),
    }
}

/// The events of one subscription. Dropping it ends its task, and so its connection.
struct Events {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Listen for Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Events that wait to be read: so many at most, the oldest go first.
struct Queue {
    len_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    lost: u64,
    is_closed: bool,
    reader: Option<Waker>,
}

impl Queue {
    fn new(len_max: usize) -> Queue {
        Queue {
            len_max,
            state: Mutex::default(),
        }
    }

    fn put(&self, event: Event) {
        let mut state = self.state.lock();
        if state.events.len() >= self.len_max {
            state.events.pop_front();
            state.lost += 1;
        }
        state.events.push_back(event);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state.lock();
        if state.lost > 0 {
            return Poll::Ready(Some(Event::Lagged(std::mem::take(&mut state.lost))));
        }
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Keeps a subscription going until the store is closed, or the task is aborted.
async fn listen(
    link: Arc<Link>,
    channels: Channels,
    queue: Arc<Queue>,
    confirm: oneshot::Sender<Result<(), Error>>,
) {
    let queue = Open(queue);
    tokio::select! {
        () = listen_again_and_again(&link, &channels, &queue.0, confirm) => {}
        () = link.closed() => {}
    }
}

/// A queue that is being filled. Dropping it closes the queue, also when the runtime ends in which
/// that was done, so that no reader waits for what can't come.
struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn listen_again_and_again(
    link: &Link,
    channels: &Channels,
    queue: &Queue,
    confirm: oneshot::Sender<Result<(), Error>>,
) {
    let mut confirm = Some(confirm);
    let mut tries = link.tries();
    loop {
        match connect(link, channels).await {
            Ok(connection) => {
                tries.went_well();
                match confirm.take() {
                    // Nobody may be interested any more; then the task is aborted.
                    Some(confirm) => drop(confirm.send(Ok(()))),
                    None => queue.put(Event::Gap),
                }
                forward(connection, queue).await;
            }
            Err(error) if confirm.is_none() || tries.are_left() && may_pass(&error) => {
                match tries.retries() {
                    // Whoever listens already learns of it from nobody else.
                    0 if confirm.is_none() => {
                        tracing::warn!(%error, "a subscription is interrupted");
                    }
                    retry => tracing::debug!(%error, retry, "can't subscribe"),
                }
                tries.pause().await;
            }
            Err(error) => {
                if let Some(confirm) = confirm.take() {
                    drop(confirm.send(Err(link.connect_error(&error))));
                }
                return;
            }
        }
    }
}

async fn connect(link: &Link, channels: &Channels) -> redis::RedisResult<PubSub> {
    let connecting = async {
        let mut connection = link.client().get_async_pubsub().await?;
        for name in &channels.names {
            connection.subscribe(&name[..]).await?;
        }
        for pattern in &channels.patterns {
            connection.psubscribe(&pattern[..]).await?;
        }
        Ok(connection)
    };
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    tokio::time::timeout(link.config().connect_timeout, connecting)
        .await
        .map_err(late)?
}

/// Passes messages on until the connection ends.
async fn forward(connection: PubSub, queue: &Queue) {
    let mut messages = connection.into_on_message();
    while let Some(message) = messages.next().await {
        let channel: Vec<u8> = message.get_channel().unwrap_or_default();
        let pattern: Option<Vec<u8>> = message.get_pattern().unwrap_or_default();
        queue.put(Event::Message(Message {
            channel: Bytes::from(channel),
            pattern: pattern.map(Bytes::from),
            payload: Bytes::copy_from_slice(message.get_payload_bytes()),
        }));
    }
}
