//! At which sizes small collections become large ones.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use crate::hash::Seed;

/// At which sizes small collections become large ones, in Redis's names, and the seed under which
/// large ones hash.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The seed of the tables inside large collections.
    pub(crate) seed: Seed,
    /// The most fields of a small hash.
    pub(crate) hash_max_listpack_entries: usize,
    /// The longest field or value of a small hash.
    pub(crate) hash_max_listpack_value: usize,
    /// The size of a list's node: so many elements, or for -1 to -5 so many bytes (4 KiB doubled
    /// each time).
    pub(crate) list_max_listpack_size: i64,
    /// The most members of a set of integers.
    pub(crate) set_max_intset_entries: usize,
    /// The most members of a small set.
    pub(crate) set_max_listpack_entries: usize,
    /// The longest member of a small set.
    pub(crate) set_max_listpack_value: usize,
    /// The most members of a small sorted set.
    pub(crate) zset_max_listpack_entries: usize,
    /// The longest member of a small sorted set.
    pub(crate) zset_max_listpack_value: usize,
    /// The most entries of a stream's block.
    pub(crate) stream_node_max_entries: usize,
    /// The size of a stream's block in bytes.
    pub(crate) stream_node_max_bytes: usize,
}

impl Limits {
    /// Redis's defaults.
    pub(crate) fn new(seed: Seed) -> Limits {
        Limits {
            seed,
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_entries: 100,
            stream_node_max_bytes: 4096,
        }
    }
}

/// Limits that CONFIG SET may change while commands read them.
pub(crate) struct SharedLimits {
    seed: Seed,
    numbers: [AtomicI64; 10],
}

impl SharedLimits {
    pub(crate) fn new(limits: &Limits) -> SharedLimits {
        SharedLimits {
            seed: limits.seed,
            numbers: limits.numbers().map(AtomicI64::new),
        }
    }

    pub(crate) fn load(&self) -> Limits {
        let number = |place: usize| self.numbers[place].load(Relaxed);
        Limits {
            seed: self.seed,
            hash_max_listpack_entries: number(0) as usize,
            hash_max_listpack_value: number(1) as usize,
            list_max_listpack_size: number(2),
            set_max_intset_entries: number(3) as usize,
            set_max_listpack_entries: number(4) as usize,
            set_max_listpack_value: number(5) as usize,
            zset_max_listpack_entries: number(6) as usize,
            zset_max_listpack_value: number(7) as usize,
            stream_node_max_entries: number(8) as usize,
            stream_node_max_bytes: number(9) as usize,
        }
    }

    pub(crate) fn store(&self, limits: &Limits) {
        for (cell, number) in self.numbers.iter().zip(limits.numbers()) {
            cell.store(number, Relaxed);
        }
    }
}

impl Limits {
    /// The numbers in the order of the fields.
    fn numbers(&self) -> [i64; 10] {
        [
            self.hash_max_listpack_entries as i64,
            self.hash_max_listpack_value as i64,
            self.list_max_listpack_size,
            self.set_max_intset_entries as i64,
            self.set_max_listpack_entries as i64,
            self.set_max_listpack_value as i64,
            self.zset_max_listpack_entries as i64,
            self.zset_max_listpack_value as i64,
            self.stream_node_max_entries as i64,
            self.stream_node_max_bytes as i64,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let mut limits = Limits::new(Seed::new(1, 2));
        limits.stream_node_max_bytes = 7;
        limits.list_max_listpack_size = -5;
        let shared = SharedLimits::new(&Limits::new(Seed::new(1, 2)));

        shared.store(&limits);

        assert_eq!(shared.load().numbers(), limits.numbers());
    }
}
