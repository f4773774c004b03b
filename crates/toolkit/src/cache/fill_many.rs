//! Loading many values at once.
//!
//! ```text
//! look    what is there? one look for all
//! lead    which of the missing does nobody load? one question for all ── the rest: later
//! load    these, by one call of what the caller gave
//! settle  keep each, and hand it on
//! later   the rest, each as if it had been asked for alone: mostly it is there by now
//! ```
//!
//! Nobody waits for others while others wait for it: what is ours is loaded and handed on before the rest
//! is waited for. So two calls whose names overlap can't stand in each other's way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use larder_store::{BoxError, Error, Key};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{codec, join};

use super::fill::Ours;
use super::flight::{Flight, Lead, Moment, Role};
use super::found::{Found, Seen, fresh};
use super::keep::Keep;
use super::policy::WithoutStore;
use super::read::CHUNK;
use super::right::{Hold, Now, Right, Wanted, during};
use super::settings::Cache;
use super::waits::{Waiter, within};

/// A value that was not there when it was looked for.
struct Missing<'a, T> {
    /// Where it stands among those that are wanted.
    place: usize,
    wanted: Wanted<'a>,
    seen: Result<Seen<T>, Error>,
}

/// A value that nobody else in this process loads, and that the store was asked for.
struct Asked<'a, T> {
    place: usize,
    wanted: Wanted<'a>,
    lead: Lead<'a>,
    now: Now<'a, T>,
}

/// A value that the store gave no answer for, and that is ours to load if the policy says so.
struct Away<'a> {
    place: usize,
    wanted: Wanted<'a>,
    lead: Lead<'a>,
    error: Error,
}

/// A value that somebody else loads: in this process, if there is a flight.
struct Later<'a> {
    place: usize,
    wanted: Wanted<'a>,
    flight: Option<Flight>,
}

/// The values that one call is to load.
struct Batch<'a, T> {
    places: Vec<usize>,
    names: Vec<String>,
    ours: Vec<Ours<'a, T>>,
}

/// What came of each value that is wanted, as far as that is known.
type Values<T> = [Option<Result<T, Error>>];

impl<T: Serialize + DeserializeOwned> Cache<T> {
    /// The values called `names`, in that order, each for itself. Those that are not there are loaded by
    /// one call of `load`, which is given their names and gives their values by name; they are then kept
    /// as [`Cache::get_or_set`] keeps them.
    ///
    /// A value that somebody else is just loading, here or in another process, is not loaded once more but
    /// waited for, when the others have been loaded. Should it not come, it is loaded by a call of its own.
    /// What `load` gives beyond what it was asked for is not kept. That there is nothing of some name is
    /// said, and kept, with a `T` that is an `Option`.
    ///
    /// The names may be in any hash slots. A look at a thousand of them is one round trip; if values are
    /// missing, it is two more, as for one; tags make it one more in each case. None for no names.
    ///
    /// # Errors
    ///
    /// In the places of the values that they are about, those of [`Cache::get_or_set`]: if `load` fails,
    /// [`Error::Load`] in the places of all that it was to load, except where there is a stale value; and
    /// in that of each value that it did not give.
    ///
    /// # Examples
    ///
    /// ```
    /// # larder_testkit::doctest(async |store| {
    /// use std::collections::HashMap;
    /// use larder_toolkit::{Ttl, cache::Cache};
    ///
    /// let prices = Cache::<u32>::new(&store, "prices", Ttl::minutes(5));
    /// prices.set("book.1", &1999).await?;
    /// let load = async |names: Vec<String>| {
    ///     assert_eq!(names, ["book.2", "book.3"]); // asks a database for them
    ///     Ok(names.into_iter().map(|name| (name, 2500)).collect::<HashMap<_, _>>())
    /// };
    /// let found = prices.get_many_or_set(["book.1", "book.2", "book.3"], load).await;
    /// let found: Vec<u32> = found.into_iter().collect::<Result<_, _>>()?;
    /// assert_eq!(found, [1999, 2500, 2500]);
    /// # Ok(()) });
    /// ```
    pub async fn get_many_or_set<S, F>(
        &self,
        names: impl IntoIterator<Item = S>,
        load: impl Fn(Vec<String>) -> F,
    ) -> Vec<Result<T, Error>>
    where
        S: AsRef<str>,
        F: Future<Output = Result<HashMap<String, T>, BoxError>>,
    {
        self.get_many_or_set_with(names, Keep::new(), load).await
    }

    /// [`Cache::get_many_or_set`], where each value is kept as `keep` says.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::get_many_or_set`].
    pub async fn get_many_or_set_with<S, F>(
        &self,
        names: impl IntoIterator<Item = S>,
        keep: Keep,
        load: impl Fn(Vec<String>) -> F,
    ) -> Vec<Result<T, Error>>
    where
        S: AsRef<str>,
        F: Future<Output = Result<HashMap<String, T>, BoxError>>,
    {
        let names: Vec<S> = names.into_iter().collect();
        if let Err(error) = keep.check() {
            return names.iter().map(|_| Err(error.clone())).collect();
        }
        let keys: Vec<Key> = (names.iter())
            .map(|name| self.shared.keys.of(name.as_ref()))
            .collect();

        let (mut values, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
        for (place, found) in self.first_look_at_many(&keys).await.into_iter().enumerate() {
            values.push(match fresh(found) {
                Ok(value) => Some(Ok(value)),
                Err(seen) => {
                    let wanted = Wanted {
                        name: names[place].as_ref(),
                        key: &keys[place],
                        keep: keep.clone(),
                        names_tags: false,
                    };
                    missing.push(Missing {
                        place,
                        wanted,
                        seen,
                    });
                    None
                }
            });
        }
        if !missing.is_empty() {
            // On the heap, so that those who find all values have no room for this.
            Box::pin(self.fill_many(missing, &keep, &load, &mut values)).await;
        }
        let values = values.into_iter();
        values
            .map(|value| value.expect("what was not found was filled"))
            .collect()
    }

    /// [`Cache::look`] at each of these keys, counted.
    async fn first_look_at_many(&self, keys: &[Key]) -> Vec<Result<Found<T>, Error>> {
        let mut looked = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            match self.look_at_many(keys).await {
                Ok(found) => looked.extend(found),
                Err(error) => looked.extend(keys.iter().map(|_| Err(error.clone()))),
            }
        }
        looked.iter().flatten().for_each(|found| self.count(found));
        looked
    }

    /// Gets values that were not there when they were looked for, one way or another.
    async fn fill_many<'a, F>(
        &'a self,
        missing: Vec<Missing<'a, T>>,
        keep: &Keep,
        load: &impl Fn(Vec<String>) -> F,
        values: &mut Values<T>,
    ) where
        F: Future<Output = Result<HashMap<String, T>, BoxError>>,
    {
        let (came, give_up) = (Moment::now(), Instant::now() + self.settings.wait);
        let (missing, again) = once_each(missing);
        let (asked, mut later) = self.ask_for_many(missing, values).await;
        let (mut batch, away) = sort(asked, values, &mut later);
        self.take_along(&mut batch, away, values, give_up).await;
        if let Some(first) = batch.ours.first() {
            // It stands for all: whoever waits for one of them waits for it.
            let first = first.lead.waiter.clone();
            self.load_batch(batch, first, keep, load, values).await;
        }

        let places: Vec<usize> = later.iter().map(|later| later.place).collect();
        let filled: Vec<_> = { later.into_iter() }
            .map(|later| self.fill_later(later, came, give_up, load))
            .collect();
        for (place, filled) in places.into_iter().zip(join::all(filled).await) {
            values[place] = Some(filled);
        }
        for (place, first) in again {
            values[place] = values[first].as_ref().map(copy);
        }
    }

    /// Leads what nobody else leads, and asks the store for the right to load it.
    async fn ask_for_many<'a>(
        &'a self,
        missing: Vec<Missing<'a, T>>,
        values: &mut Values<T>,
    ) -> (Vec<Asked<'a, T>>, Vec<Later<'a>>) {
        let (mut led, mut later) = (Vec::new(), Vec::new());
        for missing in missing {
            let Missing {
                place,
                wanted,
                seen,
            } = missing;
            match (self.shared.flights.join(wanted.name, wanted.tags()), seen) {
                (Role::Leader(lead), seen) => led.push((place, wanted, lead, seen)),
                (
                    Role::Follower(_),
                    Ok(Seen {
                        stale: Some(value), ..
                    }),
                ) => values[place] = Some(Ok(value)),
                (Role::Follower(flight), _) => later.push(Later {
                    place,
                    wanted,
                    flight: Some(flight),
                }),
            }
        }
        let asked: Vec<_> = { led.into_iter() }
            .map(|(place, wanted, lead, seen)| async move {
                let now = match seen {
                    Ok(seen) => self.ask(&wanted, seen).await,
                    Err(error) => Now::Away(None, error),
                };
                Asked {
                    place,
                    wanted,
                    lead,
                    now,
                }
            })
            .collect();
        (join::all(asked).await, later)
    }

    /// Adds what the store gave no answer for to what is loaded anyway, if the policy allows that; it needs
    /// a permit if there is nothing else to load.
    async fn take_along<'a>(
        &'a self,
        batch: &mut Batch<'a, T>,
        away: Vec<Away<'a>>,
        values: &mut Values<T>,
        give_up: Instant,
    ) {
        let Some(first) = away.first() else { return };
        let permit = if batch.ours.is_empty() || self.settings.without_store == WithoutStore::Fail {
            // Whoever has a permit and waits for one of them lets the first go on.
            let waiter = &first.lead.waiter;
            let _waits: Vec<_> = ({ away.iter().skip(1) })
                .filter_map(|other| other.lead.waiter.wait_for(waiter).ok())
                .collect();
            let error = first.error.clone();
            self.permit(&first.lead, None, error, give_up).await
        } else {
            self.shared.counters.without_store.one();
            Ok(Right::Load(Hold::Permit(None), None))
        };
        let (mut hold, error) = match permit {
            Ok(Right::Load(hold, _)) => (Some(hold), None),
            Ok(Right::Found(_)) => return,
            Err(error) => (None, Some(error)),
        };
        for away in away {
            match &error {
                Some(error) => values[away.place] = Some(Err(error.clone())),
                None => {
                    let hold = hold.take().unwrap_or(Hold::Permit(None));
                    batch.add(away.place, away.wanted.name, away.lead, hold, None);
                }
            }
        }
    }

    /// Loads values, as a part of the load that `first` is.
    async fn load_batch<F>(
        &self,
        batch: Batch<'_, T>,
        first: Arc<Waiter>,
        keep: &Keep,
        load: &impl Fn(Vec<String>) -> F,
        values: &mut Values<T>,
    ) where
        F: Future<Output = Result<HashMap<String, T>, BoxError>>,
    {
        let Batch {
            places,
            names,
            ours,
        } = batch;
        let _waits: Vec<_> = ({ ours.iter().skip(1) })
            .filter_map(|other| other.lead.waiter.wait_for(&first).ok())
            .collect();
        let begun = Moment::now();
        let work = within(Some(first), Box::pin(load(names.clone())));
        let holds: Vec<&Hold<'_>> = ours.iter().map(|ours| &ours.hold).collect();
        let mut loaded = during(&holds, self.in_time(names.len(), work)).await;

        let settled: Vec<_> = ({ names.iter().zip(ours) })
            .map(|(name, ours)| {
                let value = match &mut loaded {
                    Ok(given) => take(given, name).map_err(Error::load),
                    Err(error) => Err(error.clone()),
                };
                self.settle(ours, begun, keep, value)
            })
            .collect();
        for (place, settled) in places.into_iter().zip(join::all(settled).await) {
            values[place] = Some(settled);
        }
    }

    /// Gets a value that somebody else was loading.
    async fn fill_later<F>(
        &self,
        later: Later<'_>,
        came: Moment,
        give_up: Instant,
        load: &impl Fn(Vec<String>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<HashMap<String, T>, BoxError>>,
    {
        let wanted = later.wanted;
        if let Some(flight) = later.flight
            && let Some(value) = self.follow(flight, came, give_up).await?
        {
            return Ok(value);
        }
        let seen = match fresh(self.look(wanted.key).await) {
            Ok(value) => return Ok(value),
            Err(seen) => seen,
        };
        let name = wanted.name;
        let alone = |_| async { take(&mut load(vec![name.to_owned()]).await?, name) };
        self.fill(wanted, seen, alone).await
    }
}

impl<'a, T> Batch<'a, T> {
    fn add(&mut self, place: usize, name: &str, lead: Lead<'a>, hold: Hold<'a>, stale: Option<T>) {
        self.places.push(place);
        self.names.push(name.to_owned());
        self.ours.push(Ours { lead, hold, stale });
    }
}

/// Parts what is wanted a second time: its place, and that of the first.
fn once_each<T>(missing: Vec<Missing<'_, T>>) -> (Vec<Missing<'_, T>>, Vec<(usize, usize)>) {
    let (mut places, mut once, mut again) = (HashMap::new(), Vec::new(), Vec::new());
    for missing in missing {
        match places.entry(missing.wanted.name) {
            Entry::Vacant(place) => {
                place.insert(missing.place);
                once.push(missing);
            }
            Entry::Occupied(first) => again.push((missing.place, *first.get())),
        }
    }
    (once, again)
}

/// Sorts what the store has said: what is there goes to `values`, what others load to `later`, and what is
/// ours to load to a batch, apart from what the store gave no answer for.
fn sort<'a, T>(
    asked: Vec<Asked<'a, T>>,
    values: &mut Values<T>,
    later: &mut Vec<Later<'a>>,
) -> (Batch<'a, T>, Vec<Away<'a>>) {
    let mut batch = Batch {
        places: Vec::new(),
        names: Vec::new(),
        ours: Vec::new(),
    };
    let mut away = Vec::new();
    for Asked {
        place,
        wanted,
        lead,
        now,
    } in asked
    {
        match now {
            Now::Right(Right::Found(value)) | Now::Away(Some(value), _) => {
                values[place] = Some(Ok(value));
            }
            Now::Right(Right::Load(hold, stale)) => {
                let stale = stale.map(|(value, _)| value);
                batch.add(place, wanted.name, lead, hold, stale);
            }
            Now::Held(Seen {
                stale: Some(value), ..
            }) => values[place] = Some(Ok(value)),
            Now::Held(_) | Now::Changed(_) => later.push(Later {
                place,
                wanted,
                flight: None,
            }),
            Now::Away(None, error) => away.push(Away {
                place,
                wanted,
                lead,
                error,
            }),
        }
    }
    (batch, away)
}

/// The value of this name among those that were given.
fn take<T>(given: &mut HashMap<String, T>, name: &str) -> Result<T, BoxError> {
    let value = given.remove(name);
    value.ok_or_else(|| format!("the load gave no value for {name:?}").into())
}

/// The same once more, for who has asked twice.
fn copy<T: Serialize + DeserializeOwned>(value: &Result<T, Error>) -> Result<T, Error> {
    let value = value.as_ref().map_err(Error::clone)?;
    Ok(codec::decode(&codec::encode(value)?)?)
}
