//! What stands in the store for one cached value.
//!
//! ```text
//! +---------+---------+---------+----------+----------+-------+------------------------------+-------+
//! | version | stamp   | era     | grace ms | ahead ms | tags  | length  | name   | version   | value |
//! | 1 byte  | 8 bytes | 8 bytes | 8 bytes  | 8 bytes  | 1     | 2 bytes | length | 8 bytes   |       |
//! +---------+---------+---------+----------+----------+-------+------------------------------+-------+
//!                                                       n      \__________ n times __________/
//! ```
//!
//! Numbers are big-endian. The stamp is random and tells two entries of one key apart. Era and tags have
//! the versions that the namespace and the tags had before the value was loaded. The grace is the last
//! part of the entry's time in the store, in which its value is stale; before it comes the part in which
//! the value is good, and due to be loaded anew. The value is as in [`crate::codec`].

use bytes::{Buf, BufMut, Bytes};

use crate::random;

/// The version that is written. Version 1 knew no eras.
const VERSION: u8 = 2;

/// The length of what tells two entries of one key apart: version and stamp.
const HEAD_LEN: usize = 9;

/// The length of what stands in front of the tags, with their number.
const FIXED_LEN: usize = 34;

/// The version of a tag, or of a namespace: a random number, so that none is ever used twice.
pub(super) type Version = [u8; 8];

/// A tag, and the version of it that an entry was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) version: Version,
}

/// An entry, taken apart. The value stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) era: Version,
    pub(super) grace_ms: u64,
    pub(super) ahead_ms: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) value: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry as bytes, or `None` if it has too many tags or one with too long a name.
    pub(super) fn to_bytes(&self) -> Option<Bytes> {
        let len = FIXED_LEN + 32 * self.tags.len() + self.value.len();
        let mut bytes = Vec::with_capacity(len);
        bytes.put_u8(VERSION);
        bytes.put_slice(&random::bytes::<8>());
        bytes.put_slice(&self.era);
        bytes.put_u64(self.grace_ms);
        bytes.put_u64(self.ahead_ms);
        bytes.put_u8(u8::try_from(self.tags.len()).ok()?);
        for tag in &self.tags {
            bytes.put_u16(u16::try_from(tag.name.len()).ok()?);
            bytes.put_slice(tag.name.as_bytes());
            bytes.put_slice(&tag.version);
        }
        bytes.put_slice(self.value);
        Some(bytes.into())
    }

    /// The entry in these bytes, if they are one of this version.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Option<Entry<'a>> {
        let (mut fixed, mut rest) = bytes.split_at_checked(FIXED_LEN)?;
        if fixed.get_u8() != VERSION {
            return None;
        }
        fixed.advance(HEAD_LEN - 1); // the stamp
        let era = take_version(&mut fixed)?;
        let (grace_ms, ahead_ms) = (fixed.get_u64(), fixed.get_u64());
        let count = fixed.get_u8();
        let tags: Option<Vec<Tag>> = (0..count).map(|_| take_tag(&mut rest)).collect();
        Some(Entry {
            era,
            grace_ms,
            ahead_ms,
            tags: tags?,
            value: rest,
        })
    }
}

fn take_tag(bytes: &mut &[u8]) -> Option<Tag> {
    let len = usize::from(bytes.try_get_u16().ok()?);
    let (name, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let version = take_version(bytes)?;
    Some(Tag { name, version })
}

fn take_version(bytes: &mut &[u8]) -> Option<Version> {
    let (version, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*version)
}

/// What tells these bytes from another entry of the same key, also if they are no entry. `lookup.lua`
/// compares it.
pub(super) fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(HEAD_LEN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            era: [7; 8],
            grace_ms: 5,
            ahead_ms: 6,
            tags: ["a", "category.7"]
                .map(|name| Tag {
                    name: name.into(),
                    version: [255; 8],
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
        let older = [&[1], &bytes[1..]].concat();
        assert_eq!(Entry::from_bytes(&older), None);
    }

    #[test]
    fn too_many_tags_are_refused() {
        let mut entry = entry();
        entry.tags = vec![entry.tags[0].clone(); 256];
        assert_eq!(entry.to_bytes(), None);
    }

    #[test]
    fn two_entries_of_one_value_are_told_apart_by_their_heads() {
        let two = [(); 2].map(|()| entry().to_bytes().expect("it has two tags"));
        assert_ne!(head(&two[0]), head(&two[1]));
    }
}
