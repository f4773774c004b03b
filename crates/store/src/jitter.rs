//! Chance that decides how long somebody waits, and nothing else.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

thread_local! {
    /// The state of this thread's chance: SplitMix64.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// A part of `most`, by chance: none of it, all of it, or anything in between. It keeps apart those who
/// would else ask at the same moment.
///
/// What has to be hard to guess, or to be nobody else's, is not drawn here.
pub fn jitter(most: Duration) -> Duration {
    let number = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(number);
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let part = (mixed ^ (mixed >> 31)) >> 32;
    most.mul_f64(part as f64 / f64::from(u32::MAX))
}

/// Has this thread draw its jitter from a seed from here on, so that a run can be repeated.
pub fn seed_jitter(seed: u64) {
    STATE.set(seed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_between_nothing_and_the_most() {
        let most = Duration::from_secs(1);
        let drawn: Vec<Duration> = (0..1000).map(|_| jitter(most)).collect();
        assert!(drawn.iter().all(|part| *part <= most));
        assert!(drawn.iter().any(|part| *part < most / 10));
        assert!(drawn.iter().any(|part| *part > most / 10 * 9));
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_seed_gives_the_same_jitter_each_time() {
        let drawn = || {
            seed_jitter(7);
            [(); 3].map(|()| jitter(Duration::from_secs(1)))
        };
        assert_eq!(drawn(), drawn());
    }
}
