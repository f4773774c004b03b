//! At which sizes small collections become large ones.

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
