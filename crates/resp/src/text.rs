//! Texts that hold any bytes.
//!
//! What is told of errors is text, and may name what somebody has sent, which may be any bytes. So that these
//! arrive as they came, a byte that is no part of a character stands in a text as one of private use: the byte
//! 0x80 as U+10FF80, 0xFF as U+10FFFF. Where such a character itself is sent, its bytes stand so, one by one.

use std::borrow::Cow;

/// What stands for the byte 0.
const BASE: u32 = 0x10_FF00;
/// The first byte of all that stands for bytes, and of few other characters.
const FIRST: u8 = 0xF4;

/// The text that holds these bytes: they themselves, if they are one.
pub fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && (!bytes.contains(&FIRST) || !text.chars().any(|it| byte_of(it).is_some()))
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match byte_of(character) {
                None => text.push(character),
                Some(_) => {
                    let mut buffer = [0; 4];
                    hold(&mut text, character.encode_utf8(&mut buffer).as_bytes());
                }
            }
        }
        hold(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// The bytes that a text holds.
pub fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !text.as_bytes().contains(&FIRST) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    Cow::Owned(bytes)
}

/// Lets characters stand for bytes, none of which is a character of ASCII.
fn hold(text: &mut String, bytes: &[u8]) {
    let standing = bytes.iter().map(|byte| BASE + u32::from(*byte));
    text.extend(standing.filter_map(char::from_u32));
}

/// The byte that a character stands for, if it does.
fn byte_of(character: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(character).checked_sub(BASE)?).ok()?;
    (!byte.is_ascii()).then_some(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_text_stays_as_it_is() {
        for text in ["", "ERR syntax error", "schön 🦀", "\u{10FF7F}\u{10FF00}"] {
            assert!(matches!(text_of(text.as_bytes()), Cow::Borrowed(same) if same == text));
            assert_eq!(*bytes_of(text), *text.as_bytes());
        }
    }

    #[test]
    fn a_byte_that_is_no_text_stands_as_a_character_of_private_use() {
        assert_eq!(text_of(b"a\x80\xFFz"), "a\u{10FF80}\u{10FFFF}z");
        assert_eq!(text_of(b"\xC3\xA4\xC3"), "ä\u{10FFC3}");
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_they_were(
            parts in prop::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    "\\PC{0,4}".prop_map(String::into_bytes),
                    (0x10_FF70_u32..0x11_0000).prop_map(|it| {
                        char::from_u32(it).map_or_else(Vec::new, |it| it.to_string().into_bytes())
                    }),
                ],
                0..6,
            ),
        ) {
            let bytes = parts.concat();
            let text = text_of(&bytes);
            prop_assert_eq!(&*bytes_of(&text), &*bytes);
        }
    }
}
