//! Sorted set: stands here until the structure itself does.

/// Nothing yet.
#[derive(Default)]
pub(crate) struct SortedSet;

impl SortedSet {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}
