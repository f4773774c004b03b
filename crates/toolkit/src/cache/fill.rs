//! Loading what is not there.
//!
//! ```text
//! look    what is there? ─────────── a value in its time ───────────────► done
//! lead    one caller of this process for each name ── the others follow ► done, or look again
//! right   a lease from the store, or without the store a permit ── found ► done
//! load    what the caller gave
//! settle  keep the value, and hand it on ───────────────────────────────► done
//! ```
//!
//! Whatever waits has an end: those who follow and those who ask for a lease or a permit wait as long as
//! [`Cache::wait`] says.

use larder_store::{Awaited, BoxError, Error, Key};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use crate::codec;

use super::flight::{Flight, Lead, Moment, Outcome, Role};
use super::found::{Found, Seen, fresh};
use super::keep::Keep;
use super::loading::Loading;
use super::right::{Hold, Right, Wanted, during};
use super::settings::Cache;
use super::waits::within;

/// A value that it is ours to load.
pub(super) struct Ours<'a, T> {
    pub(super) lead: Lead<'a>,
    pub(super) hold: Hold<'a>,
    /// For the case that there is no better one.
    pub(super) stale: Option<T>,
}

impl<T: Serialize + DeserializeOwned> Cache<T> {
    /// The value called `name`, or else what `load` gives, which is then kept for the cache's time
    /// to live and without tags.
    ///
    /// Among those who miss the same value at the same time, in all processes, one loads it and the
    /// others wait. An error of `load` is not kept; it goes to those who wait in this process too.
    /// Dropping this while it loads lets somebody else load.
    ///
    /// A hit is one round trip, a load two more; tags make it one more in each case. It needs a tokio
    /// runtime with time.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] if `load` failed and there is no stale value. [`Error::TimedOut`] if the load of
    /// this or of another caller took too long: see [`Cache::wait`] and [`Cache::hard_timeout`].
    /// [`Error::Codec`] if the value can't be encoded, and [`Error::Invalid`] if it has too many tags, or
    /// if it is asked for in its own load, directly or in a circle. Those of the store only if
    /// [`Cache::without_store`] says to fail.
    pub async fn get_or_set<F>(&self, name: &str, load: impl FnOnce() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>>,
    {
        self.get_or_set_with(name, Keep::new(), load).await
    }

    /// [`Cache::get_or_set`], where the value is kept as `keep` says.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::get_or_set`].
    pub async fn get_or_set_with<F>(
        &self,
        name: &str,
        keep: Keep,
        load: impl FnOnce() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>>,
    {
        self.get_or(name, keep, false, |_| load()).await
    }

    /// [`Cache::get_or_set`], where the load decides how its value is kept, by what it loads: see
    /// [`Loading`].
    ///
    /// That is one round trip more, and two more yet if it names tags.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::get_or_set`].
    pub async fn get_or_load<F>(
        &self,
        name: &str,
        load: impl FnOnce(Loading<T>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>>,
    {
        self.get_or(name, Keep::new(), true, load).await
    }

    async fn get_or<F>(
        &self,
        name: &str,
        keep: Keep,
        names_tags: bool,
        load: impl FnOnce(Loading<T>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>>,
    {
        keep.check()?;
        let key = &self.shared.keys.of(name);
        let seen = match fresh(self.first_look(key).await) {
            Ok(value) => return Ok(value),
            Err(seen) => seen,
        };
        let wanted = Wanted {
            name,
            key,
            keep,
            names_tags,
        };
        // On the heap, so that those who find a value have no room for this.
        Box::pin(self.fill(wanted, seen, load)).await
    }

    /// [`Cache::look`], counted.
    pub(super) async fn first_look(&self, key: &Key) -> Result<Found<T>, Error> {
        let found = self.look(key).await?;
        self.count(&found);
        Ok(found)
    }

    /// Counts what was found for somebody who would load it.
    pub(super) fn count(&self, found: &Found<T>) {
        let counters = &self.shared.counters;
        match found {
            Found::Fresh(_) | Found::Due(..) => counters.hits.one(),
            Found::No(seen) if seen.stale.is_some() => counters.stale.one(),
            Found::No(_) => counters.misses.one(),
        }
    }

    /// Gets a value that was not there when it was looked for, one way or another.
    pub(super) async fn fill<F>(
        &self,
        wanted: Wanted<'_>,
        mut seen: Result<Seen<T>, Error>,
        load: impl FnOnce(Loading<T>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>>,
    {
        let (came, give_up) = (Moment::now(), Instant::now() + self.settings.wait);

        let lead = loop {
            let flight = match self.shared.flights.join(wanted.name, wanted.tags()) {
                Role::Leader(lead) => break lead,
                Role::Follower(flight) => flight,
            };
            if let Ok(Seen {
                stale: Some(value), ..
            }) = seen
            {
                return Ok(value);
            }
            if let Some(value) = self.follow(flight, came, give_up).await? {
                return Ok(value);
            }
            seen = match fresh(self.look(wanted.key).await) {
                Ok(value) => return Ok(value),
                Err(seen) => seen,
            };
        };

        let (hold, stale) = match self.right(&wanted, &lead, seen, give_up).await? {
            Right::Found(value) => return Ok(value),
            Right::Load(hold, stale) => (hold, stale),
        };

        let (stale, entry) = stale.unzip();
        let loading = Loading::new(wanted.keep, entry);
        let begun = Moment::now();
        // On the heap, since loads are in loads and what is around each would grow them severalfold.
        let work = within(Some(lead.waiter.clone()), Box::pin(load(loading.share())));
        let loaded = during(&[&hold], self.in_time(1, work)).await;
        let ours = Ours { lead, hold, stale };
        self.settle(ours, begun, &loading.keep(), loaded).await
    }

    /// Keeps what a load that began then has given, and hands it on.
    pub(super) async fn settle(
        &self,
        ours: Ours<'_, T>,
        begun: Moment,
        keep: &Keep,
        loaded: Result<T, Error>,
    ) -> Result<T, Error> {
        let ready = loaded.and_then(|value| {
            keep.check()?;
            Ok((codec::encode(&value).map_err(Error::codec)?, value))
        });
        match ready {
            Ok((encoded, value)) => {
                self.put(ours.hold, &encoded, keep).await;
                ours.lead.end(Outcome::Value(encoded, begun));
                Ok(value)
            }
            Err(error) => self.without_value(ours, error).await,
        }
    }

    /// Waits for what somebody else in this process loads. `None` to look again.
    pub(super) async fn follow(
        &self,
        flight: Flight,
        came: Moment,
        give_up: Instant,
    ) -> Result<Option<T>, Error> {
        self.shared.counters.waits.one();
        let Ok(ended) = timeout_at(give_up, flight.end(came)).await else {
            return Err(self.timed_out());
        };
        let ended = ended.map_err(|_| {
            Error::invalid("the load of a value asks for a value that waits for it to end")
        })?;
        match ended {
            Some(Outcome::Value(encoded, _)) => {
                codec::decode(&encoded).map(Some).map_err(Error::codec)
            }
            Some(Outcome::Failed(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Loads so many values, as long as that may take.
    pub(super) async fn in_time<R>(
        &self,
        values: usize,
        work: impl Future<Output = Result<R, BoxError>>,
    ) -> Result<R, Error> {
        let loaded = match self.settings.hard_timeout {
            Some(waited) => match timeout(waited, work).await {
                Ok(loaded) => loaded.map_err(Error::load),
                Err(_) => Err(Error::TimedOut {
                    what: Awaited::Load,
                    waited,
                }),
            },
            None => work.await.map_err(Error::load),
        };
        self.shared.counters.loads.add(values);
        if loaded.is_err() {
            self.shared.counters.load_failures.add(values);
        }
        loaded
    }

    /// What a load comes to that gave no value to keep. With a stale value the lease stays: nobody tries
    /// again before it is over.
    async fn without_value(&self, ours: Ours<'_, T>, error: Error) -> Result<T, Error> {
        let Ours { lead, hold, stale } = ours;
        let Some(value) = stale else {
            hold.give_back().await;
            lead.end(Outcome::Failed(error.clone()));
            return Err(error);
        };
        tracing::warn!(namespace = %self.shared.namespace, %error, "a stale value was given out");
        hold.keep();
        Ok(value)
    }
}
