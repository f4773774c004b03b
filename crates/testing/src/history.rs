//! What was asked and answered, by whom and when.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// A moment of a run, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    order: u64,
    /// How long after the beginning it was, by the clock of the callers, which nobody sets.
    pub elapsed: Duration,
    /// What the store's clock showed.
    pub store: SystemTime,
}

impl Moment {
    /// Whether this was before that. Of two moments one is before the other, also where both clocks
    /// show the same.
    pub fn is_before(&self, other: &Moment) -> bool {
        self.order < other.order
    }
}

/// Gives the moments of a run their order.
#[derive(Clone)]
pub(crate) struct Timeline {
    next: Arc<AtomicU64>,
    clocks: Arc<dyn Fn() -> (Duration, SystemTime) + Send + Sync>,
}

impl Timeline {
    pub(crate) fn new(
        clocks: impl Fn() -> (Duration, SystemTime) + Send + Sync + 'static,
    ) -> Timeline {
        Timeline {
            next: Arc::default(),
            clocks: Arc::new(clocks),
        }
    }

    fn now(&self) -> Moment {
        let (elapsed, store) = (self.clocks)();
        Moment {
            order: self.next.fetch_add(1, Ordering::SeqCst),
            elapsed,
            store,
        }
    }
}

/// What was asked and answered, by whom and when. Clones share it.
///
/// A test writes down what it asked of a pattern, and checks afterwards that the answers obey a law.
/// What was asked and has no answer is in doubt: its caller was dropped, or waits still.
///
/// # Examples
///
/// ```
/// # larder_testing::simulate(async |world| {
/// let history = world.history::<&str, i64>();
///
/// let asked = history.ask("ann", "add 2");
/// asked.answer(2);
///
/// let [entry] = &history.entries()[..] else { panic!() };
/// assert_eq!((&*entry.who, entry.asked), ("ann", "add 2"));
/// assert_eq!(entry.answer(), Some(&2));
/// # Ok(()) });
/// ```
pub struct History<Q, A> {
    entries: Arc<Mutex<Vec<Entry<Q, A>>>>,
    timeline: Timeline,
}

/// Something that was asked.
#[derive(Clone, Debug)]
pub struct Entry<Q, A> {
    /// Who asked.
    pub who: Arc<str>,
    /// What was asked.
    pub asked: Q,
    /// When it was asked.
    pub began: Moment,
    /// When it was answered, and what with. `None` if it was not.
    pub ended: Option<(Moment, A)>,
}

/// Something that was asked and is not answered yet. To drop it is to leave it without an answer.
#[derive(Debug)]
#[must_use = "what was asked wants an answer"]
pub struct Asked<Q, A> {
    history: History<Q, A>,
    place: usize,
}

impl<Q, A> History<Q, A> {
    pub(crate) fn new(timeline: Timeline) -> History<Q, A> {
        History {
            entries: Arc::default(),
            timeline,
        }
    }

    /// Writes down that somebody asks something now.
    pub fn ask(&self, who: &str, asked: Q) -> Asked<Q, A> {
        let mut entries = self.entries.lock();
        entries.push(Entry {
            who: who.into(),
            asked,
            began: self.timeline.now(),
            ended: None,
        });
        Asked {
            place: entries.len() - 1,
            history: self.clone(),
        }
    }

    /// Writes down something that happens now, and needs no time.
    pub fn tell(&self, who: &str, asked: Q, answer: A) {
        self.ask(who, asked).answer(answer);
    }

    /// How much was asked.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<Q: Clone, A: Clone> History<Q, A> {
    /// All that was asked, in the order in which it was.
    pub fn entries(&self) -> Vec<Entry<Q, A>> {
        self.entries.lock().clone()
    }

    /// The last that was asked, this many at most.
    pub fn last(&self, count: usize) -> Vec<Entry<Q, A>> {
        let entries = self.entries.lock();
        entries[entries.len().saturating_sub(count)..].to_vec()
    }
}

impl<Q, A> Asked<Q, A> {
    /// Writes down the answer, which came now.
    pub fn answer(self, answer: A) {
        let now = self.history.timeline.now();
        let mut entries = self.history.entries.lock();
        entries[self.place].ended = Some((now, answer));
    }
}

impl<Q, A> Entry<Q, A> {
    /// What was answered, if anything was.
    pub fn answer(&self) -> Option<&A> {
        self.ended.as_ref().map(|(_, answer)| answer)
    }

    /// Whether this was answered before that was asked. Of two entries of which neither was before the
    /// other, either may have happened first.
    pub fn is_before<P, B>(&self, other: &Entry<P, B>) -> bool {
        { self.ended.as_ref() }.is_some_and(|(end, _)| end.is_before(&other.began))
    }
}

impl<Q, A> Clone for History<Q, A> {
    fn clone(&self) -> History<Q, A> {
        History {
            entries: Arc::clone(&self.entries),
            timeline: self.timeline.clone(),
        }
    }
}

impl<Q, A> fmt::Debug for History<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<Q: fmt::Display, A: fmt::Debug> fmt::Display for Entry<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9.3?} {}: {} -> ",
            self.began.elapsed, self.who, self.asked
        )?;
        match &self.ended {
            Some((end, answer)) => write!(f, "{answer:?} at {:.3?}", end.elapsed),
            None => f.write_str("no answer"),
        }
    }
}
