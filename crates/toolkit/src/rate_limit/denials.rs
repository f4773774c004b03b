//! Who was denied, as this process remembers it.
//!
//! What the store has said holds for as long as it has said: a caller who is denied `n` permits until a
//! time is denied as many, and more, until then. Time is counted on the process's steady clock, from before
//! the question was sent. So it is never longer than the store has said, and no clock that is set moves it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use larder_store::Key;

use super::decision::Decision;

/// The denials of a limiter that have not ended, of so many callers at most.
#[derive(Debug)]
pub(super) struct Denials {
    callers_max: usize,
    known: Mutex<Known>,
    /// How many requests were denied without the store.
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    by_caller: HashMap<Key, Denial>,
    /// When the first of them ends, or earlier: to look for one that has ended is of no use before.
    first_ends: Option<Instant>,
    /// How often something was forgotten.
    forgotten: u64,
}

#[derive(Clone, Copy, Debug)]
struct Denial {
    /// How many permits were denied.
    permits: u32,
    left: u32,
    limit: usize,
    ends: Instant,
    resets: Instant,
}

/// A question that is on its way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    at: Instant,
    forgotten: u64,
}

impl Denials {
    pub(super) fn new(callers_max: usize) -> Denials {
        Denials {
            callers_max,
            known: Mutex::default(),
            count: AtomicU64::new(0),
        }
    }

    /// None yet, of as many callers.
    pub(super) fn anew(&self) -> Denials {
        Denials::new(self.callers_max)
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What this process knows without asking, or else the question.
    pub(super) fn ask(&self, caller: &Key, permits: u32, now: Instant) -> Result<Decision, Asked> {
        let known = self.lock();
        let asked = Asked {
            at: now,
            forgotten: known.forgotten,
        };
        let denial = known.by_caller.get(caller).copied();
        drop(known);
        let denial = denial.filter(|denial| permits >= denial.permits && denial.ends > now);
        let denial = denial.ok_or(asked)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Decision::Denied {
            left: denial.left,
            retry_after: denial.ends - now,
            reset_after: denial.resets.saturating_duration_since(now),
            limit: denial.limit,
        })
    }

    /// Remembers what the store has answered, if it denies.
    pub(super) fn note(&self, caller: Key, permits: u32, asked: Asked, decision: &Decision) {
        let Decision::Denied {
            left,
            retry_after,
            reset_after,
            limit,
        } = *decision
        else {
            return;
        };
        let (ends, resets) = (asked.at + retry_after, asked.at + reset_after);
        let mut known = self.lock();
        // The answer may be from before what was given back or forgotten meanwhile.
        if known.forgotten != asked.forgotten
            || !known.has_room(&caller, self.callers_max, asked.at)
        {
            return;
        }
        let denial = Denial {
            permits,
            left,
            limit,
            ends,
            resets,
        };
        known.by_caller.insert(caller, denial);
        known.first_ends = Some(known.first_ends.map_or(ends, |first| first.min(ends)));
    }

    /// Asks the store again about a caller.
    pub(super) fn forget(&self, caller: &Key) {
        let mut known = self.lock();
        known.by_caller.remove(caller);
        known.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing in here panics between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether one more caller can be remembered, after those have gone whose denial has ended.
    fn has_room(&mut self, caller: &Key, callers_max: usize, now: Instant) -> bool {
        let has_room = |known: &Known| known.by_caller.len() < callers_max;
        if has_room(self) || self.by_caller.contains_key(caller) {
            return true;
        }
        if self.first_ends.is_some_and(|first| first <= now) {
            self.by_caller.retain(|_, denial| denial.ends > now);
            self.first_ends = self.by_caller.values().map(|denial| denial.ends).min();
        }
        has_room(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use larder_store::Keys;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn caller(name: &str) -> Key {
        Keys::new("api", "limit").of(name)
    }

    /// A denial of so many permits for a second, asked for at this time.
    fn deny(denials: &Denials, name: &str, permits: u32, at: Instant) {
        let asked = denials.ask(&caller(name), permits, at);
        let asked = asked.expect_err("nothing is known yet");
        let decision = Decision::Denied {
            left: 0,
            retry_after: SECOND,
            reset_after: 5 * SECOND,
            limit: 1,
        };
        denials.note(caller(name), permits, asked, &decision);
    }

    #[test]
    fn a_denial_holds_from_the_question_for_as_long_as_the_store_has_said() {
        let (denials, now) = (Denials::new(10), Instant::now());
        deny(&denials, "ann", 1, now);
        let later = now + SECOND / 4;
        let denied = Decision::Denied {
            left: 0,
            retry_after: SECOND * 3 / 4,
            reset_after: 5 * SECOND - SECOND / 4,
            limit: 1,
        };
        assert_eq!(denials.ask(&caller("ann"), 1, later).ok(), Some(denied));
        assert!(denials.ask(&caller("ann"), 1, now + SECOND).is_err());
        assert!(denials.ask(&caller("bob"), 1, later).is_err());
        assert_eq!(denials.count(), 1);
    }

    #[test]
    fn who_wants_fewer_permits_than_were_denied_is_asked_for() {
        let (denials, now) = (Denials::new(10), Instant::now());
        deny(&denials, "ann", 5, now);
        assert!(denials.ask(&caller("ann"), 6, now).is_ok());
        assert!(denials.ask(&caller("ann"), 5, now).is_ok());
        assert!(denials.ask(&caller("ann"), 4, now).is_err());
    }

    #[test]
    fn no_more_callers_are_remembered_than_is_said_and_those_that_end_make_room() {
        let (denials, now) = (Denials::new(2), Instant::now());
        for name in ["ann", "bob", "eve"] {
            deny(&denials, name, 1, now);
        }
        assert!(denials.ask(&caller("bob"), 1, now).is_ok());
        assert!(
            denials.ask(&caller("eve"), 1, now).is_err(),
            "there was no room"
        );
        deny(&denials, "eve", 1, now + SECOND);
        assert!(denials.ask(&caller("eve"), 1, now + SECOND).is_ok());
        assert_eq!(denials.lock().by_caller.len(), 1);
    }

    /// A refund and a denial that was on its way meanwhile.
    #[test]
    fn an_answer_from_before_something_was_forgotten_is_not_remembered() {
        let (denials, now) = (Denials::new(10), Instant::now());
        deny(&denials, "ann", 1, now);
        let asked = denials.ask(&caller("bob"), 1, now).expect_err("it is new");
        denials.forget(&caller("ann"));
        assert!(denials.ask(&caller("ann"), 1, now).is_err());
        let decision = Decision::Denied {
            left: 0,
            retry_after: SECOND,
            reset_after: SECOND,
            limit: 0,
        };
        denials.note(caller("bob"), 1, asked, &decision);
        assert!(denials.ask(&caller("bob"), 1, now).is_err());
    }
}
