//! Who is connected, and how to end it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Waker;
use std::time::Duration;

use larder_engine::{Client, Now};
use parking_lot::Mutex;

/// All connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    by_id: HashMap<u64, Arc<Control>>,
    /// Whether the server ends.
    is_ending: bool,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many as there may be.
    Full,
    /// The server ends.
    Ending,
}

/// How a connection is told to end.
#[derive(Debug)]
pub(crate) struct Control {
    client: Arc<Client>,
    order: AtomicU8,
    /// Whether it waits for a key or for messages, so that silence is no sign of idleness.
    is_waiting: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// What a connection is told to do. The later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Serve.
    Serve,
    /// End when what was read is answered and the answers are taken.
    Finish,
    /// End now.
    Stop,
}

/// A connection on the list, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    connections: Arc<Connections>,
    control: Arc<Control>,
}

impl Connections {
    /// Puts a connection on the list, if there are fewer than `max`.
    pub(crate) fn add(
        self: &Arc<Connections>,
        client: &Arc<Client>,
        max: usize,
    ) -> Result<Listed, Refused> {
        let mut all = self.all.lock();
        if all.is_ending {
            return Err(Refused::Ending);
        }
        if all.by_id.len() >= max {
            return Err(Refused::Full);
        }
        let control = Arc::new(Control {
            client: Arc::clone(client),
            order: AtomicU8::new(Order::Serve as u8),
            is_waiting: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        all.by_id.insert(client.id(), Arc::clone(&control));
        Ok(Listed {
            connections: Arc::clone(self),
            control,
        })
    }

    /// Gives all connections an order, and lets no more in.
    pub(crate) fn end(&self, order: Order) {
        let mut all = self.all.lock();
        all.is_ending = true;
        all.by_id.values().for_each(|control| control.give(order));
    }

    /// Ends the connections that have been idle for longer than `timeout`.
    pub(crate) fn end_idle(&self, timeout: Duration, now: Now) {
        let timeout_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        for control in self.all.lock().by_id.values() {
            let idle_us = now.unix_us().saturating_sub(control.client.last_seen_us());
            if idle_us > timeout_us && !control.is_waiting.load(Ordering::Relaxed) {
                control.give(Order::Stop);
            }
        }
    }
}

impl Control {
    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// What the connection is to do.
    #[inline]
    pub(crate) fn order(&self) -> Order {
        if self.client.is_killed() {
            return Order::Stop;
        }
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Stop,
        }
    }

    /// Has `waker` woken at every order.
    pub(crate) fn on_order(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
        self.client.on_kill(waker);
    }

    /// Notes whether the connection waits for something else than requests.
    pub(crate) fn set_waiting(&self, is_waiting: bool) {
        self.is_waiting.store(is_waiting, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Listed {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut all = self.connections.all.lock();
        all.by_id.remove(&self.control.client.id());
    }
}
