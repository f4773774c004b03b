//! Changes: the one place that hears of them.
//!
//! Whatever alters a key says so with [`Keyspace::note`]: the guards for what commands change in
//! place, and the functions of [`Keyspace`] that write, remove or expire a key. Nobody else does, and
//! no command does it by hand. Who wants to hear of a change is told while the shard is held, so all
//! hear of changes in the order in which they happen:
//!
//! 1. the figures of the shard show how much it holds (`figures.rs`), and the store's account of
//!    memory follows (`memory.rs`);
//! 2. transactions that watch the key are void (`watch.rs`);
//! 3. callers that wait for the key are served before the shards are let go (`serve.rs`).
//!
//! Whether anybody wants to is one test of an [`Interest`], which most often says no.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use super::waiting::Queue;
use super::{Keyspace, Ready};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It has another value, or expires at another time.
    Written,
    /// Something about it that is not its content: the groups of a stream. WATCH does not look at
    /// them.
    Annotated,
    /// A command removed it.
    Removed,
    /// It was removed since its time had come. WATCH sees by itself that it is not there any more.
    Expired,
    /// It was removed to make room.
    Evicted,
}

/// Who wants to hear of changes: a bit for each kind of listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    /// Transactions that watch a key.
    pub(super) const WATCHED: Interest = Interest(1);
    /// Callers that wait for a key.
    pub(super) const AWAITED: Interest = Interest(1 << 1);

    /// Both.
    #[inline]
    pub(super) const fn or(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Whether there is nobody.
    #[inline]
    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// These if `is_set`, else nobody.
    pub(super) fn when(self, is_set: bool) -> Interest {
        if is_set { self } else { Interest::default() }
    }
}

/// An [`Interest`] that all threads read and few change.
#[derive(Debug, Default)]
pub(super) struct SharedInterest(AtomicU8);

impl SharedInterest {
    #[inline]
    pub(super) fn load(&self) -> Interest {
        Interest(self.0.load(Relaxed))
    }
}

impl Keyspace<'_> {
    /// Whether anybody wants to hear of changes in the shard of this hash.
    #[inline]
    pub(super) fn is_noted(&self, hash: u64) -> bool {
        !self.interest.or(self.shard(hash).interest()).is_none()
    }

    /// A key has been altered.
    #[inline]
    pub(super) fn note(&mut self, hash: u64, key: &[u8], what: What) {
        self.show(hash);
        if self.is_noted(hash) {
            self.tell(hash, key, what);
        }
    }

    /// Shows how much the shard of this hash holds now.
    #[inline]
    pub(super) fn show(&self, hash: u64) {
        let shard = self.shard(hash);
        self.shards
            .show(shard.figures(), self.db, &shard.dbs[self.db]);
    }

    /// Tells whoever wants to hear of it.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, hash: u64, key: &[u8], what: What) {
        let db = self.db;
        if matches!(what, What::Written | What::Removed | What::Evicted) {
            self.shard_mut(hash).touch_watchers(db, key);
        }
        self.make_ready(key);
    }

    // --- keys whose waiters are to be served --------------------------------------------------

    /// Has those served who wait for a key, if anybody does.
    pub(crate) fn make_ready(&mut self, key: &[u8]) {
        let db = self.db;
        let waiters = self.shard_of(key).queue_mut(db, key);
        if waiters.is_some_and(Queue::become_ready) {
            let key = key.into();
            self.leftover().ready.push_back(Ready { db, key });
        }
    }

    /// Whether there is a key whose waiters are to be served.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.leftover.is_some()
    }

    /// The next key whose waiters are to be served.
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        self.leftover().ready.pop_front()
    }

    /// The waiters of a key have been served, as far as that was possible. What those have changed
    /// about this key is no news: who came behind them has seen it, and for who came before it is
    /// what they had found already.
    pub(crate) fn end_serving(&mut self, ready: &Ready) {
        let shard = self.shard_of(&ready.key);
        if let Some(queue) = shard.queue_mut(ready.db, &ready.key) {
            queue.end_serving();
        }
    }
}
