//! A part of a store.

use std::fmt;
use std::sync::Arc;

/// A part of a store: all of it, or one of the masters of a cluster, by its address.
///
/// A part that has come to hold other keys than before has another [version](Part::with_version), and
/// is another part: what was asked of the former is answered with [`Error::Gone`](crate::Error::Gone).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    address: Arc<str>,
    version: u64,
}

impl Part {
    /// The part at this address.
    pub fn new(address: impl Into<Arc<str>>) -> Part {
        Part {
            address: address.into(),
            version: 0,
        }
    }

    /// All of a store that has no parts. It has no address.
    pub fn whole() -> Part {
        Part::new("")
    }

    /// The part at this address that holds what it holds since this version: any number that
    /// changes whenever the part takes over keys from another one.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Part {
        self.version = version;
        self
    }

    /// Its address.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// Its version, 0 where nobody counts.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_holds_other_keys_is_another_part() {
        let part = Part::new("a:1");
        assert_eq!(part, Part::new("a:1"));
        assert_ne!(part, part.clone().with_version(1));
    }
}
