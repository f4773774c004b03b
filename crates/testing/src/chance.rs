//! Random numbers that are the same wherever and whenever they are drawn.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Random numbers from a seed: SplitMix64.
///
/// A seed that was printed by one version has to find the same failure with the next, so this does not
/// change when a library of random numbers does.
///
/// Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
///
/// # Examples
///
/// ```
/// use larder_testing::Chance;
///
/// let (mut one, mut other) = (Chance::new(7), Chance::new(7));
/// assert_eq!(one.below(1000), other.below(1000));
/// ```
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// The numbers of this seed for one of many purposes. Those of another purpose tell nothing of
    /// them, so that drawing one number more here changes nothing there.
    pub fn of(seed: u64, purpose: &str) -> Chance {
        let mut chance = Chance::new(seed);
        for byte in purpose.bytes() {
            chance.state = chance.number() ^ u64::from(byte);
        }
        chance
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(end)) >> 64) as u64
    }

    /// True once in `times` on average; never if `times` is 0.
    pub fn one_in(&mut self, times: u32) -> bool {
        times > 0 && self.below(u64::from(times)) == 0
    }

    /// One of these. `None` if there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    /// A time within this range, in whole milliseconds: the step of tokio's timers.
    pub fn time(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let (least, most) = (range.start().as_millis(), range.end().as_millis());
        let steps = u64::try_from(most.saturating_sub(least)).unwrap_or(u64::MAX);
        *range.start() + Duration::from_millis(self.below(steps.saturating_add(1)))
    }

    /// Bytes, as a seed for something else.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.number().to_le_bytes());
        }
        bytes
    }
}
