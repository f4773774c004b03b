//! By which names a request goes, and what its words are.

/// Whether this is a request of the command.
pub(super) fn is(words: &[Vec<u8>], name: &str) -> bool {
    words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether a text stands anywhere in the words, as in the text of a script.
pub(super) fn mentions(words: &[Vec<u8>], text: &str) -> bool {
    let holds = |word: &Vec<u8>| word.windows(text.len()).any(|part| part == text.as_bytes());
    words.iter().any(holds)
}

/// Whether one of these names stands among the words.
pub(super) fn has_any(words: &[Vec<u8>], names: &[&str]) -> bool {
    let is_named = |word: &Vec<u8>| {
        names
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    words.iter().any(is_named)
}

/// The integer that a word is, if it is one.
pub(super) fn integer_of(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}
