//! The keys, and which of them each operation takes.

use std::fmt;
use std::sync::OnceLock;

use rand::RngExt;
use rand_distr::{Distribution, Zipf};

/// How many keys there are.
pub(crate) const COUNT: usize = 1_000_000;

/// The value of each key.
pub(crate) const VALUE: [u8; 64] = [b'x'; 64];

/// A key.
pub(crate) type Key = [u8; 16];

/// How keys are chosen.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Pick {
    /// One key, again and again.
    One,
    /// Each key as often as any other.
    Uniform,
    /// A few often, most hardly ever, with exponent 0.99.
    Zipf,
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pick::One => "one",
            Pick::Uniform => "uniform",
            Pick::Zipf => "Zipf",
        })
    }
}

/// All keys.
pub(crate) fn all() -> &'static [Key] {
    static ALL: OnceLock<Vec<Key>> = OnceLock::new();
    ALL.get_or_init(|| (0..COUNT).map(key).collect())
}

/// `key:` and twelve digits.
fn key(at: usize) -> Key {
    let mut key = *b"key:000000000000";
    let mut rest = at;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Which of all keys this is.
pub(crate) fn index(key: &Key) -> usize {
    key[4..]
        .iter()
        .fold(0, |at, digit| at * 10 + usize::from(digit - b'0'))
}

/// The keys that one thread's operations take, drawn beforehand and laid out one behind the other,
/// so that drawing and finding them costs nothing while it is measured.
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    pub(crate) fn picked(pick: Pick, operations: usize) -> Keys {
        let mut random = rand::rng();
        let zipf = Zipf::new(COUNT as f64, 0.99).expect("the parameters are in range");
        let mut at = || match pick {
            Pick::One => 0,
            Pick::Uniform => random.random_range(0..COUNT),
            // A step that shares no divisor with the count, so that popular keys are not neighbours.
            Pick::Zipf => zipf.sample(&mut random) as usize * 617_327 % COUNT,
        };
        Keys((0..operations).map(|_| all()[at()]).collect())
    }

    pub(crate) fn as_slice(&self) -> &[Key] {
        &self.0
    }
}
