//! How an entry is kept.

use larder_store::Error;
use serde::Deserialize;

use crate::Ttl;

/// The most tags of an entry, and the most bytes in the name of one: their numbers have one byte and
/// two in an entry.
const TAGS_MAX: usize = u8::MAX as usize;
const TAG_LEN_MAX: usize = u16::MAX as usize;

/// How one entry is kept, where that differs from the rest of its cache.
///
/// ```
/// use larder_toolkit::{Ttl, cache::Keep};
///
/// let keep = Keep::new().ttl(Ttl::minutes(1)).tags(["products", "category.7"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

    /// With this tag too.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Keep {
        self.tags.push(tag.into());
        self
    }

    /// With these tags too, by which entries are invalidated together. Each makes reads and writes a
    /// little slower. Up to 255 of at most 65,535 bytes are possible: whatever is to be kept with
    /// more is refused, before it is loaded, as [`Error::Invalid`].
    #[must_use]
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Keep {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Refuses what no entry can have.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fits =
            self.tags.len() <= TAGS_MAX && self.tags.iter().all(|tag| tag.len() <= TAG_LEN_MAX);
        match fits {
            true => Ok(()),
            false => Err(Error::invalid(format_args!(
                "an entry has at most {TAGS_MAX} tags of at most {TAG_LEN_MAX} bytes"
            ))),
        }
    }
}
