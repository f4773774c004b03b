//! Parameters that are not the engine's own: of sockets, files and the log. The process around it goes
//! by them, and says what they are.

use super::super::observed::{read_int, read_switch};
use super::{Unit, read_choice};

/// A parameter that the process around the engine goes by.
pub(super) struct Hosted {
    /// What it is if nobody has said otherwise.
    pub(super) default: &'static str,
    pub(super) shape: Shape,
}

/// What values there may be.
pub(super) enum Shape {
    /// A number from the first to the last of these.
    Count(u64, u64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// Permissions, as `chmod` takes them.
    Octal,
    Text,
    /// The name of a file, without a directory.
    FileName,
    /// Several, with spaces between them.
    Words,
    /// Nothing but the default.
    Only,
}

impl Hosted {
    /// Whether the process may be started with this value.
    pub(super) fn check(&self, value: &[u8]) -> Result<(), String> {
        match self.shape {
            Shape::Count(min, max) => {
                let number = Unit::Count.read(value, min.into(), max.into());
                number.map(drop)
            }
            Shape::Choice(["no", "yes"]) => read_switch(value).map(drop),
            Shape::Choice(names) => read_choice(value, names).map(drop),
            Shape::Octal => read_octal(value).map(drop),
            Shape::FileName if value.is_empty() || value.contains(&b'/') => {
                Err("dbfilename can't be a path, just a filename".to_owned())
            }
            Shape::Text | Shape::FileName | Shape::Words => Ok(()),
            Shape::Only if value == self.default.as_bytes() => Ok(()),
            Shape::Only => Err(format!("it is always {}", self.default)),
        }
    }

    /// Whether several words may be given.
    pub(super) fn has_words(&self) -> bool {
        matches!(self.shape, Shape::Words)
    }

    /// What may be written, in a few words.
    pub(super) fn values(&self) -> String {
        match self.shape {
            Shape::Count(min, max) => format!("{min} to {max}"),
            Shape::Choice(names) => names.join("|"),
            Shape::Octal => "MODE".to_owned(),
            Shape::Text => "TEXT".to_owned(),
            Shape::FileName => "NAME".to_owned(),
            Shape::Words => "WORDS".to_owned(),
            Shape::Only => self.default.to_owned(),
        }
    }
}

/// Permissions, as `chmod` takes them.
fn read_octal(value: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let mode = i64::from_str_radix(text, 8);
    let mode = mode.map_err(|_| "argument couldn't be parsed into an octal number".to_owned())?;
    read_int(mode.to_string().as_bytes(), 0, 0o1777)
        .map_err(|_| "argument must be between 0 and 1777 inclusive".to_owned())
}
