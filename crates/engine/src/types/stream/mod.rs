//! Stream: stands here until the structure itself does.

/// Nothing yet.
#[derive(Default)]
pub(crate) struct Stream;

impl Stream {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}
