//! The right to fill an entry, which one caller of all processes has.
//!
//! It is a key that holds the token of whoever fills the entry. Each caller has a token of its own that
//! nobody has after it. A caller that goes away leaves its token in [`LEFT`], and whoever asks next may
//! take over from it: the key is changed from the one token to the other in one step, and what was on its
//! way under the old one comes to nothing. Whoever writes or deletes the entry removes the key.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Error, Key, Script, Store};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::entry::head;
use super::twins;
use crate::random;

pub(super) static LOOKUP: Script = Script::new(include_str!("lookup.lua"))
    .named("cache/lookup.lua")
    .with_twin(twins::lookup);
pub(super) static PUT: Script = Script::new(include_str!("put.lua"))
    .named("cache/put.lua")
    .with_twin(twins::put);
pub(super) static EXTEND: Script = Script::new(include_str!("extend.lua"))
    .named("cache/extend.lua")
    .with_twin(twins::extend);

/// The tokens of callers of this process that went away, by the lease that they may have had, on whatever
/// store. A token that has been taken over does no harm here: nobody has it again.
static LEFT: Mutex<Left> = Mutex::new(Left {
    young: BTreeMap::new(),
    old: BTreeMap::new(),
});

/// How many leases are remembered at least, and how many tokens of each. One that is forgotten costs who
/// comes next the rest of its time: many callers may go away at once, with a client that they share.
const LEFT_MIN: usize = 8192;
const TOKENS_MAX: usize = 8;

/// Tokens by their leases, in two generations: when the young one is full it takes the place of the old
/// one, so that what was left last is forgotten last.
struct Left {
    young: BTreeMap<Box<str>, Vec<Token>>,
    old: BTreeMap<Box<str>, Vec<Token>>,
}

/// What rings when a lease of this process ends, for those of this process who wait for it: several
/// leases share a bell.
static BELLS: [Notify; 64] = [const { Notify::const_new() }; 64];

/// Who fills an entry: a random number.
type Token = [u8; 16];

/// What the key of a lease ends in.
pub(super) const LEASE: &str = "lease";

/// The key that says who loads the value of an entry.
pub(super) fn lease_of(key: &Key) -> Key {
    key.part(LEASE)
}

/// Wakes those of this process who wait for the lease of this entry to end.
pub(super) fn ring(key: &Key) {
    bell(key).notify_waiters();
}

/// The next time that the lease of this entry may have ended.
pub(super) fn rings(key: &Key) -> Notified<'static> {
    bell(key).notified()
}

fn bell(key: &Key) -> &'static Notify {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    &BELLS[(hasher.finish() % BELLS.len() as u64) as usize]
}

/// What the store says to somebody who wants to fill an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Do.
    Granted,
    /// There is another entry than was seen.
    Filled,
    /// Somebody else has the lease.
    Held,
}

/// One caller's right to fill an entry, from the first time that it asks for it.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    store: &'a Store,
    key: &'a Key,
    lease_key: Key,
    token: Token,
    time: Duration,
    /// Whether the store may hold it: it was asked for, and nobody has said that it is not ours.
    may_be_held: bool,
    /// Whether the store has said that it is not ours: then nothing ends with it.
    is_refused: bool,
}

impl<'a> Lease<'a> {
    /// Nothing yet. It will last for `time` after each sign of life.
    pub(super) fn new(store: &'a Store, key: &'a Key, time: Duration) -> Lease<'a> {
        Lease {
            store,
            key,
            lease_key: lease_of(key),
            token: random::bytes(),
            time,
            may_be_held: false,
            is_refused: false,
        }
    }

    /// Asks for it, in place of an entry with these bytes. One round trip.
    pub(super) async fn ask(&mut self, seen: &[u8]) -> Result<Asked, Error> {
        // Before it is sent: this may be dropped before the answer comes.
        self.may_be_held = true;
        let lookup = LOOKUP.on(self.store).key(self.key.clone());
        let lookup = lookup
            .key(self.lease_key.clone())
            .arg(self.token)
            .arg(self.time);
        let answer: u32 = lookup.arg(head(seen)).args(left(self.key)).run().await?;
        self.is_refused = answer != 1;
        self.may_be_held = !self.is_refused;
        Ok(match answer {
            1 => Asked::Granted,
            2 => Asked::Filled,
            _ => Asked::Held,
        })
    }

    /// Gives signs of life, without an end.
    pub(super) async fn live(&self) {
        loop {
            tokio::time::sleep(self.time / 3).await;
            // If the lease is lost, or the store is, `put` will tell.
            let _ = self.extend(self.time).await;
        }
    }

    /// Writes the entry, for so many milliseconds or without an end, and gives the lease back. `false`
    /// if it was lost: somebody has written or deleted the entry meanwhile, and nothing was changed.
    pub(super) async fn put(mut self, entry: Bytes, ttl_ms: Option<u64>) -> Result<bool, Error> {
        let put = PUT.on(self.store).key(self.key.clone());
        let put = put.key(self.lease_key.clone()).arg(self.token).arg(entry);
        let is_written = put.arg(ttl_ms.unwrap_or(0)).run().await?;
        self.may_be_held = false;
        Ok(is_written)
    }

    /// Lets whoever comes next fill the entry.
    pub(super) async fn give_back(mut self) {
        // If no answer comes, it is left behind as by one who went away.
        self.may_be_held = self.extend(Duration::ZERO).await.is_err();
    }

    /// Lets nobody fill the entry until its time is over.
    pub(super) fn keep(mut self) {
        self.may_be_held = false;
    }

    async fn extend(&self, time: Duration) -> Result<bool, Error> {
        // The store knows the caller by its token, and nobody else has it after this.
        let extend = EXTEND.on(self.store).key(self.lease_key.clone());
        extend.repeatable().arg(self.token).arg(time).run().await
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.may_be_held {
            leave(self.key, self.token);
        }
        // Who was refused would wake the others who wait, and himself, for nothing.
        if !self.is_refused {
            ring(self.key);
        }
    }
}

impl Left {
    fn add(&mut self, key: &str, token: Token) {
        let before = self.old.remove(key).unwrap_or_default();
        if self.young.len() >= LEFT_MIN && !self.young.contains_key(key) {
            self.old = std::mem::take(&mut self.young);
        }
        let tokens = self.young.entry(key.into()).or_insert(before);
        if tokens.len() >= TOKENS_MAX {
            tokens.remove(0);
        }
        tokens.push(token);
    }

    fn of(&self, key: &str) -> Vec<Token> {
        let tokens = self.young.get(key).or_else(|| self.old.get(key));
        tokens.cloned().unwrap_or_default()
    }
}

fn leave(key: &Key, token: Token) {
    lock_left().add(key.as_str(), token);
}

fn left(key: &Key) -> Vec<Token> {
    lock_left().of(key.as_str())
}

fn lock_left() -> MutexGuard<'static, Left> {
    // Nothing in here panics between two changes that belong together.
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All were forgotten whenever there were more than so many.
    #[test]
    fn what_was_left_last_is_forgotten_last() {
        let mut left = Left {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        };
        let token = |number: usize| (number as u128).to_le_bytes();
        let count = LEFT_MIN * 7 / 2;
        for number in 0..count {
            left.add(&number.to_string(), token(number));
        }
        for number in count - LEFT_MIN..count {
            assert_eq!(left.of(&number.to_string()), [token(number)]);
        }
        assert!(left.young.len() + left.old.len() <= 2 * LEFT_MIN);
        assert!(left.of("0").is_empty());
    }
}
