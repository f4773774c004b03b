//! What is asked of the store for a lock.

use std::time::Duration;

use larder_store::{Capability, Channels, Error, Key, Script, Store};

use super::twins;
use crate::random;

pub(super) static ACQUIRE: Script = Script::new(include_str!("acquire.lua"))
    .named("lock/acquire.lua")
    .with_twin(twins::acquire);
pub(super) static EXTEND: Script = Script::new(include_str!("extend.lua"))
    .named("lock/extend.lua")
    .with_twin(twins::extend)
    .repeatable();
pub(super) static RELEASE: Script = Script::new(include_str!("release.lua"))
    .named("lock/release.lua")
    .with_twin(twins::release);
pub(super) static HOLDER: Script = Script::read_only(include_str!("holder.lua"))
    .named("lock/holder.lua")
    .with_twin(twins::holder);

/// The shortest time to live of a lock.
pub(super) const TTL_MIN: Duration = Duration::from_millis(10);

/// The longest time to live of a lock.
pub(super) const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the last fencing token is remembered after the lock has gone: the largest step back of a
/// server's clock that tokens survive.
const TOKEN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A lock that a request wants or has.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) store: Store,
    pub(super) key: Key,
    /// The number of the request.
    owner: String,
    /// Whether the request was sent once without an answer, and so may still come when it is not wanted
    /// any more.
    pub(super) may_come_late: bool,
}

/// What the store says to a request.
pub(super) enum Answer {
    Taken { token: u64 },
    Held { remaining: Duration },
}

impl Lock {
    /// A lock that a new request wants.
    pub(super) fn wanted(store: Store, key: Key) -> Lock {
        let owner = hex::encode(random::bytes::<16>());
        Lock {
            store,
            key,
            owner,
            may_come_late: false,
        }
    }

    /// Where the release is told.
    fn channel(&self) -> String {
        self.key.part("free").to_string()
    }

    /// What whoever waits for the lock has to listen to: where there are shards, the release is told on
    /// the lock's alone.
    pub(super) async fn wakes(&self) -> Channels {
        match self.is_sharded().await {
            true => Channels::default().shard(self.channel()),
            false => Channels::default().channel(self.channel()),
        }
    }

    /// Whether messages have shards. If that can't be found out now they have none: who waits and is not
    /// woken asks again by itself.
    async fn is_sharded(&self) -> bool {
        let capabilities = self.store.capabilities().await.unwrap_or_default();
        capabilities.has(Capability::ShardedMessages)
    }

    fn fence(&self) -> Key {
        self.key.part("fence")
    }

    /// Asks for the lock. Asking again is safe: the store knows the request, and grants it once.
    pub(super) async fn acquire(&self, ttl: Duration) -> Result<Answer, Error> {
        let call = ACQUIRE.on(&self.store).key(self.key.clone());
        let call = call.key(self.fence()).arg(&self.owner);
        let answer = call.arg(ttl).arg(ttl + TOKEN_KEPT).run().await?;
        Ok(match answer {
            (true, token, _) => Answer::Taken { token },
            (false, _, remaining_ms) => Answer::Held {
                remaining: Duration::from_millis(remaining_ms),
            },
        })
    }

    /// Whether the request has the lock, for `ttl` from now.
    pub(super) async fn extend(&self, ttl: Duration) -> Result<bool, Error> {
        let call = EXTEND.on(&self.store).key(self.key.clone());
        let call = call.key(self.fence()).arg(&self.owner);
        call.arg(ttl).arg(ttl + TOKEN_KEPT).run().await
    }

    /// Whether the request had the lock, which is free now. If the request comes after this, it takes
    /// nothing.
    pub(super) async fn release(&self) -> Result<bool, Error> {
        let call = RELEASE.on(&self.store).key(self.key.clone());
        let call = call.key(self.fence()).arg(&self.owner);
        let publish = match self.is_sharded().await {
            true => "SPUBLISH",
            false => "PUBLISH",
        };
        let call = call.arg(self.channel()).arg(TOKEN_KEPT);
        let call = call.arg(u8::from(self.may_come_late)).arg(publish);
        call.run().await
    }
}

/// The token and the remaining milliseconds of whoever has the lock.
pub(super) async fn holder(store: &Store, key: Key) -> Result<Option<(u64, i64)>, Error> {
    HOLDER.on(store).key(key).run().await
}

/// Refuses what is no time to live of a lock.
pub(super) fn check_ttl(ttl: Duration) -> Result<(), Error> {
    if (TTL_MIN..=TTL_MAX).contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(format_args!(
        "a lock lives from {TTL_MIN:?} to {TTL_MAX:?}, not {ttl:?}"
    )))
}
