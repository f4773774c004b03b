//! Key names.
//!
//! A name is made of a namespace, a kind and what the caller calls the thing:
//!
//! ```text
//! {shop:cache:user.42}          the thing itself
//! {shop:cache:user.42}:lease    another key of the same thing
//! ```
//!
//! What stands in the braces decides the hash slot of a cluster, so all keys of one thing are on
//! one node, and one script may use them together. Braces in what the caller gave are escaped, so
//! nobody can step out of them.

use std::borrow::Cow;
use std::fmt;

/// The longest name that is kept as it is. A longer one is replaced by its digest, so that what a
/// stranger sends (an address, a token) can't fill the store with its own length.
const NAME_MAX: usize = 200;

/// Makes the keys of one kind of thing in one namespace.
///
/// # Examples
///
/// ```
/// use larder_store::Keys;
///
/// let keys = Keys::new("shop", "cache");
/// assert_eq!(keys.of("user.42").to_string(), "{shop:cache:user.42}");
/// assert_eq!(keys.of("user.42").part("lease").to_string(), "{shop:cache:user.42}:lease");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: Box<str>,
}

/// The name of a key, with the hash slot tag that all keys of its thing share.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: Box<str>,
    /// The length of the part in braces, with the braces.
    tag_len: usize,
}

impl Keys {
    /// Keys of this kind in this namespace. Any text will do; it is escaped where it must be.
    pub fn new(namespace: &str, kind: &str) -> Keys {
        Keys {
            // A colon in it could be taken for its end, and one namespace reach into another.
            prefix: format!(
                "{{{}:{}",
                escape(namespace).replace(':', "%3A"),
                escape(kind)
            )
            .into(),
        }
    }

    /// The key of the thing that the caller calls `name`.
    pub fn of(&self, name: &str) -> Key {
        let short = shorten(name);
        // Every cache hit comes along here: one allocation, of the right size.
        let mut name = String::with_capacity(self.prefix.len() + short.len() + 2);
        name.push_str(&self.prefix);
        name.push(':');
        name.push_str(&short);
        name.push('}');
        Key {
            tag_len: name.len(),
            name: name.into(),
        }
    }

    /// The key of what there is one of in the namespace, such as an index.
    pub fn only(&self) -> Key {
        let name = format!("{}}}", self.prefix);
        Key {
            tag_len: name.len(),
            name: name.into(),
        }
    }

    /// A pattern for `SCAN ... MATCH` that finds the keys of the things whose names match `glob`,
    /// and nothing else. The things' other parts are not found.
    pub fn matching(&self, glob: &str) -> String {
        format!("{}:{}}}", literal(&self.prefix), escape(glob))
    }

    /// What the caller called the thing that has this key, if it is the key of such a thing.
    ///
    /// A name that was too long to keep comes back as its digest.
    pub fn name_of(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        Some(unescape(&name[..name.find('}')?]))
    }
}

impl Key {
    /// Another key of the same thing.
    #[must_use]
    pub fn part(&self, part: &str) -> Key {
        // As with [`Keys::of`]: one allocation, of the right size.
        let mut name = String::with_capacity(self.tag_len + 1 + part.len());
        name.push_str(&self.name[..self.tag_len]);
        name.push(':');
        name.push_str(part);
        Key {
            name: name.into(),
            tag_len: self.tag_len,
        }
    }

    /// What stands in the braces, which all keys of the thing share.
    pub fn tag(&self) -> &str {
        &self.name[1..self.tag_len - 1]
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The name as a store sees it.
    pub fn as_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// The hash slot of a key in a cluster, 0 to 16383: CRC-16 (XMODEM) of what stands in its first
/// braces, or of the whole key if there is nothing in braces.
///
/// Source: the Redis cluster specification, "Key distribution model" and "Hash tags".
pub fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|&byte| byte == b'{');
    let tag = open.and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % 16384
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc: u16, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
        }
        crc
    })
}

/// A name short enough to be part of a key.
fn shorten(name: &str) -> Cow<'_, str> {
    let escaped = escape(name);
    if escaped.len() <= NAME_MAX {
        return escaped;
    }
    // The head is kept for people who look at keys; the digest makes the name unique.
    let head: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(40)
        .collect();
    format!(
        "{head}%23{}",
        hexadecimal(&hmac_sha256::Hash::hash(name.as_bytes()))
    )
    .into()
}

/// Bytes as hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Braces would end the hash tag; the percent sign is what escapes.
fn escape(text: &str) -> Cow<'_, str> {
    let special = |byte| matches!(byte, b'%' | b'{' | b'}');
    // To the end, even after one is found: so the processor looks at many bytes at once.
    if !text
        .bytes()
        .fold(false, |found, byte| found | special(byte))
    {
        return text.into();
    }
    let percent = text.replace('%', "%25");
    percent.replace('{', "%7B").replace('}', "%7D").into()
}

fn unescape(text: &str) -> String {
    text.replace("%7B", "{")
        .replace("%7D", "}")
        .replace("%25", "%")
}

/// The pattern that matches this text and nothing else, for use as a part of a pattern.
///
/// # Examples
///
/// ```
/// assert_eq!(format!("{}:*", larder_store::literal("user[1]")), r"user\[1\]:*");
/// ```
pub fn literal(text: &str) -> String {
    let special = |character| matches!(character, '*' | '?' | '[' | ']' | '\\');
    text.chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_thing_share_a_slot() {
        let key = Keys::new("shop", "lock").of("job {7}");
        assert_eq!(slot(key.as_bytes()), slot(key.part("fence").as_bytes()));
    }

    #[test]
    fn braces_in_a_name_do_not_end_the_tag() {
        let key = Keys::new("shop", "queue").of("a}b{c");
        assert_eq!(key.as_str(), "{shop:queue:a%7Db%7Bc}");
        assert_eq!(key.tag(), "shop:queue:a%7Db%7Bc");
    }

    #[test]
    fn different_names_have_different_keys() {
        let keys = Keys::new("n", "k");
        assert_ne!(keys.of("{"), keys.of("%7B"));
        let long = |last: &str| keys.of(&format!("{}{last}", "x".repeat(500)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").as_str().len() < 250);
    }

    #[test]
    fn a_name_is_found_again_in_its_key() {
        let keys = Keys::new("n", "k");
        for name in ["user.42", "a}b{c", "100%", "%7B"] {
            assert_eq!(keys.name_of(keys.of(name).as_str()).as_deref(), Some(name));
        }
        assert_eq!(keys.name_of("{n:other:x}"), None);
    }

    #[test]
    fn no_namespace_reaches_into_another() {
        let outer = Keys::new("shop", "cache");
        let inner = Keys::new("shop:cache:books", "cache");
        assert_ne!(outer.of("books:cache:42"), inner.of("42"));
        assert_eq!(outer.name_of(inner.of("42").as_str()), None);
    }

    #[test]
    fn a_pattern_takes_the_namespace_literally() {
        assert_eq!(Keys::new("a*b", "c").matching("user:*"), "{a\\*b:c:user:*}");
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 12739);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % 16384);
        assert_eq!(slot(b"foo{{bar}}zap"), crc16(b"{bar") % 16384);
    }
}
