//! How often each kind of error was answered: INFO errorstats.

use std::collections::BTreeMap;

use crate::sync::Mutex;

/// How many codes are told apart: scripts may invent as many as they like.
const CODES_MAX: usize = 128;

/// Under which code those are counted that come too late.
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// How many bytes of an error are searched for the end of its code.
const CODE_LEN_MAX: usize = 32;

/// Errors by their code: the first word of their text.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Errors {
    /// Counts an error with this text.
    pub(super) fn count(&self, text: &str) {
        let mut counts = self.counts.lock();
        let code = code_of(text);
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
            return;
        }
        let code = match counts.len() < CODES_MAX {
            true => code,
            false => OVERFLOW,
        };
        *counts.entry(code.to_owned()).or_default() += 1;
    }

    /// The codes that there were, with how often.
    pub(crate) fn counts(&self) -> Vec<(String, u64)> {
        let counts = self.counts.lock();
        let counts = counts.iter();
        counts.map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// How many errors there were.
    pub(crate) fn total(&self) -> u64 {
        self.counts.lock().values().sum()
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        self.counts.lock().clear();
    }
}

/// The code of an error: its first word, or `ERR` if it has none that is short.
fn code_of(text: &str) -> &str {
    let head = &text.as_bytes()[..text.len().min(CODE_LEN_MAX)];
    let end = head.iter().position(|byte| *byte == b' ');
    end.and_then(|end| text.get(..end)).unwrap_or("ERR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let errors = Errors::default();
        for text in ["ERR no such key", "WRONGTYPE Operation", "nospace", "ERR x"] {
            errors.count(text);
        }
        let wanted = [("ERR".to_owned(), 3), ("WRONGTYPE".to_owned(), 1)];
        assert_eq!(errors.counts(), wanted);
        assert_eq!(errors.total(), 4);
    }

    #[test]
    fn codes_without_end_are_counted_as_one() {
        let errors = Errors::default();
        (0..1000).for_each(|code| errors.count(&format!("E{code} x")));
        let counts = errors.counts();
        assert_eq!(counts.len(), CODES_MAX + 1);
        assert!(counts.contains(&(OVERFLOW.to_owned(), 1000 - CODES_MAX as u64)));
    }
}
