//! Subscriptions of calls from inside the process.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use larder_engine::{Mail, Mailbox, Subscriber};
use larder_store::{Event, Listen, Message};
use parking_lot::Mutex;

/// The mailboxes that are closed when the store is.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    mailboxes: Mutex<Vec<Weak<Mailbox>>>,
}

impl Listeners {
    pub(crate) fn keep(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.mailboxes.lock();
        // Those that are gone make room before the list grows.
        if mailboxes.len() == mailboxes.capacity() {
            mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        }
        mailboxes.push(Arc::downgrade(mailbox));
    }

    pub(crate) fn close(&self) {
        for mailbox in self.mailboxes.lock().drain(..) {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.close();
            }
        }
    }
}

/// Events from a mailbox. Dropping it unsubscribes.
pub(crate) struct Events {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) _subscriber: Subscriber,
}

impl Listen for Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let event = match ready!(self.mailbox.poll(context)) {
                // Only a connection is told that, or receives several at once.
                Some(Mail::Invalidation(_) | Mail::Batch(_)) => continue,
                Some(Mail::Lost(count)) => Some(Event::Lagged(count)),
                Some(Mail::Message(message)) => Some(Event::Message(Message {
                    channel: message.channel.clone(),
                    pattern: message.pattern.clone(),
                    payload: message.payload.clone(),
                })),
                None => None,
            };
            return Poll::Ready(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use larder_engine::Overflow;

    use super::*;
    use crate::Embedded;

    /// Who began to listen just while the store was closed listened for ever.
    #[test]
    fn a_mailbox_that_comes_when_the_store_is_closed_is_closed() {
        let embedded = Embedded::open(crate::Config::default()).unwrap();
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(1)));

        embedded.close();
        embedded.core().keep(&mailbox);

        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll(&mut context), Poll::Ready(None));
    }
}
