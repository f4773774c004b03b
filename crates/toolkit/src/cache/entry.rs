//! What stands in the store for one cached value.
//!
//! ```text
//! +---------+---------+----------+-------+-----------------------------------+-------+
//! | version | stamp   | grace ms | tags  | length  | name        | version   | value |
//! | 1 byte  | 8 bytes | 8 bytes  | 1     | 2 bytes | length      | 8 bytes   |       |
//! +---------+---------+----------+-------+-----------------------------------+-------+
//!                                   n      \_____________ n times __________/
//! ```
//!
//! Numbers are big-endian. The stamp is random and tells two entries of one key apart. The grace is
//! the last part of the entry's time in the store, in which its value is stale. The tags have the
//! versions that they had before the value was loaded. The value is as in [`crate::codec`].

use bytes::{Buf, BufMut, Bytes};

/// The version that is written.
const VERSION: u8 = 1;

/// The length of what tells two entries of one key apart: version and stamp. `lookup.lua` has it too.
const HEAD_LEN: usize = 9;

/// A tag, and the version of it that an entry was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) version: u64,
}

/// An entry, taken apart. The value stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) grace_ms: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) value: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry as bytes, or `None` if it has too many tags or one with too long a name.
    pub(super) fn to_bytes(&self) -> Option<Bytes> {
        let mut bytes = Vec::with_capacity(self.value.len() + 18 + 32 * self.tags.len());
        bytes.put_u8(VERSION);
        bytes.put_u64(rand::random());
        bytes.put_u64(self.grace_ms);
        bytes.put_u8(u8::try_from(self.tags.len()).ok()?);
        for tag in &self.tags {
            bytes.put_u16(u16::try_from(tag.name.len()).ok()?);
            bytes.put_slice(tag.name.as_bytes());
            bytes.put_u64(tag.version);
        }
        bytes.put_slice(self.value);
        Some(bytes.into())
    }

    /// The entry in these bytes, if they are one of this version.
    pub(super) fn from_bytes(mut bytes: &'a [u8]) -> Option<Entry<'a>> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        bytes.try_get_u64().ok()?; // the stamp
        let grace_ms = bytes.try_get_u64().ok()?;
        let count = bytes.try_get_u8().ok()?;
        let tags: Option<Vec<Tag>> = (0..count).map(|_| take_tag(&mut bytes)).collect();
        Some(Entry {
            grace_ms,
            tags: tags?,
            value: bytes,
        })
    }
}

fn take_tag(bytes: &mut &[u8]) -> Option<Tag> {
    let len = usize::from(bytes.try_get_u16().ok()?);
    let (name, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let version = bytes.try_get_u64().ok()?;
    Some(Tag { name, version })
}

/// What tells these bytes from another entry of the same key, also if they are no entry.
pub(super) fn head(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&bytes[..bytes.len().min(HEAD_LEN)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            grace_ms: 5,
            tags: ["a", "category.7"]
                .map(|name| Tag {
                    name: name.into(),
                    version: u64::MAX,
                })
                .into(),
            value: b"value",
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let bytes = entry().to_bytes().expect("it has two tags");
        assert_eq!(Entry::from_bytes(&bytes), Some(entry()));
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_no_entry() {
        let bytes = entry().to_bytes().expect("it has two tags");
        for len in 0..bytes.len() - b"value".len() {
            assert_eq!(Entry::from_bytes(&bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(Entry::from_bytes(b"{\"json\": 1}"), None);
    }

    #[test]
    fn too_many_tags_are_refused() {
        let mut entry = entry();
        entry.tags = vec![entry.tags[0].clone(); 256];
        assert_eq!(entry.to_bytes(), None);
    }
}
