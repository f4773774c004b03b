//! The right to load a value, and what becomes of it.

use std::time::Duration;

use bytes::Bytes;
use larder_store::{Awaited, Error, Key, jitter};
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};

use super::flight::Lead;
use super::found::{Seen, fresh};
use super::keep::Keep;
use super::lease::{Asked, Lease, rings};
use super::policy::WithoutStore;
use super::settings::Cache;
use super::versions::Versions;
use crate::join;

/// The pauses between two looks for a value that another process loads: the first, and the longest.
const POLL: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(100));

/// What is wanted: a value of this name, or else one that is loaded and kept so.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a Key,
    pub(super) keep: Keep,
    /// Whether the load may name tags that are not in `keep`.
    pub(super) names_tags: bool,
}

impl Wanted<'_> {
    /// The tags that the value is going to have, if that is known already.
    pub(super) fn tags(&self) -> Option<&[String]> {
        (!self.names_tags).then_some(&self.keep.tags)
    }
}

/// How a leader may go on.
#[derive(Debug)]
pub(super) enum Right<'a, T> {
    /// With a value that there is.
    Found(T),
    /// By loading one. The stale value, if there is one, is for the case that this fails; its entry is
    /// with it.
    Load(Hold<'a>, Option<(T, Bytes)>),
}

/// What the store says at once of who may load a value.
#[derive(Debug)]
pub(super) enum Now<'a, T> {
    /// The caller may go on.
    Right(Right<'a, T>),
    /// Somebody else has the lease.
    Held(Seen<T>),
    /// There is something else than was seen, and it is of no use.
    Changed(Seen<T>),
    /// Nothing. With it the stale value that there was.
    Away(Option<T>, Error),
}

/// What allows to load.
#[derive(Debug)]
pub(super) enum Hold<'a> {
    /// The store: the value may be kept, under these versions.
    Lease(Lease<'a>, Versions),
    /// This process, since the store gives no answer. There is none of its own if that of another load
    /// covers this one.
    Permit(#[expect(dead_code, reason = "it is held, not read")] Option<SemaphorePermit<'a>>),
}

impl Hold<'_> {
    /// Does not let the right run out, without an end.
    async fn live(&self) {
        match self {
            Hold::Lease(lease, _) => lease.live().await,
            Hold::Permit(_) => std::future::pending().await,
        }
    }

    /// Lets whoever comes next load.
    pub(super) async fn give_back(self) {
        if let Hold::Lease(lease, _) = self {
            lease.give_back().await;
        }
    }

    /// Lets nobody load until a lease is over.
    pub(super) fn keep(self) {
        if let Hold::Lease(lease, _) = self {
            lease.keep();
        }
    }
}

/// Does `work`, and does not let the rights to it run out meanwhile.
pub(super) async fn during<R>(holds: &[&Hold<'_>], work: impl Future<Output = R>) -> R {
    tokio::select! {
        biased;
        done = work => done,
        _ = join::all(holds.iter().map(|hold| hold.live())) => unreachable!("it has no end"),
    }
}

impl<T: DeserializeOwned> Cache<T> {
    /// Asks for the lease until it is granted, or not needed any more; or for a permit, if the store gives
    /// no answers.
    pub(super) async fn right<'a>(
        &'a self,
        wanted: &Wanted<'a>,
        lead: &Lead<'_>,
        seen: Result<Seen<T>, Error>,
        give_up: Instant,
    ) -> Result<Right<'a, T>, Error> {
        let mut seen = match seen {
            Ok(seen) => seen,
            Err(error) => return self.permit(lead, None, error, give_up).await,
        };
        let (mut pause, longest) = POLL;
        let mut has_waited = false;
        loop {
            // From before the question: the bell may ring while the answer is on its way.
            let mut rings = std::pin::pin!(rings(wanted.key));
            rings.as_mut().enable();
            let (other, has_changed) = match self.ask(wanted, seen).await {
                Now::Right(right) => return Ok(right),
                Now::Held(seen) => (seen, false),
                Now::Changed(seen) => (seen, true),
                Now::Away(stale, error) => return self.permit(lead, stale, error, give_up).await,
            };
            seen = other;
            if has_changed && Instant::now() < give_up {
                continue;
            }
            if let Some(value) = seen.stale {
                return Ok(Right::Found(value));
            }
            if Instant::now() >= give_up {
                return Err(self.timed_out());
            }
            if !std::mem::replace(&mut has_waited, true) {
                self.shared.counters.waits.one();
            }
            let jittered = pause / 2 + jitter(pause / 2);
            tokio::select! {
                biased;
                () = rings => {}
                () = sleep_until(give_up) => {}
                () = sleep(jittered) => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Asks once for the lease, in place of what was seen.
    pub(super) async fn ask<'a>(&'a self, wanted: &Wanted<'a>, seen: Seen<T>) -> Now<'a, T> {
        let mut lease = Lease::new(&self.shared.store, wanted.key, self.settings.lease);
        match lease.ask(&seen.bytes).await {
            Ok(Asked::Granted) => {}
            Ok(Asked::Held) => return Now::Held(seen),
            Ok(Asked::Filled) => {
                return match fresh(self.look(wanted.key).await) {
                    Ok(value) => Now::Right(Right::Found(value)),
                    Err(Ok(other)) => Now::Changed(other),
                    Err(Err(error)) => Now::Away(seen.stale, error),
                };
            }
            Err(error) => return Now::Away(seen.stale, error),
        }
        // Before the load: what changes from here on must make its result void.
        let (tags, kept_ms) = (&wanted.keep.tags, self.kept_ms(&wanted.keep));
        let versions = self.versions(tags, kept_ms, seen.era, wanted.names_tags);
        match versions.await {
            Ok(versions) => {
                let stale = seen.stale.map(|value| (value, seen.bytes));
                Now::Right(Right::Load(Hold::Lease(lease, versions), stale))
            }
            Err(error) => Now::Away(seen.stale, error),
        }
    }

    /// What to go on with although the store gave no answer: a stale value, or a permit to load, if that is
    /// wanted.
    pub(super) async fn permit<'a>(
        &'a self,
        lead: &Lead<'_>,
        stale: Option<T>,
        error: Error,
        give_up: Instant,
    ) -> Result<Right<'a, T>, Error> {
        if let Some(value) = stale {
            return Ok(Right::Found(value));
        }
        if self.settings.without_store == WithoutStore::Fail {
            return Err(error);
        }
        self.shared.counters.without_store.one();
        tracing::warn!(namespace = %self.shared.namespace, %error, "a value is loaded without the cache");
        tokio::select! {
            biased;
            () = lead.waiter.covered() => Ok(Right::Load(Hold::Permit(None), None)),
            permit = self.permits.acquire() => {
                lead.waiter.cover();
                Ok(Right::Load(Hold::Permit(permit.ok()), None))
            }
            () = sleep_until(give_up) => Err(self.timed_out()),
        }
    }

    /// Keeps a value that was loaded, if that is still allowed. Whatever comes of it, the value is good for
    /// those who waited for it.
    pub(super) async fn put(&self, hold: Hold<'_>, encoded: &Bytes, keep: &Keep) {
        let Hold::Lease(lease, mut versions) = hold else {
            return;
        };
        let counters = &self.shared.counters;
        if encoded.len() > self.settings.max_len {
            let (namespace, len) = (&self.shared.namespace, encoded.len());
            tracing::warn!(%namespace, len, "a value is too large to be cached");
            counters.too_large.one();
            return lease.give_back().await;
        }
        let put = async {
            let kept_ms = self.kept_ms(keep);
            if !self
                .add_late_tags(&mut versions, &keep.tags, kept_ms)
                .await?
            {
                lease.give_back().await;
                return Ok(false);
            }
            let packed = self.pack(encoded, (versions.era, &versions.tags), keep)?;
            lease.put(packed.bytes, packed.ttl_ms).await
        };
        match put.await {
            Ok(true) => {}
            Ok(false) => counters.refused.one(),
            Err::<_, Error>(error) => {
                tracing::warn!(namespace = %self.shared.namespace, %error, "a value was not cached");
                counters.without_store.one();
            }
        }
    }

    /// That this caller has waited as long as it may.
    pub(super) fn timed_out(&self) -> Error {
        Error::TimedOut {
            what: Awaited::Load,
            waited: self.settings.wait,
        }
    }
}
