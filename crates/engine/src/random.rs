//! Random numbers for what need not be secret: random members, pauses, samples.
//!
//! SplitMix64 by Steele, Lea and Flood (<https://prng.di.unimi.it/splitmix64.c>): its state is a
//! counter, so threads share a generator without a lock, and its numbers can be told from each other.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What the state grows by: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gives random numbers to whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// One whose numbers all follow from `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random(AtomicU64::new(seed))
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the published program, from the state 1234567.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let random = Random::new(1_234_567);
        let wanted = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([(); 3].map(|()| random.next()), wanted);
    }
}
