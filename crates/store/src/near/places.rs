//! What is noted of keys that were read: for backends that answer near reads.
//!
//! ```text
//! by_key ── key ──> where it stands
//! places ── Place: key, Mark, how many read it now, the answers that are kept
//!             ^ hand: the next one that is looked at when there has to be room
//! ```
//!
//! A place is made by a [`Reservation`], before the read is sent. It goes when its key may have changed,
//! when it has to make room, and when a read came to nothing that would have been its first. Then its
//! mark is stale, and an answer that is still on its way finds no place.
//!
//! Invariants, kept by [`State::insert`], [`State::remove`] and [`State::weigh`], which alone write them:
//! `by_key` maps exactly the keys of `places` to where they stand, and `bytes` is the sum of what the
//! places take.

use std::collections::HashMap;
use std::mem::{self, size_of};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_resp::Arguments;

use super::mark::{Freshness, Life, Mark, Source};
use super::weight::{self, ALLOCATION};
use super::{Keep, NearStats};
use crate::{Command, Value, shape};

/// What a place takes beside its key and its answers: itself, its mark, and its entry in the index.
const PLACE: usize =
    size_of::<Place>() + size_of::<Mark>() + 2 * size_of::<(Arc<[u8]>, usize)>() + 3 * ALLOCATION;

/// The places of keys, up to a number of bytes. Those that were not used for long make room for others.
#[derive(Debug)]
pub struct Places {
    bytes_max: usize,
    state: Mutex<State>,
    misses: AtomicU64,
    /// Whether many places have become stale at once, which are still there.
    is_dusty: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    places: Vec<Place>,
    by_key: HashMap<Arc<[u8]>, usize>,
    hand: usize,
    bytes: usize,
    hits: u64,
    invalidations: u64,
    evictions: u64,
}

#[derive(Debug)]
struct Place {
    key: Arc<[u8]>,
    mark: Arc<Mark>,
    /// How many reads are under way.
    readers: usize,
    answers: Vec<Kept>,
    bytes: usize,
}

/// An answer that is kept.
#[derive(Debug)]
struct Kept {
    words: Words,
    /// Shared, so that a large one is not copied while others wait for the places.
    value: Arc<Value>,
    bytes: usize,
}

/// The words of a command but its key, each behind its length.
#[derive(Debug, PartialEq, Eq)]
struct Words(Box<[u8]>);

impl Words {
    fn of(arguments: Arguments<'_>) -> Words {
        let mut bytes = Vec::new();
        for word in but_key(arguments) {
            bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
            bytes.extend_from_slice(word);
        }
        Words(bytes.into())
    }

    fn are_of(&self, arguments: Arguments<'_>) -> bool {
        let mut rest = &*self.0;
        let is_next = |word: &[u8]| {
            let behind = rest
                .strip_prefix(&(word.len() as u64).to_le_bytes())
                .and_then(|rest| rest.strip_prefix(word));
            rest = behind.unwrap_or(rest);
            behind.is_some()
        };
        but_key(arguments).all(is_next) && rest.is_empty()
    }
}

fn but_key<'a>(arguments: Arguments<'a>) -> impl Iterator<Item = &'a [u8]> {
    let words = arguments.iter().enumerate();
    words.filter_map(|(place, word)| (place != shape::PURE_KEY).then_some(word))
}

impl Places {
    /// Places that take this many bytes at most.
    pub fn new(bytes_max: usize) -> Arc<Places> {
        Arc::new(Places {
            bytes_max,
            state: Mutex::default(),
            misses: AtomicU64::new(0),
            is_dusty: AtomicBool::new(false),
        })
    }

    /// The answer that is kept for a command, if it is fresh.
    pub fn kept(&self, command: &Command) -> Option<(Value, Freshness)> {
        let arguments = command.arguments();
        let key = arguments.get(shape::PURE_KEY)?;
        let (value, freshness) = {
            let mut state = self.state();
            let at = *state.by_key.get(key)?;
            if !state.places[at].mark.is_fresh() {
                state.remove(at);
                return None;
            }
            let place = &mut state.places[at];
            let mut answers = place.answers.iter();
            let kept = answers.find(|kept| kept.words.are_of(arguments))?;
            let found = (Arc::clone(&kept.value), Freshness::of(&place.mark));
            place.mark.use_it();
            state.hits += 1;
            found
        };
        Some((Value::clone(&value), freshness))
    }

    /// A read that was not answered from here.
    pub fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Reserves the place of a key, before it is read. `None` if there is no room for it.
    pub fn reserve(self: &Arc<Places>, key: &[u8], source: &Arc<Source>) -> Option<Reservation> {
        if key.len() > self.bytes_max / 8 || PLACE + ALLOCATION + key.len() > self.bytes_max {
            return None;
        }
        self.dust();
        let mut state = self.state();
        let at = match state.by_key.get(key) {
            Some(&at) if state.places[at].is_good_for(source) => {
                state.places[at].mark.use_it();
                at
            }
            known => {
                if let Some(&at) = known {
                    state.remove(at);
                }
                state.insert(key, source)
            }
        };
        let place = &mut state.places[at];
        place.readers += 1;
        let reservation = Reservation {
            places: Arc::clone(self),
            key: Arc::clone(&place.key),
            mark: Arc::clone(&place.mark),
        };
        state.bound(self.bytes_max);
        Some(reservation)
    }

    /// A key may have changed.
    pub fn changed(&self, key: &[u8]) {
        let mut state = self.state();
        if let Some(&at) = state.by_key.get(key) {
            state.invalidations += 1;
            let gone = state.remove(at);
            // A large answer is not freed while others wait.
            drop(state);
            drop(gone);
        }
    }

    /// Every key may have changed, whoever tells of it.
    pub fn all_changed(&self) {
        let gone = {
            let mut state = self.state();
            state.invalidations += state.places.len() as u64;
            state.clear()
        };
        drop(gone);
    }

    /// A source has [flushed](Source::flush) or [ended](Source::end): what is stale by that is taken away
    /// at the next read, and not by whoever tells it, who may have no time for it.
    pub fn dusty(&self) {
        self.is_dusty.store(true, Ordering::Release);
    }

    /// How it went so far.
    pub fn stats(&self) -> NearStats {
        self.dust();
        let state = self.state();
        NearStats {
            hits: state.hits,
            misses: self.misses.load(Ordering::Relaxed),
            invalidations: state.invalidations,
            evictions: state.evictions,
            bytes: state.bytes,
            entries: state.places.len(),
        }
    }

    /// Takes away what has become stale at once.
    fn dust(&self) {
        if !self.is_dusty.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut gone = Vec::new();
        let mut state = self.state();
        let mut at = 0;
        while at < state.places.len() {
            match state.places[at].mark.is_fresh() {
                true => at += 1,
                false => gone.push(state.remove(at)),
            }
        }
        state.invalidations += gone.len() as u64;
        drop(state);
        drop(gone);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics between two steps that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Places {
    /// Nobody would tell those who still look at a mark.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl State {
    /// A new place for a key that has none.
    fn insert(&mut self, key: &[u8], source: &Arc<Source>) -> usize {
        let (at, key): (usize, Arc<[u8]>) = (self.places.len(), key.into());
        let bytes = PLACE + ALLOCATION + key.len();
        self.by_key.insert(Arc::clone(&key), at);
        self.bytes += bytes;
        self.places.push(Place {
            key,
            mark: Arc::new(Mark::new(source)),
            readers: 0,
            answers: Vec::new(),
            bytes,
        });
        at
    }

    /// Takes a place away, and turns its mark.
    fn remove(&mut self, at: usize) -> Place {
        let gone = self.places.swap_remove(at);
        gone.mark.turn();
        self.by_key.remove(&gone.key);
        self.bytes -= gone.bytes;
        if let Some(moved) = self.places.get(at)
            && let Some(place) = self.by_key.get_mut(&moved.key)
        {
            *place = at;
        }
        gone
    }

    fn clear(&mut self) -> Vec<Place> {
        self.by_key.clear();
        self.bytes = 0;
        self.hand = 0;
        let gone = mem::take(&mut self.places);
        gone.iter().for_each(|place| place.mark.turn());
        gone
    }

    /// Adds an answer to a place.
    fn weigh(&mut self, at: usize, kept: Kept) {
        let place = &mut self.places[at];
        place.bytes += kept.bytes;
        self.bytes += kept.bytes;
        place.answers.push(kept);
    }

    /// Takes places away until the rest takes no more than so many bytes: those first that are of no use
    /// to anybody, then those that were not used while the hand went round once.
    fn bound(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && !self.places.is_empty() {
            if self.hand >= self.places.len() {
                self.hand = 0;
            }
            let at = self.hand;
            // Also behind one that goes: the newest has taken its place.
            self.hand += 1;
            let place = &self.places[at];
            if !place.mark.take_used() || place.is_useless() {
                self.remove(at);
                self.evictions += 1;
            }
        }
    }

    /// Where the place of a key stands, if it has this mark.
    fn find(&self, key: &[u8], mark: &Arc<Mark>) -> Option<usize> {
        let at = *self.by_key.get(key)?;
        Arc::ptr_eq(&self.places[at].mark, mark).then_some(at)
    }
}

impl Place {
    fn is_good_for(&self, source: &Arc<Source>) -> bool {
        self.mark.is_of(source) && self.mark.is_fresh()
    }

    /// Whether it is stale, or has no answer and nobody who could look at its mark.
    fn is_useless(&self) -> bool {
        let is_left =
            self.readers == 0 && self.answers.is_empty() && Arc::strong_count(&self.mark) == 1;
        is_left || !self.mark.is_fresh()
    }
}

/// The place of a key that is being read. Dropping it gives the place up if nothing else needs it.
#[derive(Debug)]
pub struct Reservation {
    places: Arc<Places>,
    key: Arc<[u8]>,
    mark: Arc<Mark>,
}

impl Reservation {
    /// The answer has come, of a key that lives so long, if it expires. It is kept if the place is still
    /// there, it is wanted, and it takes no more than an eighth of all.
    pub fn answered(
        self,
        command: &Command,
        value: &Value,
        keep: Keep,
        life: Option<Life>,
    ) -> Freshness {
        if let Some(life) = life {
            self.mark.lives(life);
        }
        if keep == Keep::Answer && self.mark.is_fresh() {
            self.keep(command, value);
        }
        Freshness::of(&self.mark)
    }

    fn keep(&self, command: &Command, value: &Value) {
        let words = Words::of(command.arguments());
        let bytes = size_of::<Kept>() + 2 * ALLOCATION + words.0.len() + weight::of_value(value);
        if bytes > self.places.bytes_max / 8 {
            return;
        }
        let kept = Kept {
            words,
            value: Arc::new(value.clone()),
            bytes,
        };
        let mut state = self.places.state();
        // Not the mark but the place decides: whoever turns the one has taken the other away before.
        if let Some(at) = state.find(&self.key, &self.mark)
            && !state.places[at]
                .answers
                .iter()
                .any(|known| known.words == kept.words)
        {
            state.weigh(at, kept);
            state.bound(self.places.bytes_max);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(at) = state.find(&self.key, &self.mark) {
            let place = &mut state.places[at];
            place.readers -= 1;
            // The place and this reservation hold the mark, and whoever was given its freshness.
            let is_left = place.readers == 0
                && place.answers.is_empty()
                && Arc::strong_count(&self.mark) == 2;
            if is_left {
                state.remove(at);
            }
        }
    }
}

#[cfg(test)]
impl Places {
    /// Panics unless all that is said of the fields above holds.
    pub(super) fn check_invariants(&self) {
        let state = self.state();
        assert_eq!(state.by_key.len(), state.places.len());
        for (at, place) in state.places.iter().enumerate() {
            assert_eq!(state.by_key.get(&place.key), Some(&at));
            let answers: usize = place.answers.iter().map(|kept| kept.bytes).sum();
            assert_eq!(place.bytes, PLACE + ALLOCATION + place.key.len() + answers);
        }
        let bytes: usize = state.places.iter().map(|place| place.bytes).sum();
        assert_eq!(state.bytes, bytes);
        assert!(bytes <= self.bytes_max);
    }

    /// How many reads are under way.
    pub(super) fn readers(&self) -> usize {
        self.state().places.iter().map(|place| place.readers).sum()
    }
}
