//! The keyed hash of every table: SipHash-1-3 under a random seed.
//!
//! The hash has to be keyed. The cursors that SCAN, HSCAN and SSCAN hand out are positions in hash
//! order, so they show anybody who asks the leading bits of the hashes of keys that he chose
//! himself. With a known function that is enough to make thousands of keys that land in one bucket;
//! with a secret key it tells nothing about the next key.

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

/// Fewer than eight bytes as the low bytes of a word. Two reads may overlap; what both give is the
/// same.
#[inline]
pub(crate) fn short_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (len - 4))
        }
        (_, _, [first, .., last]) => {
            let middle = u64::from(bytes[len / 2]) << (8 * (len / 2));
            u64::from(*first) | middle | u64::from(*last) << (8 * (len - 1))
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use siphasher::sip::SipHasher13;

    use super::*;

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
