//! Subscriptions to a store that goes away and comes back.

use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use larder_store::{Channels, Command, Error, Event, Listen, Subscription};
use tokio_util::sync::CancellationToken;

use crate::fault::{Fault, away, unanswered};
use crate::line::Connection;
use crate::pause::pause;
use crate::plan::Fate;
use crate::shared::Shared;

/// Listens to channels until the client is closed, by way of what goes wrong with a call of
/// `SUBSCRIBE`. When the connection is cut it is made again as soon as there is one, and the events
/// have a gap.
pub(crate) async fn subscribe(
    shared: Arc<Shared>,
    client: Arc<str>,
    closed: CancellationToken,
    channels: Channels,
) -> Result<Subscription, Error> {
    let names = channels.names.iter().chain(&channels.patterns);
    let names = names.chain(&channels.shards);
    let command = Command::new("SUBSCRIBE").args(names);
    let fate = shared.fate(&client, slice::from_ref(&command));
    let asked = shared.write_down(&client, vec![command.clone()], &fate);
    let begun = begin(&shared, &client, &command, &channels, fate);
    let begun = match channels.within {
        Some(time) => {
            (tokio::time::timeout(time, begun).await).unwrap_or_else(|_| Err(unanswered()))
        }
        None => begun.await,
    };
    asked.answer(begun.as_ref().map(|_| Vec::new()).map_err(Error::clone));
    let listener = Listener {
        inner: Some(begun?),
        shared,
        client,
        channels,
        closed,
    };
    Ok(Subscription::new(Events {
        events: Box::pin(unfold(listener, Listener::next)),
    }))
}

/// A connection on which the store has confirmed the channels.
async fn begin(
    shared: &Arc<Shared>,
    client: &str,
    command: &Command,
    channels: &Channels,
    fate: Fate,
) -> Result<(Connection, Subscription), Error> {
    pause(Duration::ZERO).await;
    for fault in &fate.before {
        shared.happen(Some(client), fault).await?;
    }
    let connection = shared.line.connection(client).ok_or_else(away)?;
    if let Some((_, Fault::Away)) = fate.fault {
        return Err(away());
    }
    pause(fate.request).await;
    match fate.fault {
        Some((_, Fault::LoseRequest | Fault::LoseAnswer | Fault::Late(_))) => {
            pause(fate.patience).await;
            return Err(unanswered());
        }
        Some((_, Fault::Refuse(refuse))) if refuse.refuses(command) => return Err(refuse.error()),
        _ => {}
    }
    let subscription = shared.site.subscribe(channels.clone()).await?;
    pause(fate.answer).await;
    match connection.is_cut() {
        true => Err(unanswered()),
        false => Ok((connection, subscription)),
    }
}

struct Events {
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

impl Listen for Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.as_mut().poll_next(context)
    }
}

struct Listener {
    shared: Arc<Shared>,
    client: Arc<str>,
    channels: Channels,
    closed: CancellationToken,
    /// What it listens to, and over which connection. `None` after that was cut.
    inner: Option<(Connection, Subscription)>,
}

impl Listener {
    /// The next event. `None` when the client is closed, or the store itself.
    async fn next(mut self) -> Option<(Event, Listener)> {
        let closed = self.closed.clone();
        tokio::select! {
            biased;
            () = closed.cancelled() => None,
            event = self.event() => Some((event?, self)),
        }
    }

    async fn event(&mut self) -> Option<Event> {
        if let Some((connection, subscription)) = &mut self.inner {
            tokio::select! {
                biased;
                () = connection.cut() => self.inner = None,
                event = subscription.next() => return event,
            }
        }
        let connection = self.shared.line.next_connection(&self.client).await;
        let channels = self.channels.clone();
        let subscription = self.shared.site.subscribe(channels).await.ok()?;
        self.inner = Some((connection, subscription));
        Some(Event::Gap)
    }
}
