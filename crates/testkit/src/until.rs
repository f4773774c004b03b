//! Waiting for what can only be looked at.

use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long lies between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// Looks until there is something to be seen, and gives it. `None` if there was nothing in time.
pub(crate) fn holds_within<T>(
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if start.elapsed() > patience {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a condition holds. It looks again and again, and blocks the thread meanwhile.
///
/// # Panics
///
/// If it does not hold within `patience`, with the words for it.
pub fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let held = holds_within(patience, || holds().then_some(()));
    assert!(held.is_some(), "not so within {patience:?}: {what}");
}
