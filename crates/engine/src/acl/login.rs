//! The login of a connection: as whom it came in, and what has to be checked because of that.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use super::rules::Rules;
use crate::sync::Mutex;

/// It has to log in first.
const LOCKED_OUT: u8 = 1;
/// Its user may not do everything.
const RESTRICTED: u8 = 1 << 1;

/// There is a pause, and requests may have to wait.
const PAUSED: u8 = 1 << 2;
/// A request waits for the end of the pause.
const PUT_OFF: u8 = 1 << 3;
/// A script runs for too long, and most requests are refused.
const BUSY: u8 = 1 << 4;
/// What is of all connections.
const OF_ALL: u8 = PAUSED | PUT_OFF | BUSY;

/// As whom a connection came in. Whoever changes it holds the lock of the users.
#[derive(Debug)]
pub(crate) struct Login {
    /// What has to be checked of each request: nothing, for the most.
    checks: AtomicU8,
    state: Mutex<State>,
}

/// Who somebody is.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(super) user: Arc<[u8]>,
    pub(super) rules: Arc<Rules>,
    /// Whether it has proven that, or need not.
    pub(super) is_proven: bool,
}

impl Login {
    pub(super) fn new(state: State, default: &Rules) -> Login {
        Login {
            checks: AtomicU8::new(checks(&state, default)),
            state: Mutex::new(state),
        }
    }

    /// Whether requests have to be checked.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.checks.load(Relaxed) != 0
    }

    /// Whether it has to log in before it may do anything else.
    #[inline]
    pub(crate) fn is_locked_out(&self) -> bool {
        self.checks.load(Relaxed) & LOCKED_OUT != 0
    }

    /// The name of the user.
    pub(crate) fn user(&self) -> Arc<[u8]> {
        Arc::clone(&self.state.lock().user)
    }

    pub(super) fn is_user(&self, user: &[u8]) -> bool {
        *self.state.lock().user == *user
    }

    /// The rules of the user.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.state.lock().rules)
    }

    /// Changes who it is, where these are the rules of the default user.
    pub(super) fn change(&self, default: &Rules, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let of_all = self.checks.load(Relaxed) & OF_ALL;
        self.checks.store(checks(&state, default) | of_all, Relaxed);
    }

    /// Whether requests may have to wait for the end of a pause.
    pub(crate) fn is_paused(&self) -> bool {
        self.checks.load(Relaxed) & PAUSED != 0
    }

    /// Notes that a pause begins, or is over.
    pub(super) fn set_paused(&self, is_paused: bool) {
        match is_paused {
            true => self.checks.fetch_or(PAUSED, Relaxed),
            false => self.checks.fetch_and(!(PAUSED | PUT_OFF), Relaxed),
        };
    }

    /// Whether requests may have to be refused, since a script runs for too long.
    pub(crate) fn is_busy(&self) -> bool {
        self.checks.load(Relaxed) & BUSY != 0
    }

    /// Notes that a script runs for too long, or that none does.
    pub(super) fn set_busy(&self, is_busy: bool) {
        match is_busy {
            true => self.checks.fetch_or(BUSY, Relaxed),
            false => self.checks.fetch_and(!BUSY, Relaxed),
        };
    }

    /// Notes that a request waits for the end of the pause.
    pub(crate) fn put_off(&self) {
        self.checks.fetch_or(PUT_OFF, Relaxed);
    }

    /// Whether a request waits for the end of a pause.
    pub(crate) fn is_put_off(&self) -> bool {
        self.checks.load(Relaxed) & (PAUSED | PUT_OFF) == PAUSED | PUT_OFF
    }
}

fn checks(state: &State, default: &Rules) -> u8 {
    let mut checks = 0;
    if !state.is_proven && default.ask_for_login() {
        checks |= LOCKED_OUT;
    }
    if !state.rules.are_all() {
        checks |= RESTRICTED;
    }
    checks
}
