//! The keyed hash of every table: SipHash-1-3 under a random seed.
//!
//! The hash has to be keyed. The cursors that SCAN, HSCAN and SSCAN hand out are positions in hash
//! order, so they show anybody who asks the leading bits of the hashes of keys that he chose
//! himself. With a known function that is enough to make thousands of keys that land in one bucket;
//! with a secret key it tells nothing about the next key.

use siphasher::sip::SipHasher13;

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
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.k0, self.k1).hash(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_seed_and_on_every_byte() {
        let (one, other) = (Seed::new(1, 2), Seed::new(1, 3));

        assert_eq!(one.hash(b"key"), one.hash(b"key"));
        assert_ne!(one.hash(b"key"), other.hash(b"key"));
        assert_ne!(one.hash(b"key"), one.hash(b"kez"));
        assert_ne!(one.hash(b""), one.hash(b"\0"));
    }
}
