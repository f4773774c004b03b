//! MONITOR: a line for each command, for everybody who asked for that.
//!
//! A line is put into each monitor's mailbox while the keys of its command are held: so commands on
//! one key stand in the order in which they ran. A monitor that does not read is cut off, as any
//! listener is, when too much waits for it.

use std::fmt::Write as _;
use std::sync::{Arc, Weak};
use std::task::Waker;

use super::{Observers, words};
use crate::command::Call;
use crate::engine::Engine;
use crate::pubsub::{Mailbox, Message};
use crate::sync::Mutex;

/// Who has asked for MONITOR.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
}

/// A mailbox that gets a line for each command, until this is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    engine: Weak<Engine>,
    mailbox: Arc<Mailbox>,
}

impl Monitor {
    /// Has a line for each command put into this mailbox.
    pub(crate) fn begin(engine: &Arc<Engine>, mailbox: &Arc<Mailbox>) -> Monitor {
        let stats = &engine.stats;
        let mut mailboxes = stats.monitors.mailboxes.lock();
        mailboxes.push(Arc::clone(mailbox));
        // While the list is locked, so that it does not cross with the end of another.
        stats.observers.set(Observers::MONITORS, true);
        Monitor {
            engine: Arc::downgrade(engine),
            mailbox: Arc::clone(mailbox),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        let stats = &engine.stats;
        let mut mailboxes = stats.monitors.mailboxes.lock();
        mailboxes.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
        stats
            .observers
            .set(Observers::MONITORS, !mailboxes.is_empty());
    }
}

impl Call<'_, '_> {
    /// Shows the command to those who monitor.
    #[cold]
    pub(super) fn show_to_monitors(&self) {
        let message = Arc::new(Message::line(&line(self)));
        let mailboxes = self.engine.stats.monitors.mailboxes.lock();
        let readers = mailboxes.iter().filter_map(|mailbox| mailbox.put(&message));
        let readers: Vec<Waker> = readers.collect();
        drop(mailboxes);
        readers.into_iter().for_each(Waker::wake);
    }
}

/// `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`
fn line(call: &Call<'_, '_>) -> String {
    let (session, now) = (&*call.session, call.now());
    let (s, us) = (now.unix_us() / 1_000_000, now.unix_us() % 1_000_000);
    let whence = match session.client() {
        _ if session.is_in_script() => "lua",
        Some(client) => &client.info().address,
        None => "local",
    };
    let mut line = String::new();
    let _ = write!(line, "{s}.{us:06} [{} {whence}]", session.db());
    for word in words::shown(call.command, call.request()) {
        line.push(' ');
        words::quote(word, &mut line);
    }
    line
}
