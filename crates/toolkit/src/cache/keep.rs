//! How an entry is kept.

use crate::Ttl;

/// How one entry is kept, where that differs from the rest of its cache.
///
/// ```
/// use larder_toolkit::{Ttl, cache::Keep};
///
/// let keep = Keep::new().ttl(Ttl::minutes(1)).tags(["products", "category.7"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub(super) ttl: Option<Ttl>,
    pub(super) tags: Vec<String>,
}

impl Keep {
    /// As the cache keeps everything, without tags.
    pub fn new() -> Keep {
        Keep::default()
    }

    /// For this time, rather than for that of the cache.
    #[must_use]
    pub fn ttl(mut self, ttl: Ttl) -> Keep {
        self.ttl = Some(ttl);
        self
    }

    /// With these tags, by which entries are invalidated together. Up to 255 are possible, and
    /// every one makes reads and writes a little slower.
    #[must_use]
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Keep {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}
