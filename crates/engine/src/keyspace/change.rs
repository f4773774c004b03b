//! Changes: the one place that hears of them.
//!
//! Whatever alters a key says so with [`Keyspace::note`]: the guards for what commands change in
//! place, and the functions of [`Keyspace`] that write, remove or expire a key. Nobody else does, and
//! no command does it by hand. Who wants to hear of a change is told while the shard is held, so all
//! hear of changes in the order in which they happen:
//!
//! 1. the figures of the shard show how much it holds (`figures.rs`), and the store's account of
//!    memory follows (`crate::eviction`); if a command made the change, it is counted once;
//! 2. transactions that watch the key are void (`watch.rs`);
//! 3. clients and near caches that have read the key are told (`tracking.rs`);
//! 4. events are published (`events.rs`);
//! 5. callers that wait for the key are served before the shards are let go (`serve.rs`).
//!
//! Whether anybody wants to is one test of an [`Interest`], which most often says no.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use super::events::Named;
use super::waiting::Queue;
use super::{Keyspace, Ready};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It came to be. What was written into it follows.
    Added,
    /// It has another value.
    Written,
    /// It has another value, and a time at which it expires.
    WrittenUntil,
    /// It expires at another time, which brings nothing to those who wait.
    Expires,
    /// It does not expire any more.
    Persists,
    /// Something about it that is not its content: the groups of a stream. WATCH does not look at
    /// them, and nobody waits for them.
    Annotated,
    /// A group of a stream is gone, in which somebody may wait, or has entries that nobody has.
    LostGroup,
    /// It holds less, so that nobody who waits gets anything: entries of a stream were removed.
    Trimmed,
    /// A command took the last of what it held, so it was removed.
    Emptied,
    /// Fields of a hash were removed since their time had come.
    FieldsExpired,
    /// The last field of a hash was removed since its time had come, and so was the key.
    LastFieldExpired,
    /// A command removed it.
    Removed,
    /// It was removed since its time had come. WATCH sees by itself that it is not there any more.
    Expired,
    /// It was removed to make room.
    Evicted,
}

impl What {
    /// Whether it makes transactions void that watch the key.
    fn is_watched(self) -> bool {
        self.makes_void() && self != What::Expired
    }

    /// Whether what somebody has read of the key may not be so any more.
    fn makes_void(self) -> bool {
        !matches!(self, What::Added | What::Annotated | What::LostGroup)
    }

    /// Whether it happened of itself, and no command did it.
    fn is_of_itself(self) -> bool {
        matches!(
            self,
            What::FieldsExpired | What::LastFieldExpired | What::Expired | What::Evicted
        )
    }

    /// Whether it may bring something to those who wait for the key.
    fn may_serve(self) -> bool {
        !matches!(
            self,
            What::Annotated | What::Trimmed | What::Expires | What::Persists
        )
    }
}

/// Who wants to hear of changes: a bit for each kind of listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    /// Transactions that watch a key.
    pub(super) const WATCHED: Interest = Interest(1);
    /// Callers that wait for a key.
    pub(super) const AWAITED: Interest = Interest(1 << 1);
    /// Those to whom events are published.
    pub(super) const ANNOUNCED: Interest = Interest(1 << 2);
    /// Clients that have read a key and remember what they read.
    pub(super) const TRACKED: Interest = Interest(1 << 3);
    /// Clients that remember what they read of keys with a prefix.
    pub(super) const BROADCAST: Interest = Interest(1 << 4);

    /// Both.
    #[inline]
    pub(super) const fn or(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Whether all of these are among them.
    #[inline]
    pub(super) const fn has(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
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

    pub(super) fn set(&self, interest: Interest, is_set: bool) {
        match is_set {
            true => self.0.fetch_or(interest.0, Relaxed),
            false => self.0.fetch_and(!interest.0, Relaxed),
        };
    }
}

impl Keyspace<'_> {
    /// Whether anybody wants to hear of changes in the shard of this hash.
    #[inline]
    pub(super) fn is_noted(&self, hash: u64) -> bool {
        !self.interest().or(self.shard(hash).interest()).is_none()
    }

    /// Which changes somebody wants to hear of, whatever their key. It is asked for while the shard is
    /// held: who came before the shard was taken is seen.
    #[inline]
    pub(super) fn interest(&self) -> Interest {
        self.shards.interest()
    }

    /// Whether nobody wants to hear of changes of the key that chose the shard.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.chosen
            .is_some_and(|chosen| !self.is_noted(chosen.hash))
    }

    /// Whether nobody wants to hear of changes of this key, whose shard is held.
    #[inline]
    pub(crate) fn is_quiet_about(&self, key: &[u8]) -> bool {
        !self.is_noted(self.hash(key))
    }

    /// A key has been altered.
    #[inline]
    pub(super) fn note(&mut self, hash: u64, key: &[u8], what: What) {
        self.show(hash);
        if !what.is_of_itself() {
            self.count_change(hash);
        }
        if self.is_noted(hash) {
            self.tell(hash, key, what, Named::default());
        }
    }

    /// A key has come to be, and then this happened to it.
    #[inline]
    pub(super) fn note_new(&mut self, hash: u64, key: &[u8], what: What) {
        self.show(hash);
        self.count_change(hash);
        if self.is_noted(hash) {
            self.tell(hash, key, What::Added, Named::default());
            self.tell(hash, key, what, Named::default());
        }
    }

    /// The same as [`Keyspace::note`], of a change that is called otherwise than its command.
    #[inline]
    pub(super) fn note_named(&mut self, hash: u64, key: &[u8], what: What, named: Named) {
        self.show(hash);
        self.count_change(hash);
        if self.is_noted(hash) {
            self.tell(hash, key, what, named);
        }
    }

    /// Counts that the command has changed something, unless that is counted already.
    #[inline]
    pub(super) fn count_change(&mut self, hash: u64) {
        if !self.is_change_counted {
            self.is_change_counted = true;
            self.figures(hash).changes.add(1);
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
    fn tell(&mut self, hash: u64, key: &[u8], what: What, named: Named) {
        let db = self.db;
        if what.is_watched() {
            self.shard_mut(hash).touch_watchers(db, key);
        }
        if what.makes_void() {
            self.invalidate(hash, key);
        }
        if self.is_announcing() {
            self.announce(key, what, named);
        }
        if what.may_serve() {
            self.make_ready(key);
        }
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
