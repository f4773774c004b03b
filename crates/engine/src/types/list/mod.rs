//! List: stands here until the structure itself does.

/// Nothing yet.
#[derive(Default)]
pub(crate) struct List;

impl List {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}
