//! A limiter, and what it asks of the store.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use larder_store::{Command, Key, Keys, Script, Store};

use super::limit::{Kind, Limit};
use super::{Decision, Quota};

static GCRA: Script = Script::new(include_str!("gcra.lua"));
static DECIDE: Script = Script::new(include_str!("decide.lua"));

/// Why a limiter has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// So many permits can never be there at once. Nothing was taken.
    #[error("{wanted} permits are wanted, and there are never more than {size} at once")]
    MoreThanSize {
        /// What was wanted.
        wanted: NonZeroU32,
        /// The size of the smallest limit.
        size: NonZeroU32,
    },

    /// The store gave no answer. The permits may have been taken or not.
    #[error(transparent)]
    Store(#[from] larder_store::Error),
}

/// What a limiter does when the store gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutStore {
    /// It gives the error to its caller.
    #[default]
    Fail,
    /// It allows, with [`Decision::Unchecked`].
    Allow,
    /// It denies, with [`Decision::Unchecked`].
    Deny,
}

/// Limits of a namespace, for callers by name. Cloning it is cheap and shares it.
#[derive(Clone, Debug)]
pub struct Limiter {
    store: Store,
    keys: Keys,
    limits: Arc<[Limit]>,
    block: Duration,
    without_store: WithoutStore,
}

impl Limiter {
    /// A limiter with this limit, in this namespace: limiters that share one share their counts.
    pub fn new(store: &Store, namespace: &str, limit: Limit) -> Limiter {
        Limiter {
            store: store.clone(),
            keys: Keys::new(namespace, "limit"),
            limits: [limit].into(),
            block: Duration::ZERO,
            without_store: WithoutStore::default(),
        }
    }

    /// The same limiter with one limit more. A request has to be within all of them; one that is
    /// denied by one of them takes nothing from the others.
    ///
    /// The state of a limit belongs to its place and its kind.
    #[must_use]
    pub fn and(mut self, limit: Limit) -> Limiter {
        self.limits = self.limits.iter().cloned().chain([limit]).collect();
        self
    }

    /// Denies everything to a caller for this long after a request was denied, at most
    /// [`Quota::PER_MAX`]. Requests during the block do not make it longer. None by default.
    #[must_use]
    pub fn block(mut self, time: Duration) -> Limiter {
        self.block = time.min(Quota::PER_MAX);
        self
    }

    /// What to do when the store gives no answer: to fail by default.
    #[must_use]
    pub fn without_store(mut self, policy: WithoutStore) -> Limiter {
        self.without_store = policy;
        self
    }

    /// The limits, in order.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Takes `permits` for `name`, if that many are free now in every limit.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::MoreThanSize`] if `permits` could never be free at once, and [`Error::Store`] if
    /// the store gave no answer and [`Limiter::without_store`] says to fail then; the permits may
    /// have been taken or not.
    pub async fn take(&self, name: &str, permits: NonZeroU32) -> Result<Decision, Error> {
        self.decide("take", name, permits).await
    }

    /// Takes one permit for `name`, if one is free now in every limit: [`Limiter::take`] of one.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] as for [`Limiter::take`].
    pub async fn take_one(&self, name: &str) -> Result<Decision, Error> {
        self.take(name, NonZeroU32::MIN).await
    }

    /// Says what [`Limiter::take`] would say, and takes nothing.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`].
    pub async fn peek(&self, name: &str, permits: NonZeroU32) -> Result<Decision, Error> {
        self.decide("peek", name, permits).await
    }

    /// Gives back permits that were taken and not used, to every limit. What is more than full is
    /// full; a block stays.
    ///
    /// One round trip. The decision is what is there now.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`]; the permits may have been given back or not.
    pub async fn refund(&self, name: &str, permits: NonZeroU32) -> Result<Decision, Error> {
        self.decide("refund", name, permits).await
    }

    /// Forgets what `name` has taken, and its block.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer; it may then be forgotten or not.
    pub async fn reset(&self, name: &str) -> Result<(), Error> {
        let unlink = Command::new("UNLINK").args(self.keys_of(name));
        Ok(self.store.run(unlink).await?)
    }

    async fn decide(
        &self,
        action: &str,
        name: &str,
        permits: NonZeroU32,
    ) -> Result<Decision, Error> {
        let size = self.limits.iter().map(Limit::size).min();
        if let Some(size) = size.filter(|size| *size < permits) {
            return Err(Error::MoreThanSize {
                wanted: permits,
                size,
            });
        }
        match self.ask(action, name, permits).await {
            Ok(decision) => Ok(decision),
            Err(error) => self.decide_alone(error),
        }
    }

    async fn ask(
        &self,
        action: &str,
        name: &str,
        permits: NonZeroU32,
    ) -> Result<Decision, larder_store::Error> {
        let answer: Answer = match &*self.limits {
            [limit] if action == "take" && self.block.is_zero() && limit.kind.is_gcra() => {
                let call = GCRA
                    .on(&self.store)
                    .key(self.state_key(name, 0, limit.kind));
                let call = call.arg(permits).arg(limit.size());
                call.arg(limit.microseconds()).run().await?
            }
            limits => {
                let mut call = DECIDE.on(&self.store);
                for key in self.keys_of(name) {
                    call = call.key(key);
                }
                call = call.arg(action).arg(permits).arg(self.block.as_micros());
                for limit in limits {
                    call = call.arg(limit.kind.name()).arg(limit.size());
                    call = call.arg(limit.microseconds());
                }
                call.run().await?
            }
        };
        Ok(decision(answer))
    }

    fn decide_alone(&self, error: larder_store::Error) -> Result<Decision, Error> {
        let is_allowed = match self.without_store {
            WithoutStore::Fail => return Err(error.into()),
            WithoutStore::Allow => true,
            WithoutStore::Deny => false,
        };
        tracing::warn!(%error, is_allowed, "a limit was not checked");
        Ok(Decision::Unchecked { is_allowed })
    }

    /// The block, and the state of each limit.
    fn keys_of(&self, name: &str) -> Vec<Key> {
        let states = { self.limits.iter().enumerate() }
            .map(|(index, limit)| self.state_key(name, index, limit.kind));
        let block = self.keys.of(name).part("block");
        [block].into_iter().chain(states).collect()
    }

    fn state_key(&self, name: &str, index: usize, kind: Kind) -> Key {
        self.keys.of(name).part(&format!("{}{index}", kind.name()))
    }
}

/// What the scripts return; `decide.lua` says what the numbers are.
type Answer = (bool, u32, u64, u64, usize);

fn decision((is_allowed, left, wait_us, reset_us, limit): Answer) -> Decision {
    let reset_after = Duration::from_micros(reset_us);
    match is_allowed {
        true => Decision::Allowed {
            left,
            reset_after,
            limit,
        },
        false => Decision::Denied {
            left,
            retry_after: Duration::from_micros(wait_us),
            reset_after,
            limit,
        },
    }
}
