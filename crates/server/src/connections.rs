//! Who is connected, and how to end it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use crate::sync::Mutex;
use larder_engine::{Client, Now};

/// How long a silent connection keeps its buffers, as in Redis.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// All connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    all: Mutex<All>,
    /// How many bytes they hold.
    memory: AtomicUsize,
    /// How many of those are held by connections that are ending.
    memory_ending: AtomicUsize,
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
    /// Whether the client has still to show that it may come in.
    is_handshaking: AtomicBool,
    /// Whether more answers wait for it than may for long.
    is_slow: AtomicBool,
    /// Whether it has said nothing for so long that it is to free what it does not use.
    has_to_shrink: AtomicBool,
    /// How many bytes it holds.
    memory: AtomicUsize,
    /// How many of them count as those of an ending connection.
    memory_ending: AtomicUsize,
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
            is_handshaking: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
            has_to_shrink: AtomicBool::new(false),
            memory: AtomicUsize::new(0),
            memory_ending: AtomicUsize::new(0),
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

    /// How many bytes all hold.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Has those connections look at their limits whose clients are slow.
    pub(crate) fn wake_slow(&self) {
        for control in self.all.lock().by_id.values() {
            if control.is_slow.load(Ordering::Relaxed) {
                control.wake();
            }
        }
    }

    /// Ends the connections that hold most, until the others hold no more than `memory_max` bytes
    /// together: Redis's `maxmemory-clients`. Those whose clients asked for it stay (CLIENT NO-EVICT).
    /// Answers how many end.
    pub(crate) fn evict(&self, memory_max: u64) -> u64 {
        let mut evicted = 0;
        if !self.is_over(memory_max) {
            return evicted;
        }
        let all = self.all.lock();
        let held = |control: &Control| control.memory.load(Ordering::Relaxed);
        let mut controls: Vec<_> = all.by_id.values().collect();
        controls.retain(|control| control.order() != Order::Stop && !control.client.is_kept());
        controls.sort_unstable_by_key(|control| Reverse(held(control)));
        for control in controls {
            if !self.is_over(memory_max) {
                break;
            }
            let bytes = held(control);
            tracing::warn!("a client is closed: all hold too much, and it holds {bytes} bytes");
            control.memory_ending.store(bytes, Ordering::Relaxed);
            self.memory_ending.fetch_add(bytes, Ordering::Relaxed);
            control.give(Order::Stop);
            evicted += 1;
        }
        evicted
    }

    /// Whether those connections that go on hold more than this.
    fn is_over(&self, memory_max: u64) -> bool {
        let ending = self.memory_ending.load(Ordering::Relaxed);
        let going_on = self.memory.load(Ordering::Relaxed).saturating_sub(ending);
        going_on as u64 > memory_max
    }

    /// Has those connections free their buffers that have been silent for [`KEPT_FOR`]: of thousands
    /// of connections most are.
    pub(crate) fn shrink_silent(&self, now: Now) {
        for control in self.all.lock().by_id.values() {
            let silent_us = now.unix_us().saturating_sub(control.client.last_seen_us());
            let is_silent = u128::from(silent_us) >= KEPT_FOR.as_micros();
            if is_silent && control.client.has_buffers() {
                control.has_to_shrink.store(true, Ordering::Relaxed);
                control.wake();
            }
        }
    }

    /// Ends the connections whose clients have come longer ago than `timeout`, and have not shown yet
    /// that they may.
    pub(crate) fn end_strangers(&self, timeout: Duration, now: Now) {
        let timeout_us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        for control in self.all.lock().by_id.values() {
            // Who has said nothing was last seen when it came.
            let here_us = now.unix_us().saturating_sub(control.client.last_seen_us());
            if here_us > timeout_us && control.is_handshaking.load(Ordering::Relaxed) {
                tracing::debug!("a client is closed: its handshake does not end");
                control.give(Order::Stop);
            }
        }
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
        self.wake();
    }

    fn wake(&self) {
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

    /// Whether it is to free what it does not use. It is told so once.
    pub(crate) fn take_shrinking(&self) -> bool {
        self.has_to_shrink.load(Ordering::Relaxed)
            && self.has_to_shrink.swap(false, Ordering::Relaxed)
    }

    /// Notes whether the connection waits for something else than requests.
    pub(crate) fn set_waiting(&self, is_waiting: bool) {
        self.is_waiting.store(is_waiting, Ordering::Relaxed);
    }

    /// Notes whether the client has still to show that it may come in.
    #[inline]
    pub(crate) fn set_handshaking(&self, is_handshaking: bool) {
        self.is_handshaking.store(is_handshaking, Ordering::Relaxed);
    }

    /// Notes whether more answers wait for the client than may for long.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        self.is_slow.store(is_slow, Ordering::Relaxed);
    }
}

impl Listed {
    /// How many bytes of answers this connection may hold, if all together may hold so many bytes:
    /// what the others leave. It is never less than a small part of all, since it is not this one that
    /// goes if others hold too much.
    pub(crate) fn memory_left(&self, memory_max: Option<u64>) -> usize {
        let Some(memory_max) = memory_max.filter(|_| !self.control.client.is_kept()) else {
            return usize::MAX;
        };
        let all = self.connections.memory.load(Ordering::Relaxed);
        let others = all.saturating_sub(self.control.memory.load(Ordering::Relaxed));
        let left = memory_max.saturating_sub(others as u64);
        usize::try_from(left.max(memory_max / 8)).unwrap_or(usize::MAX)
    }

    /// Notes how many bytes the connection holds. If all together hold too much, some are ended. What
    /// one holds that is never ended for it does not count: it would be the others who go. Answers how
    /// many are ended.
    pub(crate) fn hold(&self, memory: usize, memory_max: Option<u64>) -> u64 {
        let memory = if self.control.client.is_kept() {
            0
        } else {
            memory
        };
        let before = self.control.memory.load(Ordering::Relaxed);
        if memory == before {
            return 0;
        }
        self.control.memory.store(memory, Ordering::Relaxed);
        let all = &self.connections.memory;
        // The sum is right whichever of two connections comes first, since it may wrap in between.
        all.fetch_add(memory.wrapping_sub(before), Ordering::Relaxed);
        memory_max.map_or(0, |memory_max| self.connections.evict(memory_max))
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
        // Under the lock, so that nobody counts it as ending when it has ended.
        let ending = self.control.memory_ending.load(Ordering::Relaxed);
        let connections = &self.connections;
        let memory = self.control.memory.load(Ordering::Relaxed);
        connections.memory.fetch_sub(memory, Ordering::Relaxed);
        connections
            .memory_ending
            .fetch_sub(ending, Ordering::Relaxed);
    }
}
