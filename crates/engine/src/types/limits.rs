//! At which sizes small collections become large ones.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicUsize};

use crate::hash::Seed;

/// At which sizes small collections become large ones, in Redis's names, and the seed under which
/// large ones hash.
///
/// CONFIG SET may change a limit while commands read it: each reads the ones that it needs.
pub(crate) struct Limits {
    /// The seed of the tables inside large collections.
    pub(crate) seed: Seed,
    /// The longest HyperLogLog that is sparse.
    pub(crate) hll_sparse_max_bytes: Limit,
    /// The most fields of a small hash.
    pub(crate) hash_max_listpack_entries: Limit,
    /// The longest field or value of a small hash.
    pub(crate) hash_max_listpack_value: Limit,
    /// The size of a list's node: so many elements, or for -1 to -5 so many bytes (4 KiB doubled
    /// each time).
    pub(crate) list_max_listpack_size: NodeSize,
    /// The most members of a set of integers.
    pub(crate) set_max_intset_entries: Limit,
    /// The most members of a small set.
    pub(crate) set_max_listpack_entries: Limit,
    /// The longest member of a small set.
    pub(crate) set_max_listpack_value: Limit,
    /// The most members of a small sorted set.
    pub(crate) zset_max_listpack_entries: Limit,
    /// The longest member of a small sorted set.
    pub(crate) zset_max_listpack_value: Limit,
    /// The most entries of a stream's block.
    pub(crate) stream_node_max_entries: Limit,
    /// The size of a stream's block in bytes.
    pub(crate) stream_node_max_bytes: Limit,
}

impl Limits {
    /// Redis's defaults.
    pub(crate) fn new(seed: Seed) -> Limits {
        Limits {
            seed,
            hll_sparse_max_bytes: Limit::new(3000),
            hash_max_listpack_entries: Limit::new(512),
            hash_max_listpack_value: Limit::new(64),
            list_max_listpack_size: NodeSize(AtomicI64::new(-2)),
            set_max_intset_entries: Limit::new(512),
            set_max_listpack_entries: Limit::new(128),
            set_max_listpack_value: Limit::new(64),
            zset_max_listpack_entries: Limit::new(128),
            zset_max_listpack_value: Limit::new(64),
            stream_node_max_entries: Limit::new(100),
            stream_node_max_bytes: Limit::new(4096),
        }
    }
}

/// A number that is read and written as a whole.
pub(crate) struct Limit(AtomicUsize);

impl Limit {
    fn new(number: usize) -> Limit {
        Limit(AtomicUsize::new(number))
    }

    /// The number.
    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Makes it another number.
    pub(crate) fn set(&self, number: usize) {
        self.0.store(number, Relaxed);
    }
}

/// What `list-max-listpack-size` is: a limit that may be negative.
pub(crate) struct NodeSize(AtomicI64);

impl NodeSize {
    /// The number.
    #[inline]
    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// Makes it another number.
    pub(crate) fn set(&self, number: i64) {
        self.0.store(number, Relaxed);
    }
}
