//! The text of a no.

use std::fmt;

/// The text with which a store refuses, such as `WRONGTYPE Operation against a key ...`.
///
/// Its first word is the code, by which programs tell refusals apart. It may name what somebody has sent, which
/// may be any bytes: those that are no UTF-8 stand in it as characters of private use, the byte 0x80 as U+10FF80
/// and 0xFF as U+10FFFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    text: Box<str>,
}

impl Refusal {
    /// A refusal with this text, code first.
    pub fn new(text: impl Into<Box<str>>) -> Refusal {
        Refusal { text: text.into() }
    }

    /// The first word: `ERR`, `WRONGTYPE`, `NOSCRIPT`, ...
    pub fn code(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The whole text, code first.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
