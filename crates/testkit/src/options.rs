//! The options of programs that run for long: a name and a value each.

use std::fmt::Display;
use std::str::FromStr;

/// An option that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name, with its hyphens.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Given {
    /// Reads the words behind a program's name.
    ///
    /// # Errors
    ///
    /// If the last one has no value.
    pub fn all(mut words: impl Iterator<Item = String>) -> Result<Vec<Given>, String> {
        let mut all = Vec::new();
        while let Some(name) = words.next() {
            let value = words.next().ok_or(format!("{name} has no value"))?;
            all.push(Given { name, value });
        }
        Ok(all)
    }

    /// The value as a number.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn number<T: FromStr<Err: Display>>(&self) -> Result<T, String> {
        let number = self.value.parse();
        number.map_err(|error| format!("{}: {error}", self.name))
    }
}
