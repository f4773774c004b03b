//! The circuit breaker of a node: an outage costs the first callers their patience, and the others
//! nothing.
//!
//! ```text
//! closed ── failures in a row, or half of many calls late ──> open ── a pause ──> half open
//!    ^                                                          ^                     │ one caller
//!    └────────────────────── it is answered ────────────────────┴─── it is not ───────┤ tries
//!    ^                                                                                │
//!    └────────────────────────────── it is answered ──────────────────────────────────┘
//! ```
//!
//! A failure is a connection that is not made or is lost, or on which answers are late: one, however many
//! callers it has. A refusal is none: who refuses is there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder_store::{BreakerState, Error};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Config;

/// How long late answers are remembered.
const WINDOW: Duration = Duration::from_secs(10);

/// Of fewer calls than this in the window nothing is concluded.
const CALLS_MIN: u64 = 20;

/// The breaker of one node.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// How many calls were answered.
    answered: AtomicU64,
    /// Whether anything has failed since the last answer.
    is_marked: AtomicBool,
    state: Mutex<State>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    failures: u32,
    pause: Duration,
    pause_max: Duration,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    window: Option<Window>,
    open: Option<Open>,
}

/// What was seen since a moment.
#[derive(Debug)]
struct Window {
    since: Instant,
    answered_before: u64,
    late: u64,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    pause: Duration,
    is_probing: bool,
    reason: String,
}

/// A call that may go through. If it is the one that tries, and is given up before it has found out, the
/// next one may.
#[derive(Debug)]
pub(crate) struct Admission<'b> {
    probing: Option<&'b Breaker>,
}

impl Admission<'_> {
    /// That of a call of which the breaker learns nothing but its answer.
    pub(crate) fn none() -> Admission<'static> {
        Admission { probing: None }
    }

    /// Whether it is the one that tries.
    pub(crate) fn is_probe(&self) -> bool {
        self.probing.is_some()
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.probing
            && let Some(open) = &mut breaker.state.lock().open
        {
            open.is_probing = false;
        }
    }
}

impl Breaker {
    pub(crate) fn new(config: &Config) -> Breaker {
        Breaker {
            answered: AtomicU64::new(0),
            is_marked: AtomicBool::new(false),
            state: Mutex::default(),
            settings: Settings {
                failures: config.breaker_failures,
                pause: config.breaker_pause,
                pause_max: config.breaker_pause_max,
            },
        }
    }

    /// Lets a call through, or refuses it at once.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] with the time after which it is worth asking again.
    pub(crate) fn admit(&self) -> Result<Admission<'_>, Error> {
        if !self.is_marked.load(Ordering::Acquire) {
            return Ok(Admission { probing: None });
        }
        let mut state = self.state.lock();
        let Some(open) = &mut state.open else {
            return Ok(Admission { probing: None });
        };
        let left = open.until.saturating_duration_since(Instant::now());
        if left.is_zero() && !open.is_probing {
            open.is_probing = true;
            return Ok(Admission {
                probing: Some(self),
            });
        }
        // While somebody tries, nobody knows how long that takes.
        let after = left.max(self.settings.pause.min(open.pause));
        Err(Error::away_for(&open.reason, after))
    }

    /// What it does now.
    pub(crate) fn state(&self) -> BreakerState {
        match &self.state.lock().open {
            None => BreakerState::Closed,
            Some(open) if open.until > Instant::now() => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// A call was answered that was let through so. Says whether that closed the breaker: only the one that
    /// tried does. Others were sent before it opened, and of a server that is slow some are answered yet.
    #[inline]
    pub(crate) fn answered(&self, admission: &Admission<'_>) -> bool {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.is_marked.load(Ordering::Relaxed) && self.heal(admission.is_probe())
    }

    #[cold]
    fn heal(&self, was_probe: bool) -> bool {
        let mut state = self.state.lock();
        state.in_a_row = 0;
        if state.open.is_some() && !was_probe {
            return false;
        }
        let was_open = state.open.take().is_some();
        // A window of late answers goes on: of a server that is slow some answers are in time.
        self.is_marked.store(false, Ordering::Release);
        was_open
    }

    /// A connection was not made or is lost. Says whether that opened the breaker.
    pub(crate) fn failed(&self, reason: &str) -> bool {
        let mut state = self.state.lock();
        state.in_a_row = state.in_a_row.saturating_add(1);
        let is_enough = state.in_a_row >= self.settings.failures;
        self.open(&mut state, is_enough, reason)
    }

    /// A caller's time was over before its answer came. Says whether that opened the breaker.
    pub(crate) fn was_late(&self) -> bool {
        let mut state = self.state.lock();
        let is_enough = self.note_late(&mut state);
        self.open(&mut state, is_enough, "half of the answers come too late")
    }

    /// Opens the breaker if that is enough, or again if somebody has tried in vain.
    fn open(&self, state: &mut State, is_enough: bool, reason: &str) -> bool {
        if self.settings.failures == 0 {
            return false;
        }
        self.is_marked.store(true, Ordering::Release);
        if let Some(open) = &mut state.open {
            // The one who tried has found out. Those who fail later were sent before.
            if open.is_probing {
                open.is_probing = false;
                open.pause = (open.pause * 2).min(self.settings.pause_max);
                open.until = Instant::now() + open.pause;
            }
            return false;
        }
        if is_enough {
            state.window = None;
            state.open = Some(Open {
                until: Instant::now() + self.settings.pause,
                pause: self.settings.pause,
                is_probing: false,
                reason: format!("the server is away ({reason})"),
            });
        }
        is_enough
    }

    /// Counts a call whose answer was late. Says whether half of many were, of late.
    fn note_late(&self, state: &mut State) -> bool {
        let answered = self.answered.load(Ordering::Relaxed);
        let now = Instant::now();
        let window = match &mut state.window {
            Some(window) if window.since + WINDOW > now => window,
            window => window.insert(Window {
                since: now,
                answered_before: answered,
                late: 0,
            }),
        };
        window.late += 1;
        let calls = window.late + answered.saturating_sub(window.answered_before);
        calls >= CALLS_MIN && window.late * 2 >= calls
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&Config::default())
    }

    /// As many failures as open it.
    fn open(breaker: &Breaker) {
        assert!(!breaker.failed("no"));
        assert!(!breaker.failed("no"));
        assert!(breaker.failed("no"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_callers_are_told_when_to_come_again() {
        let breaker = breaker();
        breaker.failed("no");
        breaker.failed("no");
        breaker.answered(&Admission::none());
        assert!(
            breaker.admit().is_ok(),
            "an answer lies between the failures"
        );
        open(&breaker);
        assert_eq!(breaker.state(), BreakerState::Open);
        let error = breaker.admit().unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_millis(200)));
        assert!(error.to_string().contains("(no)"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_one_caller_tries_and_closes_it_or_makes_the_pause_longer() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_millis(200)).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "one is trying");
        breaker.failed("still no");
        drop(probe);
        let again = breaker.admit().unwrap_err().retry_after();
        assert_eq!(again, Some(Duration::from_millis(400)));

        advance(Duration::from_millis(400)).await;
        let probe = breaker.admit().unwrap();
        let sent_before = Admission::none();
        assert!(!breaker.answered(&sent_before), "it was sent before");
        assert!(breaker.admit().is_err(), "it is still open");
        assert!(breaker.answered(&probe), "this closes it");
        drop(probe);
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_gives_up_his_try_leaves_it_to_the_next() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_millis(200)).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_no_longer_than_they_may() {
        let breaker = breaker();
        open(&breaker);
        for _ in 0..10 {
            advance(Duration::from_secs(2)).await;
            let probe = breaker.admit().unwrap();
            breaker.failed("no");
            drop(probe);
        }
        let after = breaker.admit().unwrap_err().retry_after();
        assert_eq!(after, Some(Config::default().breaker_pause_max));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_late_half_of_the_time_is_left_alone() {
        let breaker = breaker();
        let mut has_opened = false;
        for _ in 0..40 {
            breaker.answered(&Admission::none());
            has_opened |= breaker.was_late();
        }
        assert!(has_opened);
    }

    #[tokio::test(start_paused = true)]
    async fn one_late_answer_among_many_is_no_outage() {
        let breaker = breaker();
        for _ in 0..100 {
            for _ in 0..9 {
                breaker.answered(&Admission::none());
            }
            assert!(!breaker.was_late());
        }
    }
}
