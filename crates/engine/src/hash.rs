//! The keyed hash of every table: SipHash-1-3 under a random seed.
//!
//! The hash has to be keyed. The cursors that SCAN, HSCAN and SSCAN hand out are positions in hash
//! order, so they show anybody who asks the leading bits of the hashes of keys that he chose
//! himself. With a known function that is enough to make thousands of keys that land in one bucket;
//! with a secret key it tells nothing about the next key.
//!
//! So the key shares nothing with what clients see: an engine's run id and its random numbers, of
//! which a few tell all that follow and all that were before. Each of the three is a digest of its
//! own of the engine's random bytes ([`derive()`]).

use larder_store::shape::short_word;

/// Bytes for one purpose out of an engine's random bytes. Who knows them knows nothing of those for
/// another purpose: SipHash is a pseudorandom function, and both halves of the random bytes are
/// secret, one as its key and the other in front of what it is given.
pub(crate) fn derive<const LEN: usize>(random_bytes: &[u8; 32], purpose: &str) -> [u8; LEN] {
    let (key, salt) = random_bytes.split_at(16);
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    let seed = Seed::new(word(&key[..8]), word(&key[8..]));
    let words: Vec<u8> = (0..LEN.div_ceil(8))
        .flat_map(|number| {
            let input = [salt, &[number as u8], purpose.as_bytes()].concat();
            seed.hash(&input).to_le_bytes()
        })
        .collect();
    std::array::from_fn(|index| words[index])
}

/// The secret under which keys are hashed. Two tables with one seed agree on every hash.
#[derive(Clone, Copy)]
pub(crate) struct Seed {
    k0: u64,
    k1: u64,
}

impl Seed {
    /// Makes a seed of two random words.
    pub(crate) fn new(k0: u64, k1: u64) -> Self {
        Self { k0, k1 }
    }

    /// Makes the seed of an engine with these random bytes.
    pub(crate) fn derived(random_bytes: &[u8; 32]) -> Self {
        let words = u128::from_le_bytes(derive(random_bytes, "hash seed"));
        Self::new(words as u64, (words >> 64) as u64)
    }

    /// Hashes a key, a field or a member.
    ///
    /// [`siphasher`](https://docs.rs/siphasher) gives the same, and takes three times the
    /// instructions for a short key, since it hashes any value piece by piece.
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = State::new(self);
        let (words, rest) = bytes.as_chunks();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let len = (bytes.len() as u64) << 56;
        state.absorb(len | short_word(rest));
        state.finish()
    }
}

/// The state of SipHash, by Aumasson and Bernstein.
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn new(seed: &Seed) -> State {
        State {
            v0: seed.k0 ^ 0x736f_6d65_7073_6575,
            v1: seed.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: seed.k0 ^ 0x6c79_6765_6e65_7261,
            v3: seed.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        (0..3).for_each(|_| self.round());
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);

        self.v0 = self.v0.wrapping_add(self.v3);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use siphasher::sip::SipHasher13;

    use super::*;
    use crate::engine::{Engine, Now};

    /// The words that stand in these bytes, wherever they begin.
    fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
        let words = bytes.windows(8).filter_map(|word| word.first_chunk());
        words.map(|word| u64::from_le_bytes(*word))
    }

    /// Both were consecutive numbers of one generator, whose other numbers RANDOMKEY shows, and
    /// which can be run backwards.
    #[test]
    fn what_clients_see_does_not_come_from_where_the_hash_seed_does() {
        let random_bytes = [7; 32];
        let engine = Engine::new(random_bytes, Now::from_unix_us(0));
        let Seed { k0, k1 } = engine.shards.seed();

        let digit = |at: usize| u8::from_str_radix(&engine.run_id[at..at + 2], 16);
        let run_id: Vec<u8> = (0..40).step_by(2).flat_map(digit).collect();
        let mut shown: Vec<u64> = words(&run_id).collect();
        shown.extend((0..1_000).map(|_| engine.random()));
        let state = u64::from_le_bytes(derive(&random_bytes, "random numbers"));
        shown.extend(words(&random_bytes).chain([state]));

        assert_eq!(run_id.len(), 20);
        assert!(!shown.contains(&k0) && !shown.contains(&k1));
    }

    #[test]
    fn each_purpose_and_each_engine_has_bytes_of_its_own() {
        let purposes = ["hash seed", "run id", "random numbers"];

        let all =
            [[7; 32], [8; 32]].map(|bytes| purposes.map(|purpose| derive::<16>(&bytes, purpose)));

        let all = all.as_flattened();
        let repeated = |one: usize| all[..one].contains(&all[one]);
        assert!(!(0..all.len()).any(repeated));
    }

    #[test]
    fn a_hash_depends_on_the_seed_and_on_every_byte() {
        let (one, other) = (Seed::new(1, 2), Seed::new(1, 3));

        assert_eq!(one.hash(b"key"), one.hash(b"key"));
        assert_ne!(one.hash(b"key"), other.hash(b"key"));
        assert_ne!(one.hash(b"key"), one.hash(b"kez"));
        assert_ne!(one.hash(b""), one.hash(b"\0"));
    }

    #[test]
    fn a_hash_is_that_of_siphash_1_3() {
        let text: Vec<u8> = (0..=255).collect();

        for len in 0..100 {
            let mut theirs = SipHasher13::new_with_keys(7, 11);
            theirs.write(&text[255 - len..255]);
            let ours = Seed::new(7, 11).hash(&text[255 - len..255]);
            assert_eq!(ours, theirs.finish(), "{len} bytes");
        }
    }
}
