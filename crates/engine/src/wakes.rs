//! Wakes: times at which callers that wait for a key look again, though nothing has changed.
//!
//! Most waits end with a change of a key. A caller that waits until an entry of a stream has been pending
//! for long enough waits for the time as well.
//!
//! There is one wake for a key, the soonest that anybody wanted. Who finds nothing then asks for another.

use std::collections::{BTreeSet, HashMap};

use crate::engine::{Engine, Ticks};
use crate::keyspace::Ready;
use crate::sync::Mutex;

/// The wakes of all keys.
#[derive(Debug, Default)]
pub(crate) struct Wakes(Mutex<Both>);

/// A key and its database.
type Place = (usize, Box<[u8]>);

/// Invariant: `by_time` has `(time, place)` exactly when `by_place` has that time for that place.
#[derive(Debug, Default)]
struct Both {
    by_time: BTreeSet<(Ticks, Place)>,
    by_place: HashMap<Place, Ticks>,
}

impl Wakes {
    /// When the next one is, if there is one.
    pub(crate) fn next(&self) -> Option<Ticks> {
        self.0.lock().by_time.first().map(|(at, _)| *at)
    }

    /// Notes one. Answers whether it is the next of all.
    fn add(&self, at: Ticks, place: Place) -> bool {
        let mut both = self.0.lock();
        let both = &mut *both;
        match both.by_place.get(&place) {
            Some(before) if *before <= at => return false,
            Some(before) => {
                both.by_time.remove(&(*before, place.clone()));
            }
            None => {}
        }
        both.by_place.insert(place.clone(), at);
        both.by_time.insert((at, place));
        both.by_time.first().is_some_and(|(first, _)| *first == at)
    }

    /// Takes those whose time has come.
    fn take_due(&self, now: Ticks) -> Vec<Ready> {
        let mut both = self.0.lock();
        let mut due = Vec::new();
        while let Some((at, _)) = both.by_time.first()
            && *at <= now
        {
            if let Some((_, place)) = both.by_time.pop_first() {
                both.by_place.remove(&place);
                let (db, key) = place;
                due.push(Ready { db, key });
            }
        }
        due
    }
}

impl Engine {
    /// Has those who wait for a key looked at again at this time, or before.
    pub(crate) fn look_again(&self, at: Ticks, db: usize, key: &[u8]) {
        if self.wakes.add(at, (db, key.into())) {
            self.expect_at(at);
        }
    }

    /// Has those served, as far as that is possible, who wait for a key whose time has come.
    pub(crate) fn wake(&self, now: Ticks) {
        self.leave_unserved(self.wakes.take_due(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_wake_the_soonest() {
        let wakes = Wakes::default();
        let place = |key: &str| (0, key.as_bytes().into());
        let at = |us| Ticks::from_us(us);
        assert!(wakes.add(at(50), place("a")));
        assert!(!wakes.add(at(70), place("a")));
        assert!(wakes.add(at(30), place("a")));
        assert!(!wakes.add(at(40), place("b")));
        assert_eq!(wakes.next(), Some(at(30)));
        let due = |now| {
            wakes
                .take_due(at(now))
                .into_iter()
                .map(|ready| ready.key[0])
        };
        assert_eq!(due(29).count(), 0);
        assert!(due(100).eq(*b"ab"));
        assert_eq!(wakes.next(), None);
    }
}
