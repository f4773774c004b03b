//! Set: stands here until the structure itself does.

/// Nothing yet.
#[derive(Default)]
pub(crate) struct Set;

impl Set {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}
